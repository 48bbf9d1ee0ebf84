"""Stored values to display values in [0, 255]: modality rescale, then the VOI window (thesis 4.3.3, PS3.3 C.11).

Cohorts, viewers and pictures all show pixels by the functions here.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing
from pydicom.pixels.common import PhotometricInterpretation

from lesion_transfer.imaging.errors import UnreadableFileError

DISPLAY_MAX = 255.0
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_GREY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True)
class Window:
    """A VOI window in the units of the rescaled values (Hounsfield units in CT).

    function: LINEAR (equations 4.2-4.4), LINEAR_EXACT or SIGMOID, as DICOM's VOILUTFunction (PS3.3 C.11.2.1.2-3).
    """

    centre: float
    width: float
    function: str = "LINEAR"

    @classmethod
    def spanning(cls, low: float, high: float) -> Self:
        """The window in which `low` becomes 0 and `high` 255."""
        return cls((low + high) / 2, high - low, "LINEAR_EXACT")

    def apply(self, values: np.ndarray) -> np.ndarray:
        """`values` as float64 of the same shape in [0, 255]; a LINEAR_EXACT window without a width gives 0."""
        if self.function == "LINEAR_EXACT":
            if self.width <= 0:  # one value has no place between dark and bright
                return np.zeros(values.shape)
            low = self.centre - self.width / 2
            with np.errstate(over="ignore"):  # what overflows is white or black all the same
                shown = (np.asarray(values, dtype=np.float64) - low) / self.width * DISPLAY_MAX
            return np.clip(shown, 0.0, DISPLAY_MAX)
        # pydicom scales to the range that the header's bits allow; a header of 8 plain bits makes that 0..255.
        header = Dataset()
        header.PhotometricInterpretation = "MONOCHROME2"
        header.BitsStored = 8
        header.PixelRepresentation = 0
        header.WindowCenter = self.centre
        header.WindowWidth = self.width
        header.VOILUTFunction = self.function
        return np.clip(apply_windowing(np.asarray(values, dtype=np.float64), header), 0.0, DISPLAY_MAX)


@dataclass(frozen=True)
class GreyImage:
    """An image before it is shown.

    values: (rows, columns) float64 after the modality rescale, or what a VOI LUT makes of that, in [0, 255].
    window: what shows them; has_window: whether the file named it, or it is the range of the stored bits.
    inverted: high values are dark (MONOCHROME1).
    """

    values: np.ndarray
    window: Window
    has_window: bool
    inverted: bool

    def shown(self) -> np.ndarray:
        """(rows, columns) float32 in [0, 255], dark to bright."""
        shown = self.window.apply(self.values)
        return (DISPLAY_MAX - shown if self.inverted else shown).astype(np.float32)


def grey_image(dataset: Dataset, default_window: Window | None = None) -> GreyImage:
    """The image of a grey single-frame data set: pydicom's modality rescale, then the first VOI LUT or window.

    Without a usable window: `default_window`, else the range that the stored bits can hold. Raises UnreadableFileError
    for colour, for several frames and for bits in another place than the standard's.
    """
    return grey_from_stored(stored_values(dataset), dataset, default_window)


def stored_values(dataset: Dataset) -> np.ndarray:
    """(rows, columns) as stored, of a grey single-frame data set without functional groups; raises as `grey_image`."""
    if not is_grey(dataset):
        raise UnreadableFileError(f"The image is {named_colour(dataset)}, not grey (MONOCHROME1 or MONOCHROME2).")
    if dataset.get("SharedFunctionalGroupsSequence") or dataset.get("PerFrameFunctionalGroupsSequence"):
        raise UnreadableFileError(
            "The image is enhanced DICOM, whose rescale and place stand in functional groups, which are read for "
            "viewing alone; store it as classic DICOM, a file a slice."
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames == 1:
        stored = dataset.pixel_array
        if stored.ndim == 2:
            return stored
        frames = stored.shape[0]  # pydicom finds more than the header says
    raise UnreadableFileError(f"The image has {frames} frames; only single frames are read.")


def is_grey(dataset: Dataset) -> bool:
    """Whether the pixels are one grey value each."""
    return dataset.get("PhotometricInterpretation") in _GREY and dataset.get("SamplesPerPixel", 1) == 1


def named_colour(dataset: Dataset) -> str:
    """PhotometricInterpretation where it is one of the standard's terms: a damaged one may be a name."""
    term = dataset.get("PhotometricInterpretation")
    return str(term) if term in list(PhotometricInterpretation) else "of unknown colour"


def grey_from_stored(stored: np.ndarray, dataset: Dataset, default_window: Window | None = None) -> GreyImage:
    """The image of stored values (rows, columns) by the rescale and window of a header; see `grey_image`."""
    _check_bits(dataset)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    # pydicom counts the entries of a LUT in the type of what it is given, in which the difference may have no room.
    addressed = stored.astype(np.int64) if dataset.get("ModalityLUTSequence") else stored
    values = apply_modality_lut(addressed, dataset).astype(np.float64)
    if dataset.get("VOILUTSequence"):
        return GreyImage(_looked_up(values, dataset), Window.spanning(0.0, DISPLAY_MAX), True, inverted)
    window = header_window(dataset)
    chosen = window or default_window or Window.spanning(*_stored_range(dataset))
    return GreyImage(values, chosen, window is not None, inverted)


def _check_bits(dataset: Dataset) -> None:
    """pydicom takes the lowest BitsStored bits for the value, as the standard wants it (PS3.5 8.1.1)."""
    bits, high = dataset.get("BitsStored"), dataset.get("HighBit")
    if bits is not None and high is not None and int(high) != int(bits) - 1:
        raise UnreadableFileError(
            f"HighBit is {int(high)} where BitsStored is {int(bits)}: only values in the lowest bits are read. Store "
            f"the image anew, with HighBit {int(bits) - 1}."
        )


def _looked_up(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Rescaled values by the first VOI LUT, float64 of the same shape in [0, 255].

    pydicom counts entries in the type that they have themselves, which ends at 255 for entries of 8 bits: it is given
    entries of 16, and values that the LUT has an entry for.
    """
    lut = dataset.VOILUTSequence[0]
    n, first, bits = (int(number) for number in lut.LUTDescriptor)
    n = n % 2**16 or 2**16  # 0 stands for 65,536
    # A LUT is addressed by whole numbers; a rescale has made floats of them.
    addressed = np.clip(np.rint(values).astype(np.int64), first, first + n - 1)
    header = Dataset()
    header.file_meta = dataset.file_meta
    header.VOILUTSequence = [Dataset()]
    wide = header.VOILUTSequence[0]
    wide.update(lut)
    # Elements are shared with the file's own LUT: they are replaced here, never changed.
    wide.add_new("LUTDescriptor", "SS" if first < 0 else "US", [n % 2**16, first, 16 if bits == 8 else bits])
    if bits == 8 and isinstance(lut.LUTData, bytes) and len(lut.LUTData) < 2 * n:
        wide.add_new("LUTData", "US", list(lut.LUTData[:n]))  # two entries a word, as the standard has it
    entries = apply_voi(addressed, header)
    if bits == 8 and entries.max() > DISPLAY_MAX:
        raise UnreadableFileError("VOILUTSequence has entries above 255, where its LUTDescriptor says 8 bits.")
    return entries * (DISPLAY_MAX / (2 ** _lut_bits(lut) - 1))


def display_values(dataset: Dataset, default_window: Window | None = None) -> np.ndarray:
    """(rows, columns) float32 in [0, 255], dark to bright, as a viewer shows the image; see `grey_image`."""
    return shown_values(stored_values(dataset), dataset, default_window)


def shown_values(stored: np.ndarray, dataset: Dataset, default_window: Window | None = None) -> np.ndarray:
    """(rows, columns) float32 in [0, 255] of stored values by the rescale and window of a header; see `grey_image`."""
    low, high = stored.min(), stored.max()
    if stored.dtype.kind not in "iu" or int(high) - int(low) >= stored.size:
        return grey_from_stored(stored, dataset, default_window).shown()
    # Each pixel is shown by its value alone, and an image has fewer values than pixels.
    levels = np.arange(int(low), int(high) + 1).astype(stored.dtype)[None]
    shown = grey_from_stored(levels, dataset, default_window).shown()[0]
    return shown[stored.astype(np.intp) - int(low)]


def header_window(dataset: Dataset) -> Window | None:
    """The first window of the header; None where it has none that can be applied."""
    centre, width = _first(dataset, "WindowCenter"), _first(dataset, "WindowWidth")
    if centre is None or width is None or not np.isfinite([centre, width]).all():
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    function = function if function in _FUNCTIONS else "LINEAR"  # the standard's own default
    smallest = 1.0 if function == "LINEAR" else np.nextafter(0.0, 1.0)
    return Window(centre, width, function) if width >= smallest else None


def _first(dataset: Dataset, keyword: str) -> float | None:
    try:
        value = dataset.get(keyword)
        if isinstance(value, str) or not hasattr(value, "__len__"):
            return float(value) if value not in (None, "") else None
        return float(value[0]) if len(value) else None
    except (TypeError, ValueError) as error:
        raise UnreadableFileError(f"{keyword} is not a number.") from error


def _stored_range(dataset: Dataset) -> tuple[float, float]:
    """The smallest and the largest value that the stored bits can express, after the modality step."""
    if dataset.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** _lut_bits(dataset.ModalityLUTSequence[0]) - 1
    if "BitsStored" not in dataset:
        raise UnreadableFileError(
            "The header has neither a window nor BitsStored to say what is dark and what is bright."
        )
    bits = int(dataset.BitsStored)
    signed = int(dataset.PixelRepresentation) == 1
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is not None and intercept is not None:
        low, high = sorted([low * float(slope) + float(intercept), high * float(slope) + float(intercept)])
    return low, high


def _lut_bits(lut: Dataset) -> int:
    return max(1, int(lut.LUTDescriptor[2]))
