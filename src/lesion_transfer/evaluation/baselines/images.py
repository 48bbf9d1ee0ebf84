"""Baselines of few pixels, and shortcuts: what an image gives away that is not the lesion."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lesion_transfer.evaluation.baselines.baseline import Baseline, logistic, support_vectors

SMALL_PATCH_MM = 5.0
PERCENTILES = (10, 50, 90)


def image_baselines(patches: np.ndarray, channels: Sequence[str], pitch_mm: float | None) -> list[Baseline]:
    """svm_patch and intensity, of patches (n, channels, rows, columns) around the lesion, `pitch_mm` a pixel."""
    side = None if pitch_mm is None else 2 * round((SMALL_PATCH_MM / pitch_mm - 1) / 2) + 1
    small = None if side is None else _pixels(_centre(patches, side), channels)
    return [
        Baseline(
            "svm_patch",
            f"support vector machine on the central {SMALL_PATCH_MM:g} mm"
            + ("" if side is None else f" ({side} x {side} pixels)"),
            small,
            support_vectors,
            reason=None if small is not None else "the size of a pixel in mm is not known",
        ),
        Baseline(
            "intensity",
            "logistic regression on mean, spread and percentiles of the patch, and on its centre against the rest",
            _intensities(patches, channels),
            logistic,
        ),
    ]


def shortcut_baselines(images: np.ndarray, findings: pd.DataFrame, channels: Sequence[str]) -> list[Baseline]:
    """image_size, mean_intensity, border: none of them shows the lesion, so what they reach is a shortcut.

    images: (n, channels, rows, columns) display values with margin; findings: CHANNEL_image_rows, CHANNEL_image_columns
    and CHANNEL_mean where known.
    """
    sizes = [f"{channel}_image_{axis}" for channel in channels for axis in ("rows", "columns")]
    known = all(name in findings and findings[name].notna().all() for name in sizes)
    means = [f"{channel}_mean" for channel in channels]
    whole = all(name in findings and findings[name].notna().all() for name in means)
    mean = findings[means] if whole else pd.DataFrame(images.mean(axis=(2, 3)), columns=means)
    ring = np.ones(images.shape[2:], dtype=bool)
    ring[1:-1, 1:-1] = False
    border = images[:, :, ring]  # (n, channels, pixels of the outermost ring)
    return [
        Baseline(
            "image_size",
            "logistic regression on rows and columns of the image",
            findings[sizes].reset_index(drop=True) if known else None,
            logistic,
            leak=True,
            reason=None if known else "the cohort does not say how large the images were",
        ),
        Baseline(
            "mean_intensity",
            f"logistic regression on the mean of the {'whole image' if whole else 'patch'}",
            mean.reset_index(drop=True),
            logistic,
            leak=True,
        ),
        Baseline(
            "border",
            "logistic regression on mean and spread of the outermost pixels of the patch",
            _table({"mean": border.mean(axis=2), "std": border.std(axis=2)}, channels),
            logistic,
            leak=True,
        ),
    ]


def _centre(patches: np.ndarray, side: int) -> np.ndarray:
    """The central (n, channels, side, side), or all of it where it is smaller."""
    row, column = ((size - min(side, size)) // 2 for size in patches.shape[2:])
    return patches[:, :, row : row + side, column : column + side]


def _pixels(patches: np.ndarray, channels: Sequence[str]) -> pd.DataFrame:
    names = [f"{channel}_{pixel}" for channel in channels for pixel in range(patches[0, 0].size)]
    return pd.DataFrame(patches.reshape(len(patches), -1).astype(np.float64), columns=names)


def _intensities(patches: np.ndarray, channels: Sequence[str]) -> pd.DataFrame:
    values = patches.astype(np.float64)
    mean = values.mean(axis=(2, 3))
    centre = _centre(values, max(1, values.shape[-1] // 5)).mean(axis=(2, 3))
    percentiles = np.percentile(values, PERCENTILES, axis=(2, 3))
    named = {f"p{percent}": percentiles[number] for number, percent in enumerate(PERCENTILES)}
    return _table({"mean": mean, "std": values.std(axis=(2, 3)), "centre": centre - mean, **named}, channels)


def _table(by_name: dict[str, np.ndarray], channels: Sequence[str]) -> pd.DataFrame:
    """Columns CHANNEL_NAME of arrays (n, channels)."""
    return pd.DataFrame(
        {
            f"{channel}_{name}": values[:, number].astype(np.float64)
            for number, channel in enumerate(channels)
            for name, values in by_name.items()
        }
    )
