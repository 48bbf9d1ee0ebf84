"""A dot at a known place of an image, instead of what it shows: with it a crop proves where it looks."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from lesion_transfer.imaging.dicom_files import open_dicom
from lesion_transfer.imaging.display import DISPLAY_MAX, Window, display_values

_FAINT, _BRIGHT = 1.0, 99.0
"""Percentiles of the image's own stored values that the dot's ground and its top take."""


def gaussian_dot(
    shape: tuple[int, int], centre_xy: tuple[float, float], sigma_xy_px: tuple[float, float]
) -> np.ndarray:
    """(rows, columns) float64 in [0, 1]: a Gaussian with its top at centre_xy (column, row), pixel centres whole."""
    across, down = (
        np.exp(-0.5 * ((np.arange(length) - centre) / sigma) ** 2)
        for length, centre, sigma in zip(shape[::-1], centre_xy, sigma_xy_px, strict=True)
    )
    return np.outer(down, across)


def dicom_with_dot(path: Path, dot: np.ndarray, default_window: Window | None = None) -> np.ndarray | None:
    """Display values (rows, columns) of a DICOM file whose stored values were replaced by the dot.

    dot: (rows, columns) in [0, 1] as the file stores the image. The stored values run from a faint to a bright one of
    the image itself, so that rescale and window take the dot as they take the image. None where the image has too few
    values between black and white to draw with. Raises what `open_dicom` raises.
    """
    dataset = open_dicom(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = dataset.pixel_array
        shown = display_values(dataset, default_window)
        between = stored[(shown > 0) & (shown < DISPLAY_MAX)]
        if not len(between):
            return None
        low, high = np.percentile(between, [_FAINT, _BRIGHT], method="nearest").astype(float)
        if low == high:
            return None
        drawn = np.rint(low + (high - low) * dot).astype(stored.dtype)
        dataset.set_pixel_data(
            drawn, dataset.PhotometricInterpretation, int(dataset.BitsStored), generate_instance_uid=False
        )
        return display_values(dataset, default_window)


def place_by_simpleitk(path: Path, position_lps_mm: Sequence[float]) -> tuple[float, float, float]:
    """(column, row) of the point of a DICOM slice's plane that is nearest to a position, and how far that is, mm.

    A second opinion: SimpleITK reads the header and multiplies its matrix, without anything of `geometry`.
    """
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    plane = SimpleITK.Image([1, 1, 1], SimpleITK.sitkUInt8)
    plane.SetOrigin(reader.GetOrigin())
    plane.SetSpacing(reader.GetSpacing())
    plane.SetDirection(reader.GetDirection())
    x, y, steps = plane.TransformPhysicalPointToContinuousIndex([float(part) for part in position_lps_mm])
    return x, y, abs(steps * plane.GetSpacing()[2])
