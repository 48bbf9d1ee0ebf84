"""Where a network looks: what hiding a part of the patch changes (Zeiler and Fergus 2014)."""

import numpy as np
from torch import Tensor

from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.scoring import outputs, positive_probabilities

WINDOW_PIXELS = 13
STRIDE_PIXELS = 6


def occlusion_map(
    network: LesionNetwork, patch: Tensor, window: int = WINDOW_PIXELS, stride: int = STRIDE_PIXELS
) -> np.ndarray:
    """(P, P) float64: by how much the positive probability falls when the window around a pixel is hidden.

    patch: (C, P, P), z-scored; hidden pixels become 0, the mean. A pixel gets the mean over the windows that hide it,
    so hiding a positive lesion's evidence is above 0.
    """
    side = patch.shape[-1]
    starts = sorted({*range(0, max(side - window, 0) + 1, stride), max(side - window, 0)})
    corners = [(row, column) for row in starts for column in starts]
    hidden = patch.repeat(len(corners) + 1, 1, 1, 1)  # the last one stays as it is
    for number, (row, column) in enumerate(corners):
        hidden[number, :, row : row + window, column : column + window] = 0
    probabilities = positive_probabilities(outputs(network, hidden))
    falls = probabilities[-1] - probabilities[:-1]
    total, count = np.zeros((side, side)), np.zeros((side, side))
    for (row, column), fall in zip(corners, falls, strict=True):
        total[row : row + window, column : column + window] += fall
        count[row : row + window, column : column + window] += 1
    return total / count
