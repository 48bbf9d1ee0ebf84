"""Enhanced prediction (thesis 5.2.1): a lesion read in several augmented copies of itself."""

import numpy as np
import torch
from torch import Tensor

from lesion_transfer.learning.architectures.layers import N_CLASSES
from lesion_transfer.learning.batches import build_bank
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import AugmentationOptions
from lesion_transfer.learning.scoring import outputs, positive_probabilities


def augmented_probabilities(
    network: LesionNetwork,
    images: Tensor,
    rows: Tensor,
    copies: int,
    augmentation: AugmentationOptions,
    generator: torch.Generator,
    patch_pixels: int,
) -> np.ndarray:
    """Positive-class probabilities (m, copies) float64 of augmented copies of images[rows], each drawn once.

    images: (n, C, H, W), z-scored, with margin; rows: (m,). What is drawn depends on the generator and m alone, so two
    networks given the same stream read the same copies.
    """
    if len(rows) == 0 or copies == 0:
        return np.empty((len(rows), copies))
    logits = build_bank(
        images, rows, copies, augmentation, generator, patch_pixels, encode=lambda batch: outputs(network, batch)
    )  # (m, copies, N_CLASSES)
    return positive_probabilities(logits.reshape(-1, N_CLASSES)).reshape(len(rows), copies)
