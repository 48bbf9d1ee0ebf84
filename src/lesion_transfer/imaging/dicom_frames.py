"""DICOM images of any kind to look at: colour and several frames too, which no cohort is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, pixel_array

from lesion_transfer.imaging.dicom_files import check_pixels, check_size, open_dicom, told_as_sentences
from lesion_transfer.imaging.display import DISPLAY_MAX, GreyImage, Window, grey_from_stored, is_grey, named_colour
from lesion_transfer.imaging.errors import GeometryError, UnreadableFileError
from lesion_transfer.imaging.geometry import SliceGeometry, pixel_spacing_mm

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


def read_frames(path: Path) -> list[Frame]:
    """The frames of a DICOM file, each by its own rescale and window where it has them.

    Raises UnreadableFileError, also for files that are not DICOM or hold no image.
    """
    with told_as_sentences(path):
        dataset = open_dicom(path)
        check_size(dataset, path)
        check_pixels(dataset, path)
        return list(_frames(dataset))


def _frames(dataset: Dataset) -> Iterator[Frame]:
    for number in range(int(dataset.get("NumberOfFrames") or 1)):
        stored = pixel_array(dataset, index=number)  # YBR becomes RGB
        header = _header(dataset, number)
        place = pixel_spacing_mm(header), _geometry(header)
        if is_grey(dataset):
            yield Frame(grey_from_stored(stored, header), None, *place)
        else:
            rgb = _rgb(stored, dataset)
            grey = GreyImage(rgb @ _LUMINANCE, Window.spanning(0.0, DISPLAY_MAX), True, False)
            yield Frame(grey, rgb, *place)


def _geometry(header: Dataset) -> SliceGeometry | None:
    try:
        return SliceGeometry.from_dataset(header)
    except GeometryError:
        return None


def _header(dataset: Dataset, number: int) -> Dataset:
    """The header of one frame: what the functional groups say of it stands before what holds for all."""
    header = Dataset()
    header.update({element.tag: element for element in dataset if element.keyword != "PixelData"})
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
