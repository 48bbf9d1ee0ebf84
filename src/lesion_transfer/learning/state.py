"""All that the rest of a training depends on: taken after an epoch, put back to go on as if nothing had been.

Random numbers need no place here: every epoch draws from streams of its own (streams.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lesion_transfer.learning.alarm import GradientAlarm
from lesion_transfer.learning.gradients import GradientRecorder
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.selection import BestEpoch
from lesion_transfer.learning.updates import Plateau, WeightUpdate


@dataclass(frozen=True)
class TrainingState:
    """After `epoch` epochs: copies of tensors on the CPU by name, and JSON values, the history among them."""

    epoch: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of the epochs that are done."""
        return [dict(zip(self.values["columns"], row, strict=True)) for row in self.values["rows"]]


@dataclass(frozen=True)
class StatePlace:
    """The file in which one training keeps its newest state, and the fingerprint of that training."""

    path: Path
    fingerprint: str


@dataclass
class MovingParts:
    """What changes from epoch to epoch of one training; `frozen`: the network's extractor does not."""

    network: LesionNetwork
    frozen: bool
    update: WeightUpdate
    plateau: Plateau
    recorder: GradientRecorder
    alarm: GradientAlarm
    best: BestEpoch
    best_state: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def keep_best(self) -> None:
        """Takes the network as it is now for the best; of a frozen extractor the first copy does for all."""
        if self.frozen and self.best_state:
            self.best_state |= _named("decision_maker", state_copy(self.network.decision_maker))
        else:
            self.best_state = state_copy(self.network)

    def state(self) -> TrainingState:
        """A copy that the next epochs leave as it is."""
        tensors = {
            **_named("network", state_copy(self._trained())),
            **_named("best", {name: self.best_state[name] for name in self._saved_names()}),
            **_named("update", self.update.state()),
            **{f"gradients.{n}": torch.from_numpy(rows) for n, rows in self.recorder.by_epoch().items()},
        }
        values = {
            "lr": self.update.lr,
            "plateau": self.plateau.state(),
            "best": self.best.state(),
            "vanished": self.alarm.state(),
            "columns": list(self.history[-1]),
            "rows": [list(row.values()) for row in self.history],
        }
        return TrainingState(len(self.history), tensors, values)

    def restore(self, state: TrainingState) -> None:
        """Puts a state back into parts that were built anew with the same arguments."""
        self._trained().load_state_dict(_below("network", state.tensors))
        # a frozen extractor is the one that the network came with
        self.best_state = state_copy(self.network) | _below("best", state.tensors)
        self.update.restore(_below("update", state.tensors), state.values["lr"])
        self.plateau.restore(state.values["plateau"])
        self.best.restore(state.values["best"])
        self.alarm.restore(state.values["vanished"])
        self.recorder.restore({n: state.tensors[f"gradients.{n}"].numpy() for n in range(1, state.epoch + 1)})
        self.history[:] = state.history

    def _trained(self) -> nn.Module:
        return self.network.decision_maker if self.frozen else self.network

    def _saved_names(self) -> list[str]:
        prefix = "decision_maker." if self.frozen else ""
        return [name for name in self.best_state if name.startswith(prefix)]


def state_copy(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer as it is now, on the CPU, contiguous."""
    return {
        name: tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
        for name, tensor in module.state_dict().items()
    }


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
