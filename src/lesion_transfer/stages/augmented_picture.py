"""The montage of augmented patches: each with the dot of its lesion, sent through the same drawn map."""

import numpy as np
import torch

from lesion_transfer.cohorts.cohort import Cohort
from lesion_transfer.learning.augmentation import AffineParameters, apply_affine
from lesion_transfer.learning.augmented_dots import AugmentedDots
from lesion_transfer.reporting.montage import montage_png, red_dot_montage

N_PICTURED = 12


def augmented_picture(cohort: Cohort, dots: AugmentedDots) -> bytes:
    """PNG: patches spread over the cohort, moved by the first maps of `dots`, the dot in red, a cross on its place."""
    n = min(N_PICTURED, len(cohort.images), len(dots.parameters))
    rows = np.linspace(0, len(cohort.images) - 1, n).round().astype(int)
    parameters = dots.parameters[slice(0, n)]
    images = torch.from_numpy(np.array(cohort.images[rows]))
    steps = torch.arange(images.shape[-1], dtype=torch.float32) - (images.shape[-1] - 1) / 2
    bell = torch.exp(-0.5 * (steps / max(1.0, cohort.patch_pixels / 40)) ** 2)
    dot = (bell[:, None] * bell).expand(images.shape)
    moved, moved_dots = (apply_affine(part, parameters, cohort.patch_pixels).numpy() for part in (images, dot))
    keys = cohort.findings["finding_key"].iloc[rows]
    titles = [f"{key}\n{_words(parameters, number)}" for number, key in enumerate(keys)]
    shifts = torch.stack([parameters.shift_x_px, parameters.shift_y_px], dim=1).numpy()
    return montage_png(red_dot_montage(moved, moved_dots, cohort.channels, titles, shifts))


def _words(parameters: AffineParameters, number: int) -> str:
    """What was drawn for one sample: the angle, then what was drawn besides."""
    parts = [f"{float(parameters.angle_degrees[number]):+.0f}\N{DEGREE SIGN}"]
    if parameters.flip[number]:
        parts.append("flipped")
    x, y = (int(shift[number]) for shift in (parameters.shift_x_px, parameters.shift_y_px))
    if x or y:
        parts.append(f"shift {x:+d} {y:+d}")
    if parameters.stretch[number] != 1:
        parts.append(f"stretch {float(parameters.stretch[number]):.2f}")
    return ", ".join(parts)
