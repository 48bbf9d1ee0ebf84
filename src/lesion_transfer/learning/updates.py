"""How weights are moved: Adam in three precisions, and the plateau rule for its learning rate.

At the thesis's learning rates a float32 step is often smaller than half the distance to the next float32 number and is
lost: at 1e-8 a BatchNorm gamma of 1.0 never moves (THESIS 8). `compensated` keeps float64 masters of float32 weights
and rounds them back after each step; `float64` does everything in float64.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lesion_transfer.learning.adam import Adam
from lesion_transfer.learning.options import Score

Precision = Literal["float32", "compensated", "float64"]
_REMEMBERED = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


class WeightUpdate:
    """Adam over the given parameters only; buffers are never touched."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, precision: Precision) -> None:
        self._weights = list(parameters)
        self._moved: list[Tensor] = (
            [weight.detach().double() for weight in self._weights]
            if precision == "compensated"
            else list(self._weights)
        )
        self._precision = precision
        self._compensated = precision == "compensated"
        # fused: one kernel for all weights, a third of the time of one after the other on small networks
        self.optimizer = Adam(self._moved, lr=lr, fused=True)

    def like(self, parameters: Iterable[nn.Parameter]) -> "WeightUpdate":
        """A new update of the same kind for other weights."""
        return WeightUpdate(parameters, self.lr, self._precision)

    @property
    def precision(self) -> Precision:
        """How the weights are moved."""
        return self._precision

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The weights themselves."""
        return self._weights

    @property
    def moved(self) -> list[Tensor]:
        """What Adam moves: the weights, or their float64 masters."""
        return self._moved

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def zero_grad(self) -> None:
        """Forgets the gradients; None rather than 0, so that a weight without a gradient is not moved."""
        for weight in self._weights:
            weight.grad = None

    def step(self) -> None:
        """One Adam step with the gradients that the weights hold."""
        if self._compensated:
            self._widen_gradients()
        self.optimizer.step()
        if self._compensated:
            with torch.no_grad():
                torch._foreach_copy_(list[Tensor](self._weights), self._moved)

    def _widen_gradients(self) -> None:
        """Gives the masters the weights' gradients, in one kernel for all."""
        narrow, wide = [], []
        for master, weight in zip(self._moved, self._weights, strict=True):
            if weight.grad is None:
                master.grad = None
                continue
            if master.grad is None:
                master.grad = torch.empty_like(master)
            narrow.append(weight.grad)
            wide.append(master.grad)
        if wide:
            torch._foreach_copy_(wide, narrow)

    def state(self) -> dict[str, Tensor]:
        """Copies of Adam's moments and of the float64 masters, on the CPU, named by the weight's number."""
        copies: dict[str, Tensor] = {}
        for number, moved in enumerate(self._moved):
            kept = dict(self.optimizer.state[moved]) | ({"master": moved} if self._compensated else {})
            copies |= {
                f"{number}.{name}": tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
                for name, tensor in kept.items()
            }
        return copies

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor], lr: float) -> None:
        """Puts `state` back; tensors keep the memory layout of the weights, on which last bits can depend."""
        for number, moved in enumerate(self._moved):
            for key, value in state.items():
                owner, _, name = key.partition(".")
                if int(owner) != number:
                    continue
                if name == "master":
                    moved.copy_(value)
                else:
                    like = moved if value.ndim else moved.new_empty((), dtype=value.dtype)
                    self.optimizer.state[moved][name] = torch.empty_like(like).copy_(value)
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def measured_step(self) -> float:
        """One step; returns the share of numbers that Adam wanted to move and that rounding left where they were."""
        before = [moved.detach().clone() for moved in self._moved]
        self.step()
        counts = []
        for old, moved in zip(before, self._moved, strict=True):
            momentum = self.optimizer.state[moved].get("exp_avg")
            if momentum is not None:
                wanting = momentum != 0
                counts += [wanting.sum(), (wanting & (old == moved)).sum()]
        # one transfer for all
        numbers = torch.stack(counts).tolist() if counts else []
        wanted, lost = sum(numbers[::2]), sum(numbers[1::2])
        return lost / wanted if wanted else 0.0

    def weights(self) -> list[Tensor]:
        """Copies of the weights as the network has them now."""
        return [weight.detach().clone() for weight in self._weights]

    def moved_share(self, before: Sequence[Tensor]) -> float:
        """The share of the weights that are no longer what `weights` gave."""
        moved = torch.stack([(old != weight).sum() for old, weight in zip(before, self._weights, strict=True)])
        return int(moved.sum()) / sum(weight.numel() for weight in self._weights)


class Plateau:
    """ReduceLROnPlateau on a score (thesis 6: AUC, factor 1/100, patience 2); a factor of 1 switches it off."""

    def __init__(self, update: WeightUpdate, factor: float, patience: int, metric: Score = "auc") -> None:
        mode: Literal["min", "max"] = "min" if metric == "loss" else "max"
        # eps=0: torch's default of 1e-8 silently ignores a reduction from 1e-8
        self._scheduler = (
            ReduceLROnPlateau(update.optimizer, mode=mode, factor=factor, patience=patience, eps=0.0, min_lr=0.0)
            if factor < 1
            else None
        )

    def state(self) -> dict[str, float]:
        """What it remembers, as JSON values."""
        return {} if self._scheduler is None else {name: self._scheduler.state_dict()[name] for name in _REMEMBERED}

    def restore(self, state: Mapping[str, float]) -> None:
        """Puts `state` back; the learning rate itself is the update's."""
        if self._scheduler is not None:
            self._scheduler.load_state_dict(dict(state))

    def step(self, score: float) -> None:
        """Takes note of an epoch's score; nan (an AUC of one class) says nothing about progress and is passed over."""
        if self._scheduler is not None and not math.isnan(score):
            self._scheduler.step(score)
