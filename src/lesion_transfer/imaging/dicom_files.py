"""Opening DICOM files that anyone may have made: what is allowed is looked up before anything large is read."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import libjpeg
import numpy as np
import openjpeg
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.pixels.utils import get_expected_length
from pydicom.tag import BaseTag

from lesion_transfer.imaging.dicom_scan import dataset_of, scan_elements
from lesion_transfer.imaging.display import GreyImage, Window, display_values, grey_image
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.volume import MAX_VOXELS

# Deflated syntaxes are absent on purpose: a file of 1 MB can expand to gigabytes before its first tag is seen.
TRANSFER_SYNTAXES = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.RLELossless,
        uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEGLSNearLossless,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
    }
)
_CODESTREAMS = dict.fromkeys((uid.JPEG2000Lossless, uid.JPEG2000), openjpeg.get_parameters) | dict.fromkeys(
    (
        uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEGLSNearLossless,
    ),
    libjpeg.get_parameters,
)
# pydicom's warnings and errors quote the values that they are about; what has to be said, the errors here say.
logging.getLogger("pydicom").addFilter(lambda record: record.levelno < logging.WARNING)

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
MAX_PIXELS = 2**26
"""Of one frame, rows x columns x samples: sixteen times a 2048 x 2048 radiograph."""


class NotDicomError(Exception):
    """The file has no DICOM preamble: it is something else, not a broken DICOM file."""


def open_dicom(path: Path, only: Sequence[BaseTag] | None = None) -> Dataset:
    """The data set of a file in one of TRANSFER_SYNTAXES; with `only`, no more than these tags of it.

    A file is read up to the last tag that is asked for: pixels and the makers' large private headers stay on the disk.
    Raises NotDicomError for any other kind of file and UnreadableFileError for a DICOM file that cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are judged where they are used
            if only is not None:
                found = scan_elements(path, frozenset(map(int, only)), TRANSFER_SYNTAXES)
                if found is not None:
                    with suppress(Exception):  # the full reading finds it again and says it
                        return dataset_of(found)
            syntax = read_file_meta_info(path).get("TransferSyntaxUID")
            if syntax not in TRANSFER_SYNTAXES:
                name = uid.UID_dictionary[syntax][0] if syntax in uid.UID_dictionary else "missing or unknown"
                raise UnreadableFileError(f"{path}: the transfer syntax is {name}, which is not read here.")
            if only is None:
                return dcmread(path)
            last = max(only)
            with path.open("rb") as file:
                return read_partial(file, stop_when=lambda tag, vr, length: tag > last, specific_tags=list(only))
    except InvalidDicomError as error:
        raise NotDicomError(str(path)) from error
    except UnreadableFileError:
        raise
    except Exception as error:  # a damaged file can make the parser fail in any way
        kind = type(error).__name__  # its text would quote the value
        raise UnreadableFileError(f"{path}: the file cannot be parsed ({kind}).") from error


def check_size(dataset: Dataset, path: Path) -> None:
    """Raises UnreadableFileError when the image is empty, or larger than MAX_PIXELS a frame or MAX_VOXELS in all."""
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    pixels = rows * columns * int(dataset.get("SamplesPerPixel") or 1)
    if not 0 < pixels <= MAX_PIXELS:
        raise UnreadableFileError(f"{path}: the header declares {pixels} pixels a frame; 1 to {MAX_PIXELS} are read.")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if not 0 < pixels * frames <= MAX_VOXELS:
        raise UnreadableFileError(
            f"{path}: the header declares {pixels * frames} pixels in {frames} frames; 1 to {MAX_VOXELS} are read."
        )


def check_pixels(dataset: Dataset, path: Path) -> None:
    """What can be wrong with pixels before they are decoded: there are none, or fewer than the header says.

    A compressed image says its size once more; what it says there is what the decoder will fill memory with. Raises
    UnreadableFileError, also when a frame says another size than the header.
    """
    if not any(keyword in dataset for keyword in PIXEL_KEYWORDS):
        raise UnreadableFileError(f"{path}: the file holds no pixels (PixelData).")
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated and "PixelData" in dataset:
        held, needed = len(dataset.PixelData), get_expected_length(dataset)
        if held < needed:
            raise UnreadableFileError(
                f"{path}: the header declares {needed} bytes of pixels, the file holds {held}: it was cut off. Copy it "
                "again."
            )
    decoder = _CODESTREAMS.get(syntax)
    if decoder is None:
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    for encoded in generate_frames(dataset.PixelData, number_of_frames=frames):
        declared = decoder(encoded)
        size = int(declared["rows"]), int(declared["columns"])
        if size != (int(dataset.Rows), int(dataset.Columns)):
            raise UnreadableFileError(
                f"{path}: the compressed image has {size[0]} x {size[1]} pixels, the header says "
                f"{dataset.Rows} x {dataset.Columns}."
            )


def read_display_values(path: Path, default_window: Window | None = None) -> np.ndarray:
    """(rows, columns) float32 in [0, 255] of a single-frame grey DICOM file; see `display.display_values`.

    Raises UnreadableFileError, also for files that are not DICOM.
    """
    with told_as_sentences(path):
        return display_values(_open_image(path), default_window)


def read_grey_image(path: Path, default_window: Window | None = None) -> GreyImage:
    """The image of a single-frame grey DICOM file; see `display.grey_image`.

    Raises UnreadableFileError, also for files that are not DICOM.
    """
    with told_as_sentences(path):
        return grey_image(_open_image(path), default_window)


def _open_image(path: Path) -> Dataset:
    dataset = open_dicom(path)
    check_size(dataset, path)
    check_pixels(dataset, path)
    return dataset


@contextmanager
def told_as_sentences(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file's pixels in the block becomes an UnreadableFileError that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except NotDicomError as error:
        raise UnreadableFileError(f"{path}: not a DICOM file.") from error
    except UnreadableFileError as error:
        raise error if str(path) in str(error) else UnreadableFileError(f"{path}: {error}") from error
    except Exception as error:  # decoders fail in as many ways as there are codecs
        kind = type(error).__name__  # its text would quote what the header or the pixels hold
        raise UnreadableFileError(f"{path}: the pixels or a value of the header cannot be used ({kind}).") from error
