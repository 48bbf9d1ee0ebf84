"""DICOM images of any kind to look at: colour and several frames too, which no cohort is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, pixel_array

from lesion_transfer.imaging.dicom_files import (
    PIXEL_KEYWORDS,
    check_pixels,
    check_size,
    open_dicom,
    told_as_sentences,
)
from lesion_transfer.imaging.display import DISPLAY_MAX, GreyImage, Window, grey_from_stored, is_grey, named_colour
from lesion_transfer.imaging.errors import GeometryError, UnreadableFileError
from lesion_transfer.imaging.geometry import SliceGeometry, pixel_spacing_mm
from lesion_transfer.imaging.volume import range_of_planes

_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's convert("L")
_GROUPS = (
    *("PixelValueTransformationSequence", "FrameVOILUTSequence"),
    *("PixelMeasuresSequence", "PlaneOrientationSequence", "PlanePositionSequence"),
)


@dataclass(frozen=True)
class Frame:
    """One frame of an image.

    rgb: (rows, columns, 3) uint8 of a colour image, whose luminance is then `grey`. spacing_mm: (between rows, between
    columns). geometry: where the frame lies. Each is None where the file does not say it.
    """

    grey: GreyImage
    rgb: np.ndarray | None = None
    spacing_mm: tuple[float, float] | None = None
    geometry: SliceGeometry | None = None


class Frames:
    """The frames of a DICOM file. Each is decoded whenever it is asked for: in floating-point numbers, all of them
    together would take several times the memory of the file.

    Raises UnreadableFileError, also for files that are not DICOM or hold no image.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with told_as_sentences(path):
            self._dataset = open_dicom(path)
            check_size(self._dataset, path)
            check_pixels(self._dataset, path)
            self._n = int(self._dataset.get("NumberOfFrames") or 1)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Frame]:
        return (self[number] for number in range(self._n))

    def __getitem__(self, number: int) -> Frame:
        with told_as_sentences(self._path):
            stored = pixel_array(self._dataset, index=number)  # YBR becomes RGB
            header = _header(self._dataset, number)
            place = pixel_spacing_mm(header), _geometry(header)
            if is_grey(self._dataset):
                window = self._window_of_floats if stored.dtype.kind == "f" else None
                return Frame(grey_from_stored(stored, header, window), None, *place)
            rgb = _rgb(stored, self._dataset)
            grey = GreyImage(rgb @ _LUMINANCE, Window.spanning(0.0, DISPLAY_MAX), True, False)
            return Frame(grey, rgb, *place)

    @cached_property
    def _window_of_floats(self) -> Window:
        """The range of all frames of a parametric map: no number of bits says what floating-point pixels can hold."""
        frames = (pixel_array(self._dataset, index=number) for number in range(self._n))
        return Window.spanning(*range_of_planes(frames))


def read_frames(path: Path) -> Frames:
    """The frames of a DICOM file, each by its own rescale and window where it has them.

    Raises UnreadableFileError when a frame is asked for that cannot be decoded, and at once for files that are not
    DICOM or hold no image.
    """
    return Frames(path)


def _geometry(header: Dataset) -> SliceGeometry | None:
    try:
        return SliceGeometry.from_dataset(header)
    except GeometryError:
        return None


def _header(dataset: Dataset, number: int) -> Dataset:
    """The header of one frame: what the functional groups say of it stands before what holds for all."""
    header = Dataset()
    header.file_meta = dataset.file_meta  # it says the byte order of lookup tables
    header.update({element.tag: element for element in dataset if element.keyword not in PIXEL_KEYWORDS})
    for groups, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", number)):
        items = dataset.get(groups) or []
        for group in _GROUPS if index < len(items) else ():
            for item in items[index].get(group) or []:
                header.update(item)
    return header


def _rgb(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """(rows, columns, 3) uint8."""
    bits = int(dataset.BitsStored)
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
        bits = stored.dtype.itemsize * 8
    if stored.ndim != 3 or stored.shape[2] < 3:
        raise UnreadableFileError(
            f"The image is {named_colour(dataset)} with pixels of {stored.shape}, not a known colour."
        )
    return (stored[..., :3] >> max(0, bits - 8)).astype(np.uint8)
