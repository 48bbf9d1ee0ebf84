"""A dot at a known place of an image, instead of what it shows: with it a crop proves where it looks."""

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK

from lesion_transfer.imaging.dicom_files import open_dicom
from lesion_transfer.imaging.display import DISPLAY_MAX, Window, shown_values, stored_values

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


class DicomCanvas:
    """A DICOM file, read once, into whose stored values dots can be drawn.

    shown: (rows, columns) its display values without one. Raises what `open_dicom` raises.
    """

    def __init__(self, path: Path, default_window: Window | None = None) -> None:
        self._dataset = open_dicom(path)
        self._default_window = default_window
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._stored = stored_values(self._dataset)
            self.shown = self._show(self._stored)

    def with_dot(self, dot: np.ndarray) -> np.ndarray | None:
        """Display values (rows, columns) of the file if the dot were stored in it instead of its image.

        dot: (rows, columns) in [0, 1] as the file stores the image. The stored values run from a faint to a bright one
        of the image itself, so that rescale and window take the dot as they take the image. None where the image has
        too few values between black and white to draw with.
        """
        if self._ends is None:
            return None
        low, high = self._ends
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._show(np.rint(low + (high - low) * dot).astype(self._stored.dtype))

    @cached_property
    def _ends(self) -> tuple[float, float] | None:
        between = self._stored[(self.shown > 0) & (self.shown < DISPLAY_MAX)]
        if not len(between):
            return None
        low, high = np.percentile(between, [_FAINT, _BRIGHT], method="nearest").astype(float)
        return None if low == high else (low, high)

    def _show(self, stored: np.ndarray) -> np.ndarray:
        return shown_values(stored, self._dataset, self._default_window)


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
