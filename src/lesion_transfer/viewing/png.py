"""Every DICOM, NIfTI and MetaImage file of a tree as PNG (the thesis's "anydatasettopng", 4.7)."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, PngImagePlugin
from pydicom.tag import Tag

from lesion_transfer.errors import LesionError
from lesion_transfer.files import replacing
from lesion_transfer.imaging.dicom_files import NotDicomError, open_dicom, read_grey_image
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.metaimage import is_metaimage, read_metaimage
from lesion_transfer.imaging.nifti import is_nifti, read_nifti
from lesion_transfer.imaging.volume import Volume, finite_range
from lesion_transfer.imaging.walk import files_below

Scale = Literal["window", "range"]
MAKER = "lesion png"
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class Conversion:
    """What was done: files read, pictures written, and a sentence for each file that could not be converted."""

    n_files: int
    n_pictures: int
    failures: tuple[str, ...]


def to_8_bits(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """uint8 of the same shape: (p - min) * 255 / (max - min), the fraction cut off (algorithm 1 of the thesis).

    low and high replace the smallest and the largest finite value. A constant image becomes 0, nan and -inf too.
    """
    smallest, largest = finite_range(values)
    low, high = smallest if low is None else low, largest if high is None else high
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    scaled = (np.asarray(values, dtype=np.float64) - low) * 255.0 / (high - low)
    return np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0), 0.0, 255.0).astype(np.uint8)


def convert_tree(
    folder: Path, out: Path | None, scale: Scale = "window", moved: Callable[[int, int], None] = lambda *_: None
) -> Conversion:
    """Writes a PNG for each image below `folder`, beside it or in the same place below `out`.

    `SCAN.dcm` becomes `SCAN.png`, a volume `SCAN-000.png`, `SCAN-001.png`, ... (in time `SCAN-t00-000.png`); where two
    files of a folder would share a name, the picture keeps the whole one (`SCAN.dcm.png`). scale: `window` shows DICOM
    and NIfTI as the file asks and everything else by its range (`to_8_bits`), `range` all by its range.

    One that fails never stops the others. A file that this command did not make is never replaced.
    """
    if not folder.is_dir():
        raise LesionError(f"{folder} is no folder: name the folder whose images become PNG files.")
    files = [file for file in files_below(folder) if _is_image(file)]
    taken = Counter((file.parent, _stem(file).casefold()) for file in files)
    n_pictures = 0
    failures: list[str] = []
    for number, file in enumerate(files):
        moved(number, len(files))
        name = _stem(file) if taken[(file.parent, _stem(file).casefold())] == 1 else file.name
        target = (file.parent if out is None else out / file.parent.relative_to(folder)) / name
        try:
            for suffix, pixels in _pictures(file, scale):
                _write(target.with_name(f"{target.name}{suffix}.png"), pixels)
                n_pictures += 1
        except LesionError as error:
            failures.append(str(error))
        except (OSError, MemoryError) as error:
            failures.append(f"{file}: {error or type(error).__name__}")
    moved(len(files), len(files))
    return Conversion(len(files), n_pictures, tuple(failures))


def _is_image(file: Path) -> bool:
    """By its name, or by the letters DICM behind the preamble; a file named like DICOM counts, to be told if broken."""
    if is_nifti(file) or is_metaimage(file) or file.suffix.lower() in _DICOM_SUFFIXES:
        return True
    try:
        with file.open("rb") as opened:
            return opened.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _stem(file: Path) -> str:
    return file.name[: -len(".nii.gz")] if file.name.lower().endswith(".nii.gz") else file.stem


def _pictures(file: Path, scale: Scale) -> Iterator[tuple[str, np.ndarray]]:
    """(what follows the name, (rows, columns) uint8) of each picture of a file."""
    if is_nifti(file) or is_metaimage(file):
        yield from _slices(read_nifti(file) if is_nifti(file) else read_metaimage(file), scale)
        return
    try:
        if open_dicom(file, only=[Tag("Rows")]).get("Rows") is None:
            raise UnreadableFileError(f"{file}: a DICOM file without an image.")
    except NotDicomError:
        raise UnreadableFileError(f"{file}: named like a DICOM file, but it is none.") from None
    image = read_grey_image(file)
    if scale == "window" and image.has_window:
        yield "", to_8_bits(image.shown(), 0.0, 255.0)
    else:
        pixels = to_8_bits(image.values)
        yield "", 255 - pixels if image.inverted else pixels


def _slices(volume: Volume, scale: Scale) -> Iterator[tuple[str, np.ndarray]]:
    times, slices = volume.voxels.shape[:2]
    digits = max(3, len(str(slices - 1)))
    low, high = finite_range(volume.voxels)
    for time, number in np.ndindex(times, slices):
        pixels = volume.voxels[time, number]
        if scale == "window" and volume.window is not None:
            pixels, ends = volume.window.apply(pixels), (0.0, 255.0)
        else:
            ends = (low, high)
        in_time = f"-t{time:0{max(2, len(str(times - 1)))}d}" if times > 1 else ""
        name = f"{in_time}-{number:0{digits}d}" if times * slices > 1 else ""
        yield name, to_8_bits(pixels, *ends)


def _write(target: Path, pixels: np.ndarray) -> None:
    if target.exists() and not _is_own(target):
        raise LesionError(f"{target} is there already and was not made by {MAKER}, so it is left as it is: use --out.")
    made_by = PngImagePlugin.PngInfo()
    made_by.add_text("Software", MAKER)
    with replacing(target) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=made_by)


def _is_own(target: Path) -> bool:
    try:
        with Image.open(target, formats=["PNG"]) as image:
            return image.info.get("Software") == MAKER
    except (OSError, SyntaxError, ValueError):
        return False
