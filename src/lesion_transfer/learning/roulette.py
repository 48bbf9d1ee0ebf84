"""The model roulette: of many random initialisations the one that ranks the validation rows best is the start."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lesion_transfer.learning.augmentation import centre_crop
from lesion_transfer.learning.balance import labelled
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.losses import LossFunction, loss_function
from lesion_transfer.learning.network import build_network, place
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.scoring import ScoredRows, score
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import state_copy


@dataclass(frozen=True)
class RouletteResult:
    """The best member's weights and number (from 0), and every member's row: member, validation_{the 8 metrics}."""

    best_state: dict[str, Tensor]
    best_member: int
    table: list[dict[str, float]]


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
    loss: LossFunction | None = None,
) -> RouletteResult:
    """Scores n untrained networks on the labelled validation rows, plain (thesis 5.2.3: 200); the best AUC wins.

    A tie is won by the lowest number; nan is worst. BatchNorm works with its first statistics (mean 0, variance 1), and
    dropout is off. Member k's weights depend on seed, name and k alone: a longer roulette begins with the shorter one.
    """
    rows = labelled(data.labels, data.validation_rows)
    scored = ScoredRows(centre_crop(data.images[rows], patch_pixels).to(device), data.labels[rows])
    best_state: dict[str, Tensor] = {}
    best_member, best_auc = -1, -math.inf
    table: list[dict[str, float]] = []
    for member in range(n):
        generator = torch_generator(seed, name, "member", str(member))
        network = build_network(options, in_channels, dropout, generator, patch_pixels)
        place(network, device)
        scores = score(network, scored, loss or loss_function("cross_entropy"))
        table.append({"member": member, **{f"validation_{metric}": value for metric, value in scores.items()}})
        auc = scores["auc"]
        if best_member < 0 or auc > best_auc:
            best_member, best_state = member, state_copy(network)
            best_auc = -math.inf if math.isnan(auc) else auc
    return RouletteResult(best_state, best_member, table)
