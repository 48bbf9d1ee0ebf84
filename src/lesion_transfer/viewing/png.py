"""Every DICOM, NIfTI and MetaImage file of a tree as PNG (the thesis's "anydatasettopng", 4.7)."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, PngImagePlugin

from lesion_transfer.errors import LesionError
from lesion_transfer.files import replacing
from lesion_transfer.imaging.dicom_frames import read_frames
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.metaimage import DATA_SUFFIXES, header_of, is_metaimage, read_metaimage
from lesion_transfer.imaging.nifti import is_nifti, read_nifti
from lesion_transfer.imaging.volume import Volume, finite_range, range_of_planes
from lesion_transfer.imaging.walk import files_below

Scale = Literal["window", "range"]
_Picture = tuple[str, np.ndarray, tuple[float, float] | None]
"""What follows the name, (rows, columns) or (rows, columns, 3) uint8, and (between rows, between columns) in mm."""
MAKER = "lesion png"
_MM_AN_INCH = 25.4
_MOST_DOTS_A_METRE = 2**31 - 1
"""What pHYs can hold: PNG's integers of four bytes end there (PNG, 3rd edition, 7.1)."""
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class Conversion:
    """What was done: files found and folders that cannot be read, pictures written, a sentence for each failure."""

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
    with np.errstate(over="ignore"):  # what overflows is white or black all the same
        scaled = (np.asarray(values, dtype=np.float64) - low) * 255.0 / (high - low)
    return np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0), 0.0, 255.0).astype(np.uint8)


def convert_tree(
    folder: Path, out: Path | None, scale: Scale = "window", moved: Callable[[int, int], None] = lambda *_: None
) -> Conversion:
    """Writes a PNG for each image below `folder`, beside it or in the same place below `out`.

    `SCAN.dcm` becomes `SCAN.png`; a volume, and an image of several frames, `SCAN-000.png`, `SCAN-001.png`, ... (in
    time `SCAN-t00-000.png`). Where two files of a folder would share a name, the pictures keep the whole one
    (`SCAN.dcm.png`). scale: `window` shows DICOM and NIfTI as the file asks and everything else by its range
    (`to_8_bits`), `range` all by its range; colour stays as it is. Where the file gives the size of a pixel, so does
    the picture (pHYs, dots a metre).

    One that fails never stops the others. A file that this command did not make is never replaced. Raises LesionError
    for what is no folder or holds no such image.
    """
    if not folder.is_dir():
        raise LesionError(f"{folder} is no folder: name the folder whose images become PNG files.")
    if out is not None and out.exists() and not out.is_dir():
        raise LesionError(f"{out} is no folder: --out names the one that PNG files are written below.")
    failures: list[str] = []
    files = [file for file in files_below(folder, failures.append) if _is_image(file)]
    n_found = len(files) + len(failures)
    if not n_found:
        raise LesionError(f"No DICOM, NIfTI, .mhd or .raw file was found below {folder}.")
    taken = Counter((file.parent, _stem(file).casefold()) for file in files)
    written: set[Path] = set()
    for number, file in enumerate(files):
        moved(number, len(files))
        name = _stem(file) if taken[(file.parent, _stem(file).casefold())] == 1 else file.name
        target = (file.parent if out is None else out / file.parent.relative_to(folder)) / name
        try:
            for suffix, pixels, spacing_mm in _pictures(file, scale):
                picture = target.with_name(f"{target.name}{suffix}.png")
                if picture in written:
                    raise LesionError(f"{file}: its picture {picture.name} would replace that of another file.")
                _write(picture, pixels, spacing_mm)
                written.add(picture)
        except Exception as error:  # a hostile value can fail anywhere on its way to the picture
            failures.append(_reason(file, error))
    moved(len(files), len(files))
    return Conversion(n_found, len(written), tuple(failures))


def _reason(file: Path, error: Exception) -> str:
    """Why a file became no picture. An error that was not foreseen is only named: its text may quote the header."""
    if isinstance(error, LesionError):
        return str(error)
    said = str(error) if isinstance(error, OSError | MemoryError) else ""
    return f"{file}: {said or type(error).__name__}"


def _is_image(file: Path) -> bool:
    """By its name, or by the letters DICM behind the preamble; a file named like DICOM counts, to be told if broken."""
    if file.suffix.lower() in DATA_SUFFIXES:
        return header_of(file) is None  # told as a failure; with a header, the header is the image
    if is_nifti(file) or is_metaimage(file) or file.suffix.lower() in _DICOM_SUFFIXES:
        return True
    try:
        with file.open("rb") as opened:
            return opened.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _stem(file: Path) -> str:
    packed = next((suffix for suffix in (".nii.gz", ".hdr.gz") if file.name.lower().endswith(suffix)), None)
    return file.name[: -len(packed)] if packed else file.stem


def _pictures(file: Path, scale: Scale) -> Iterator[_Picture]:
    if is_nifti(file) or is_metaimage(file):
        yield from _slices(read_nifti(file) if is_nifti(file) else read_metaimage(file), scale)
        return
    if file.suffix.lower() in DATA_SUFFIXES:
        raise UnreadableFileError(f"{file}: no .mhd header beside it says what it holds.")
    frames = read_frames(file)
    ends: tuple[float, float] | None = None
    for number, frame in enumerate(frames):
        name = f"-{number:0{_digits(len(frames))}d}" if len(frames) > 1 else ""
        if frame.rgb is not None:
            yield name, frame.rgb, frame.spacing_mm
        elif scale == "window" and frame.grey.has_window:
            yield name, to_8_bits(frame.grey.shown(), 0.0, 255.0), frame.spacing_mm
        else:
            ends = ends or range_of_planes(one.grey.values for one in ([frame] if len(frames) == 1 else frames))
            pixels = to_8_bits(frame.grey.values, *ends)
            yield name, 255 - pixels if frame.grey.inverted else pixels, frame.spacing_mm


def _slices(volume: Volume, scale: Scale) -> Iterator[_Picture]:
    times, slices = volume.voxels.shape[:2]
    low, high = finite_range(volume.voxels)
    for time, number in np.ndindex(times, slices):
        pixels = volume.voxels[time, number]
        if scale == "window" and volume.window is not None:
            pixels, ends = volume.window.apply(pixels), (0.0, 255.0)
        else:
            ends = (low, high)
        in_time = f"-t{time:0{max(2, len(str(times - 1)))}d}" if times > 1 else ""
        name = f"{in_time}-{number:0{_digits(slices)}d}" if times * slices > 1 else ""
        yield name, to_8_bits(pixels, *ends), None if volume.grid is None else volume.grid.spacing_mm[1:]


def _digits(n: int) -> int:
    return max(3, len(str(n - 1)))


def _write(target: Path, pixels: np.ndarray, spacing_mm: tuple[float, float] | None) -> None:
    if target.exists() and not is_own(target):
        raise LesionError(f"{target} is there already and was not made by {MAKER}, so it is left as it is: use --out.")
    made_by = PngImagePlugin.PngInfo()
    made_by.add_text("Software", MAKER)
    with replacing(target) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=made_by, **_resolution(spacing_mm))


def _resolution(spacing_mm: tuple[float, float] | None) -> dict[str, tuple[float, float]]:
    """What tells Pillow the size of a pixel, for pHYs; nothing where it is unknown or pHYs cannot hold it.

    Programs that know of it show pixels that are no squares as they are, and measure in millimetres.
    """
    if spacing_mm is None or not all(1 <= 1000 / length <= _MOST_DOTS_A_METRE for length in spacing_mm):
        return {}
    rows_mm, columns_mm = spacing_mm
    return {"dpi": (_MM_AN_INCH / columns_mm, _MM_AN_INCH / rows_mm)}


def is_own(target: Path) -> bool:
    """Whether a file is a PNG that `convert_tree` wrote."""
    try:
        with Image.open(target, formats=["PNG"]) as image:
            return image.info.get("Software") == MAKER
    except Exception:  # Pillow raises many kinds for a damaged or hostile file
        return False
