"""NIfTI files (.nii, .nii.gz, .hdr with .img): the header is judged before any voxel is read."""

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from nibabel import Nifti1Header, Nifti2Header, orientations
from nibabel.arrayproxy import ArrayProxy
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.spatialimages import HeaderDataError

from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.errors import GeometryError, UnreadableFileError
from lesion_transfer.imaging.volume import Grid, Volume, check_voxels

SUFFIXES = (".nii", ".nii.gz")
_DATA_OF = {".hdr": ".img", ".hdr.gz": ".img.gz"}
"""What the header of a pair is called, and what its voxels are called then."""
_MAX_OFFSET = 2**26
"""Bytes of header extensions that are passed over to reach the voxels."""
_HEADERS: dict[int, type[Nifti1Header]] = {348: Nifti1Header, 540: Nifti2Header}
_SPATIAL_UNIT = 0b111
_UNITS_MM = {1: 1000.0, 3: 1e-3}
"""Of the codes in these bits of xyzt_units: metre and micron; 2 is the millimetre, 0 says nothing."""
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def is_nifti(path: Path) -> bool:
    """Whether the file is called as a NIfTI image, or as the header of a pair."""
    return path.name.lower().endswith((*SUFFIXES, *_DATA_OF))


def header_of(data: Path) -> Path | None:
    """The header beside the .img or .img.gz file of a pair; None without any."""
    beside = (_renamed(data, of_data, of_header) for of_header, of_data in _DATA_OF.items())
    return next((header for header in beside if header is not None and header.is_file()), None)


def _data_file(path: Path) -> Path:
    """The file that holds the voxels: of a pair the one beside the header, else the file itself."""
    beside = (_renamed(path, *suffixes) for suffixes in _DATA_OF.items())
    return next((data for data in beside if data is not None), path)


def _renamed(path: Path, old: str, new: str) -> Path | None:
    """The path with another suffix, capitals kept; None where it does not end in the old one."""
    stem, suffix = path.name[: -len(old)], path.name[-len(old) :]
    if suffix.lower() != old:
        return None
    return path.with_name(stem + (new.upper() if suffix.isupper() else new))


def read_nifti(path: Path) -> Volume:
    """The volume of a 3-D or 4-D NIfTI-1 or NIfTI-2 file, or of a pair by its header, turned to the patient's axes.

    Slices run from feet to head, rows from front to back, columns from the patient's right to left, whatever the order
    in the file (voxels are reordered, never interpolated). Lengths are in the header's unit, millimetres where it names
    none. The window is the header's cal_min and cal_max.

    nibabel reads header and voxels, but no header extension: those may claim any size. Raises UnreadableFileError.
    """
    data = _data_file(path)
    try:
        with _opened(path) as file:
            header = _header(file, path)
        if not data.is_file():
            raise UnreadableFileError(f"{path}: its voxels, {data.name}, are not beside it.")
        with _opened(data) as file:
            shape = _shape(header, path)
            dtype = header.get_data_dtype()
            if dtype.kind not in "iuf":
                raise UnreadableFileError(f"{path}: the voxels are {dtype}, not real numbers; grey images are read.")
            offset = int(header.get_data_offset())
            if not (header.sizeof_hdr if data == path else 0) <= offset <= _MAX_OFFSET:
                raise UnreadableFileError(f"{path}: the header says that voxels begin at byte {offset}.")
            needed = math.prod(shape) * dtype.itemsize
            if data.suffix.lower() != ".gz" and data.stat().st_size < offset + needed:
                raise UnreadableFileError(
                    f"{path}: the header declares {needed} bytes of voxels, {data.name} ends before them."
                )
            slope, intercept = header.get_slope_inter()
            scaling = (1.0 if slope is None else slope, 0.0 if intercept is None else intercept)
            proxy = ArrayProxy(file, (shape, dtype, offset, *scaling), mmap=False)
            voxels = np.asarray(proxy, dtype=np.float32) if scaling != (1.0, 0.0) else proxy.get_unscaled()
    except UnreadableFileError:
        raise
    except (EOFError, OSError, zlib.error) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UnreadableFileError(f"{path}: the file cannot be read to its end ({why}).") from error
    except HeaderDataError as error:  # of numbers alone
        raise UnreadableFileError(f"{path}: not a NIfTI file that can be read ({error}).") from error
    except Exception as error:  # a damaged header can make the parser fail in any way
        kind = type(error).__name__  # its text would quote the value
        raise UnreadableFileError(f"{path}: not a NIfTI file that can be read ({kind}).") from error
    return _turned(np.asarray(voxels), header, path)


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _header(file: IO[bytes], path: Path) -> Nifti1Header:
    block = file.read(540)
    sizes = {int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big")}
    kind = next((kind for size, kind in _HEADERS.items() if size in sizes), None)
    if kind is None or len(block) < kind.sizeof_hdr:
        raise UnreadableFileError(f"{path}: not a NIfTI file (its first bytes are no NIfTI header).")
    magic, single = block[344:347] if kind is Nifti1Header else block[4:7], _data_file(path) == path
    if magic[:2] not in {b"n+", b"ni"}:
        raise UnreadableFileError(
            f"{path}: not a NIfTI file (its magic is none). Analyze 7.5 does not say which side is left and is not "
            "read: convert it to NIfTI with the program that made it."
        )
    if single != (magic[:2] == b"n+"):
        raise UnreadableFileError(
            f"{path}: a NIfTI header without its voxels; the header of a pair is called .hdr, and its voxels .img."
            if single
            else f"{path}: a NIfTI file that holds its own voxels; call it .nii."
        )
    with LoggingOutputSuppressor():  # what nibabel mends in a header, it would print
        return kind(block[: kind.sizeof_hdr])


def _shape(header: Nifti1Header, path: Path) -> tuple[int, ...]:
    """(i, j, k, times); trailing dimensions of one voxel are left out."""
    shape = [int(length) for length in header.get_data_shape()]
    check_voxels(shape, path)
    while len(shape) > 4 and shape[-1] == 1:
        shape.pop()
    if len(shape) > 4:
        raise UnreadableFileError(f"{path}: {len(shape)} dimensions; volumes in time (4 dimensions) are read.")
    return tuple(shape + [1] * (4 - len(shape)))


def _turned(voxels: np.ndarray, header: Nifti1Header, path: Path) -> Volume:
    affine = np.array(header.get_best_affine(), dtype=float)
    affine[:3] *= _UNITS_MM.get(int(header["xyzt_units"]) & _SPATIAL_UNIT, 1.0)
    try:
        if int(header["sform_code"]) == int(header["qform_code"]) == 0:
            raise GeometryError("the file gives none, and nibabel makes one up")
        if not np.isfinite(affine).all():
            raise GeometryError("not finite")
        to_ras = orientations.io_orientation(affine)
        if np.isnan(to_ras).any():
            raise GeometryError("flat")
        # As stored -> right-to-left, front-to-back, feet-to-head: LPS, of which the first two are RAS reversed.
        to_lps = to_ras * np.array([[1, -1], [1, -1], [1, 1]])[to_ras[:, 0].astype(int)]
        turned = orientations.apply_orientation(voxels, to_lps)
        affine = affine @ orientations.inv_ornt_aff(to_lps, voxels.shape[:3])
        steps = (affine[:3, :3] * _RAS_TO_LPS[:, None]).T
        grid = Grid(affine[:3, 3] * _RAS_TO_LPS, steps[::-1])
    except GeometryError:
        turned, grid = voxels, None
    return Volume(turned.transpose(3, 2, 1, 0), grid, _window(header))


def _window(header: Nifti1Header) -> Window | None:
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return Window.spanning(low, high) if np.isfinite([low, high]).all() and high > low else None
