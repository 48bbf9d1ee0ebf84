"""How the gradient flows: per batch and layer its mean and maximum size and the share of exact zeros (thesis 5.2.3)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

STATISTICS = ("mean_abs", "max_abs", "zero_share")


@dataclass(frozen=True)
class GradientFlow:
    """values: float32 (n_batches, n_layers, 3), the last axis as in STATISTICS; epochs: int32 (n_batches,), from 1."""

    layers: tuple[str, ...]
    values: np.ndarray
    epochs: np.ndarray


class GradientRecorder:
    """Notes the gradients of a module's trained weights (biases left out, as in the thesis's figure 5.5)."""

    def __init__(self, module: nn.Module) -> None:
        weights = {
            name: parameter
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and name.endswith("weight")
        }
        self._layers = tuple(weights)
        self._weights = list(weights.values())
        device = self._weights[0].device if self._weights else None
        self._sizes = torch.tensor([float(weight.numel()) for weight in self._weights], device=device)
        self._epochs: dict[int, list[np.ndarray]] = {}

    @property
    def layers(self) -> tuple[str, ...]:
        """Names from input to output."""
        return self._layers

    def statistics(self) -> Tensor:
        """Of one batch, after backward and before the step: float32 (n_layers, 3), as in STATISTICS, on the device.

        Three fused norms for all layers.
        """
        gradients = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in self._weights]
        sums, largest, non_zeros = (_norms(gradients, order) for order in (1, math.inf, 0))
        sizes = self._sizes.to(sums)
        return torch.stack([sums / sizes, largest, 1 - non_zeros / sizes], dim=1).float()

    def note(self, epoch: int, values: np.ndarray) -> None:
        """Notes a batch's statistics, float32 (n_layers, 3)."""
        self._epochs.setdefault(epoch, []).append(values[None])

    def by_epoch(self) -> dict[int, np.ndarray]:
        """What was recorded so far: float32 (batches of the epoch, n_layers, 3) by epoch."""
        self._epochs = {
            epoch: rows if len(rows) == 1 else [np.concatenate(rows)] for epoch, rows in self._epochs.items()
        }
        return {epoch: rows[0] for epoch, rows in self._epochs.items()}

    def restore(self, by_epoch: Mapping[int, np.ndarray]) -> None:
        """Goes on from what `by_epoch` gave."""
        self._epochs = {epoch: [values] for epoch, values in by_epoch.items()}

    def result(self) -> GradientFlow:
        """What was recorded so far."""
        by_epoch = self.by_epoch()
        empty = np.zeros((0, len(self._layers), len(STATISTICS)), dtype=np.float32)
        values = np.concatenate([empty, *by_epoch.values()])
        epochs = [epoch for epoch, rows in by_epoch.items() for _ in rows]
        return GradientFlow(self._layers, values, np.array(epochs, dtype=np.int32))


def _norms(tensors: list[Tensor], order: float) -> Tensor:
    """(n_layers,) norms of this order; 0 counts what is not zero."""
    return torch.stack(list(torch._foreach_norm(tensors, order)))
