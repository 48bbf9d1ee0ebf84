"""How the gradient flows: per batch and layer its mean and maximum size and the share of exact zeros (thesis 5.2.3)."""

import math
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
        self._sizes = torch.tensor([float(weight.numel()) for weight in self._weights])
        self._rows: list[np.ndarray] = []
        self._epochs: list[int] = []

    def record(self, epoch: int) -> None:
        """Notes one batch, after backward and before the step; three fused norms and one transfer for all layers."""
        gradients = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in self._weights]
        sums, largest, non_zeros = (_norms(gradients, order) for order in (1, math.inf, 0))
        sizes = self._sizes.to(sums)
        values = torch.stack([sums / sizes, largest, 1 - non_zeros / sizes], dim=1)
        self._rows.append(values.float().cpu().numpy())
        self._epochs.append(epoch)

    def result(self) -> GradientFlow:
        """What was recorded so far."""
        empty = np.zeros((0, len(self._layers), len(STATISTICS)), dtype=np.float32)
        values = np.stack(self._rows) if self._rows else empty
        return GradientFlow(self._layers, values, np.array(self._epochs, dtype=np.int32))


def _norms(tensors: list[Tensor], order: float) -> Tensor:
    """(n_layers,) norms of this order; 0 counts what is not zero."""
    return torch.stack(list(torch._foreach_norm(tensors, order)))
