"""Stored values to display values in [0, 255]: modality rescale, then the VOI window (thesis 4.3.3, PS3.3 C.11)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

from lesion_transfer.imaging.errors import UnreadableFileError

DISPLAY_MAX = 255.0
_GREY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True)
class Window:
    """A linear VOI window in the units of the rescaled values (Hounsfield units in CT)."""

    centre: float
    width: float


def display_values(dataset: Dataset, default_window: Window | None = None) -> np.ndarray:
    """(rows, columns) float32 in [0, 255], dark to bright, as a viewer shows the image.

    pydicom's modality rescale, then the first VOI LUT or window of the header (equations 4.2-4.4 with y from 0 to
    255). Without a usable window: `default_window`, else the range that the stored bits can hold becomes 0..255.
    MONOCHROME1 is inverted. Raises UnreadableFileError for colour and for several frames.
    """
    if dataset.get("PhotometricInterpretation") not in _GREY or dataset.get("SamplesPerPixel", 1) != 1:
        colour = dataset.get("PhotometricInterpretation") or "of unknown colour"
        raise UnreadableFileError(f"The image is {colour}, not grey (MONOCHROME1 or MONOCHROME2).")
    stored = dataset.pixel_array
    if stored.ndim != 2:
        raise UnreadableFileError(f"The image has {stored.shape[0]} frames; only single frames are read.")
    modality = apply_modality_lut(stored, dataset).astype(np.float64)
    if dataset.get("VOILUTSequence"):
        bits = _lut_bits(dataset.VOILUTSequence[0])
        # A LUT is addressed by whole numbers; a rescale has made floats of them.
        shown = apply_voi(np.rint(modality).astype(np.int64), dataset) * (DISPLAY_MAX / (2**bits - 1))
    elif window := header_window(dataset):
        shown = _windowed(modality, window, str(dataset.get("VOILUTFunction") or "LINEAR"))
    elif default_window is not None:
        shown = _windowed(modality, default_window, "LINEAR")
    else:
        shown = _by_stored_bits(modality, dataset)
    shown = np.clip(shown, 0.0, DISPLAY_MAX)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = DISPLAY_MAX - shown
    return shown.astype(np.float32)


def header_window(dataset: Dataset) -> Window | None:
    """The first window of the header; None where it has none that can be applied."""
    centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if centre is None or width is None or not np.isfinite([centre, width]).all():
        return None
    smallest = 1.0 if str(dataset.get("VOILUTFunction") or "LINEAR") == "LINEAR" else np.nextafter(0.0, 1.0)
    return Window(centre, width) if width >= smallest else None


def _first(value: Any) -> float | None:
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return float(value) if value not in (None, "") else None
    return float(value[0]) if len(value) else None


def _windowed(modality: np.ndarray, window: Window, function: str) -> np.ndarray:
    # pydicom scales to the range that the header's bits allow; a header of 8 plain bits makes that 0..255.
    header = Dataset()
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsStored = 8
    header.PixelRepresentation = 0
    header.WindowCenter = window.centre
    header.WindowWidth = window.width
    header.VOILUTFunction = function
    return apply_windowing(modality, header)


def _by_stored_bits(modality: np.ndarray, dataset: Dataset) -> np.ndarray:
    """The range of values that the stored bits can express, after the modality step, becomes 0..255."""
    if dataset.get("ModalityLUTSequence"):
        low, high = 0.0, 2.0 ** _lut_bits(dataset.ModalityLUTSequence[0]) - 1
    else:
        bits = int(dataset.BitsStored)
        signed = int(dataset.PixelRepresentation) == 1
        low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
        slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
        if slope is not None and intercept is not None:
            low, high = sorted([low * float(slope) + float(intercept), high * float(slope) + float(intercept)])
    if high <= low:  # a slope of 0 leaves one value, which has no place between dark and bright
        return np.zeros_like(modality)
    return (modality - low) / (high - low) * DISPLAY_MAX


def _lut_bits(lut: Dataset) -> int:
    return max(1, int(lut.LUTDescriptor[2]))
