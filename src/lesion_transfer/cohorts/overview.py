"""A whole slice made small, with the place that a patch is cut from: where in the patient a reader is looking."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from lesion_transfer.datasets.finding import SequenceSlice

OVERVIEW_PX = 104
"""The longer side of an overview."""


@dataclass(frozen=True)
class Overview:
    """A slice (rows, columns) uint8 with square pixels, and (left, top, right, bottom) of the patch's outline on it."""

    pixels: np.ndarray
    outline_px: tuple[float, float, float, float]


def overview(source: SequenceSlice, step_px: tuple[float, float], patch_pixels: int) -> Overview:
    """The slice so that its longer side in mm has OVERVIEW_PX pixels; without a spacing its pixels count as square.

    step_px: (across, down), source pixels a patch pixel.
    """
    rows, columns = source.pixels.shape
    row_mm, column_mm = source.spacing_mm or (1.0, 1.0)
    scale = OVERVIEW_PX / max(rows * row_mm, columns * column_mm)
    width, height = max(1, round(columns * column_mm * scale)), max(1, round(rows * row_mm * scale))
    image = Image.fromarray(np.clip(np.rint(source.pixels), 0, 255).astype(np.uint8))
    shares = [
        ((centre + 0.5 - half) / length, (centre + 0.5 + half) / length)
        for centre, half, length in zip(
            source.centre_xy, (step * patch_pixels / 2 for step in step_px), (columns, rows), strict=True
        )
    ]
    (left, right), (top, bottom) = shares
    outline = (left * width, top * height, right * width, bottom * height)
    return Overview(np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)), outline)
