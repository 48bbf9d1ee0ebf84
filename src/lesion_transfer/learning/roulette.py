"""The model roulette: of many random initialisations the one that ranks the validation rows best is the start.

A population whose members are trained for no epoch.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lesion_transfer.backends.backend import Backend, InProcess
from lesion_transfer.learning.augmentation import centre_crop
from lesion_transfer.learning.balance import labelled
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.folding import FoldedNetwork
from lesion_transfer.learning.initialisation import initialise
from lesion_transfer.learning.losses import LossFunction, loss_function
from lesion_transfer.learning.network import LesionNetwork, build_network, place
from lesion_transfer.learning.options import Autocast, NetworkOptions
from lesion_transfer.learning.scoring import ScoredRows, score
from lesion_transfer.learning.state import state_copy
from lesion_transfer.learning.streams import torch_generator

MEMBERS_A_TASK = 20
"""Members that a worker scores in one go: scoring one takes no longer than sending it."""


@dataclass(frozen=True)
class RouletteResult:
    """The best member's weights and number (from 0), and every member's row: member, validation_{the 8 metrics}."""

    best_state: dict[str, Tensor]
    best_member: int
    table: list[dict[str, float]]


@dataclass(frozen=True)
class _Draw:
    """How any member is drawn and asked."""

    options: NetworkOptions
    in_channels: int
    dropout: float
    patch_pixels: int
    seed: int
    name: str
    autocast: Autocast

    def network(self, member: int) -> LesionNetwork:
        return build_network(self.options, self.in_channels, self.dropout, self._generator(member), self.patch_pixels)

    def redraw(self, network: LesionNetwork, member: int) -> None:
        """Makes `network`, as `network()` built it, that of another member: a sixth of the time of building it."""
        initialise(network, self.options.initialisation, self._generator(member))

    def _generator(self, member: int) -> torch.Generator:
        return torch_generator(self.seed, self.name, "member", str(member))


def roulette(
    options: NetworkOptions,
    data: TrainingData,
    n: int,
    seed: int,
    in_channels: int,
    *,
    dropout: float = 0.0,
    name: str = "roulette",
    patch_pixels: int = 65,
    device: str | torch.device = "cpu",
    autocast: Autocast = "off",
    loss: LossFunction | None = None,
    backend: Backend | None = None,
) -> RouletteResult:
    """Scores n untrained networks on the labelled validation rows, plain (thesis 5.2.3: 200); the best AUC wins.

    A tie is won by the lowest number; nan is worst. BatchNorm works with its first statistics (mean 0, variance 1), and
    dropout is off. Member k's weights depend on seed, name and k alone: a longer roulette begins with the shorter one.
    With `autocast: bfloat16` convolutions are computed in it.
    """
    rows = labelled(data.labels, data.validation_rows)
    scored = ScoredRows(centre_crop(data.images[rows], patch_pixels), data.labels[rows])
    draw = _Draw(options, in_channels, dropout, patch_pixels, seed, name, autocast)
    tasks = [range(start, min(start + MEMBERS_A_TASK, n)) for start in range(0, n, MEMBERS_A_TASK)]
    function = partial(_score_members, draw, scored, loss or loss_function("cross_entropy"), device)
    table = [row for part in (backend or InProcess()).run(function, tasks) for row in part]
    aucs = [-math.inf if math.isnan(row["validation_auc"]) else row["validation_auc"] for row in table]
    best_member = aucs.index(max(aucs))
    return RouletteResult(state_copy(draw.network(best_member)), best_member, table)


def _score_members(
    draw: _Draw, scored: ScoredRows, loss: LossFunction, device: str | torch.device, members: range
) -> list[dict[str, float]]:
    """A row a member."""
    scored = ScoredRows(scored.inputs.to(device), scored.labels)
    table = []
    network = draw.network(members[0])
    asked = FoldedNetwork(network, draw.autocast)
    place(asked, device)
    for member in members:
        if member != members[0]:
            draw.redraw(network, member)
            asked.take(network)
        scores = score(asked, scored, loss)
        table.append({"member": member, **{f"validation_{metric}": value for metric, value in scores.items()}})
    return table
