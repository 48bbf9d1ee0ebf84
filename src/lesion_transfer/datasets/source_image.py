"""What a check asks of the file behind a slice: its kind, its pixels, and the slice with a dot instead of anatomy."""

import math
from dataclasses import dataclass, replace

import numpy as np
from pydicom.misc import is_dicom

from lesion_transfer.datasets.finding import Finding, SequenceSlice
from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.red_dot import DicomCanvas, gaussian_dot, place_by_simpleitk
from lesion_transfer.imaging.series_kind import series_kind

POSITION = "position in the patient, by SimpleITK"
PIXEL = "pixel of the table"
_GROUND, _TOP = 32.0, 224.0
"""Display values of a dot in an image that is no DICOM file."""
_REACH = 3.0
"""A dot nearer to the image's edge than this many sigmas is cut, and cannot be measured."""


@dataclass(frozen=True)
class LesionPlace:
    """Where a lesion lies on a slice: (column, row), and by what that is known (POSITION or PIXEL).

    distance_mm: from the slice's plane; nan where only a pixel is known.
    """

    centre_xy: tuple[float, float]
    known_by: str
    distance_mm: float = math.nan


@dataclass(frozen=True)
class SourceImages:
    """The files behind a data set's slices, shown with its window where they have none of their own."""

    default_window: Window | None = None

    def place_of(self, finding: Finding, source: SequenceSlice) -> LesionPlace:
        """Where the dot belongs, whatever the crop will take as its centre.

        A position in the patient is put on the slice by SimpleITK, not by our own geometry; without one the table's
        pixel is all there is.
        """
        if finding.position_lps_mm is not None and _is_dicom(source):
            x, y, distance_mm = place_by_simpleitk(source.file, finding.position_lps_mm)
            return LesionPlace((x, y), POSITION, distance_mm)
        return LesionPlace(source.centre_xy, PIXEL)

    def opened(self, source: SequenceSlice) -> "OpenedImage":
        """The file of a slice, read once."""
        return OpenedImage(source, DicomCanvas(source.file, self.default_window) if _is_dicom(source) else None)


@dataclass(frozen=True)
class OpenedImage:
    """A slice and its DICOM file; None for any other kind of file."""

    source: SequenceSlice
    canvas: DicomCanvas | None

    def with_dot(self, centre_xy: tuple[float, float], sigma_xy_px: tuple[float, float]) -> SequenceSlice | None:
        """The slice with a dot at centre_xy; None where it would be cut by the edge or finds no contrast.

        In a DICOM file the stored values are overwritten, so that the dot goes through rescale, window and all that
        follows. Any other image is overwritten as it was read.
        """
        rows, columns = self.source.pixels.shape
        to_edge = [
            min(centre + 0.5, length - 0.5 - centre) for centre, length in zip(centre_xy, (columns, rows), strict=True)
        ]
        if any(near < _REACH * sigma for near, sigma in zip(to_edge, sigma_xy_px, strict=True)):
            return None
        dot = gaussian_dot((rows, columns), centre_xy, sigma_xy_px)
        if self.canvas is not None:
            drawn = self.canvas.with_dot(dot)
            return None if drawn is None else replace(self.source, pixels=drawn)
        return replace(self.source, pixels=(_GROUND + (_TOP - _GROUND) * dot).astype(np.float32))

    @property
    def is_as_filed(self) -> bool:
        """Whether a reader's pixels are those of its DICOM file, in place and value; True for other files."""
        return self.canvas is None or np.array_equal(self.canvas.shown, self.source.pixels)

    @property
    def kind(self) -> str:
        """The kind of series, by coded attributes; the suffix of a file that is not DICOM."""
        file = self.source.file
        return series_kind(file) if self.canvas is not None else file.suffix.lower().lstrip(".")


def _is_dicom(source: SequenceSlice) -> bool:
    """Whether the slice is an image of a DICOM file, not of a picture, a volume or an archive."""
    return source.file.is_file() and is_dicom(source.file)
