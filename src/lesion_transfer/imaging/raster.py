"""Photographs and screenshots (JPG, PNG) to grey values, whatever their mode."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lesion_transfer.imaging.errors import UnreadableFileError

_FORMATS = ("JPEG", "PNG")
_TO_BYTE = 255.0 / 65535.0


def read_grey(path: Path) -> np.ndarray:
    """(rows, columns) float32 in [0, 255]: luminance as Pillow's `convert("L")` has it, turned as EXIF says.

    16-bit grey is scaled from 0..65535 and keeps its steps; transparency is ignored. Raises UnreadableFileError for
    anything but JPEG and PNG, for damaged files, and for images beyond Pillow's decompression-bomb limit.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as opened:
                image = ImageOps.exif_transpose(opened)
                if image.mode.startswith("I"):
                    return np.clip(np.asarray(image, dtype=np.float32) * _TO_BYTE, 0, 255).astype(np.float32)
                return np.asarray(image.convert("L"), dtype=np.float32)
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged file
        raise UnreadableFileError(f"{path}: not a JPEG or PNG image that can be read ({error}).") from error
