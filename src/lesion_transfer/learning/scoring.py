"""Predictions and scores of a network in eval mode; nothing here trains or draws."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lesion_transfer.learning.architectures.layers import N_CLASSES
from lesion_transfer.learning.augmentation import centre_crop
from lesion_transfer.learning.errors import NotFiniteError
from lesion_transfer.learning.losses import LossFunction
from lesion_transfer.learning.metrics import classification_metrics
from lesion_transfer.learning.network import LesionNetwork


@dataclass(frozen=True)
class ScoredRows:
    """Rows to be scored: inputs (n, ...) of the module that scores them, labels (n,) int64 without -1."""

    inputs: Tensor
    labels: Tensor


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Inside the block the module is in eval mode and keeps no gradient; afterwards every layer's mode is as before."""
    modes = {layer: layer.training for layer in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, training in modes.items():
            layer.training = training


def predict_probabilities(
    network: LesionNetwork, images: Tensor, patch_pixels: int, batch_size: int = 256
) -> np.ndarray:
    """Positive-class probabilities (n,) float64 of the plain centre crops of z-scored images (n, C, H, W)."""
    return positive_probabilities(outputs(network, centre_crop(images, patch_pixels), batch_size))


def outputs(module: nn.Module, inputs: Tensor, batch_size: int = 256) -> Tensor:
    """What `module` gives for inputs (n, ...) in eval mode, in batches, in the module's own floating-point type."""
    weight = next(module.parameters())
    with evaluating(module):
        parts = [module(part.to(weight)) for part in inputs.split(batch_size)] if len(inputs) else []
        return torch.cat(parts) if parts else torch.empty(0, N_CLASSES)


def positive_probabilities(logits: Tensor) -> np.ndarray:
    """(n,) softmax probabilities of the positive class; float64, so that near-certain lesions keep their order."""
    return logits.double().softmax(dim=1)[:, 1].cpu().numpy()


def score(module: nn.Module, rows: ScoredRows, loss: LossFunction) -> dict[str, float]:
    """The metrics of `module` on these rows; raises NotFiniteError where an output is nan or infinite."""
    logits = outputs(module, rows.inputs).double().cpu()
    if not torch.isfinite(logits).all():
        raise NotFiniteError("The network's outputs are not finite.")
    labels = rows.labels.cpu()
    mean_loss = float(loss(logits, labels)) if len(labels) else float("nan")
    return classification_metrics(labels.numpy(), positive_probabilities(logits), mean_loss)
