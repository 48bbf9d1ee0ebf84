"""MetaImage files (.mhd with .raw or .zraw, .mha): the header is judged before any voxel is read.

The voxels are read here and not by SimpleITK: it follows whatever file a header names, anywhere on the disk, and fills
memory with what the header declares. What is read here is compared with SimpleITK in the tests.
"""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from lesion_transfer.imaging.errors import GeometryError, UnreadableFileError
from lesion_transfer.imaging.volume import Grid, Volume, check_voxels

SUFFIXES = (".mhd", ".mha")
DATA_SUFFIXES = (".raw", ".zraw")
_MAX_HEADER = 2**16
_LAST_KEY = "elementdatafile"
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_NAMED = {*_TYPES, "MET_NONE", "MET_ASCII_CHAR", "MET_STRING", "MET_OTHER", *(f"{kind}_ARRAY" for kind in _TYPES)}
"""What an error may call by name: a damaged header may hold anything."""


@dataclass(frozen=True)
class _Header:
    """The pairs of a header by key in lower case, and the number of bytes up to the voxels of a LOCAL file."""

    pairs: dict[str, str]
    length: int
    path: Path

    def numbers(self, *keys: str, count: int) -> list[float] | None:
        """`count` numbers under the first of `keys` that is there; None without any."""
        text = next((self.pairs[key] for key in keys if key in self.pairs), None)
        if text is None:
            return None
        try:
            numbers = [float(part) for part in text.split()]
        except ValueError:
            numbers = []
        if len(numbers) != count:
            raise UnreadableFileError(f"{self.path}: {keys[0]} is not {count} numbers.")
        return numbers

    def is_true(self, *keys: str) -> bool:
        return any(self.pairs.get(key, "").casefold() in {"true", "1"} for key in keys)


def is_metaimage(path: Path) -> bool:
    """Whether the file is called as a MetaImage header is."""
    return path.suffix.lower() in SUFFIXES


def read_metaimage(path: Path) -> Volume:
    """The volume of a 2-D, 3-D or 4-D MetaImage of one number a voxel, as its header declares it.

    The data are LOCAL (in the file itself) or one plain name in the header's own folder, plain or zlib-compressed.
    Raises UnreadableFileError.
    """
    try:
        header = _header(path)
        shape = _shape(header)
        dtype = _dtype(header)
        stored = _stored_bytes(header, math.prod(shape) * dtype.itemsize)
    except UnreadableFileError:
        raise
    except OSError as error:
        raise UnreadableFileError(f"{path}: the volume cannot be read ({error.strerror}).") from error
    dimensions = int(header.pairs["ndims"])
    voxels = np.frombuffer(stored, dtype).reshape(shape)
    return Volume(voxels.astype(dtype.newbyteorder("="), copy=False), _grid(header, dimensions))


def data_file(path: Path) -> Path | None:
    """The file beside `path` that holds its voxels; None when they are in the file itself. UnreadableFileError."""
    return _data_file(_header(path))


def header_of(data: Path) -> Path | None:
    """The header beside a .raw or .zraw file that names it as its data; None without any."""
    headers = [path for path in sorted(data.parent.iterdir()) if is_metaimage(path)]
    for path in sorted(headers, key=lambda path: path.stem != data.stem):
        try:
            if data_file(path) == data:
                return path
        except (UnreadableFileError, OSError):
            continue
    return None


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        block = file.read(_MAX_HEADER)
    pairs: dict[str, str] = {}
    length = 0
    for number, line in enumerate(block.splitlines(keepends=True), start=1):
        length += len(line)
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals:
            if line.strip():
                break
            continue
        name = key.strip().casefold()
        if name in pairs:
            raise UnreadableFileError(f"{path}: the header says something twice: see its line {number}.")
        pairs[name] = value.strip()
        if name == _LAST_KEY:
            return _Header(pairs, length, path)
    raise UnreadableFileError(f"{path}: not a MetaImage header (no ElementDataFile in its first {_MAX_HEADER} bytes).")


def _shape(header: _Header) -> tuple[int, int, int, int]:
    """(times, slices, rows, columns)."""
    text = header.pairs.get("ndims", "")
    if text not in {"2", "3", "4"}:
        raise UnreadableFileError(f"{header.path}: NDims is none of 2, 3 and 4, which are read.")
    lengths = header.numbers("dimsize", count=int(text))
    if lengths is None or any(not 1 <= length <= 2**31 or length != int(length) for length in lengths):
        raise UnreadableFileError(f"{header.path}: DimSize is not {text} whole numbers from 1 on.")
    columns, rows, *others = (int(length) for length in lengths)
    slices, times, *_ = [*others, 1, 1]
    shape = (times, slices, rows, columns)
    check_voxels(shape, header.path)
    return shape


def _dtype(header: _Header) -> np.dtype:
    channels = header.pairs.get("elementnumberofchannels", "1")
    channels = channels if channels.isdecimal() else "an unknown number of"
    kind = header.pairs.get("elementtype", "")
    if kind not in _TYPES or channels != "1":
        raise UnreadableFileError(
            f"{header.path}: ElementType is {kind if kind in _NAMED else 'no known one'} with {channels} channel(s); "
            "one real number a voxel is read."
        )
    if header.pairs.get("binarydata", "True").casefold() not in {"true", "1"}:
        raise UnreadableFileError(f"{header.path}: the voxels are text (BinaryData = False), which is not read here.")
    big = header.is_true("binarydatabyteordermsb", "elementbyteordermsb")
    return np.dtype(_TYPES[kind]).newbyteorder(">" if big else "<")


def _data_file(header: _Header) -> Path | None:
    name = header.pairs[_LAST_KEY]
    if name == "LOCAL":
        return None
    plain = name and name not in {".", ".."} and PurePosixPath(name).name == PureWindowsPath(name).name == name
    if not plain or "\0" in name:
        raise UnreadableFileError(
            f"{header.path}: ElementDataFile is not a plain file name in the header's own folder, which alone is read."
        )
    file = header.path.parent / name
    if not file.is_file():
        raise UnreadableFileError(f"{header.path}: the data file that its ElementDataFile names is not beside it.")
    if file.resolve().parent != header.path.resolve().parent and file.resolve().parent != file.parent.resolve():
        raise UnreadableFileError(f"{header.path}: the data file that it names is a link out of the folder.")
    return file


def _stored_bytes(header: _Header, needed: int) -> bytes:
    """Exactly `needed` bytes of voxels: never more than that is read or unpacked."""
    file = _data_file(header) or header.path
    offset = header.length if file == header.path else _header_size(header)
    available = file.stat().st_size
    compressed = header.is_true("compresseddata")
    if offset == -1:  # the voxels are the file's last bytes
        offset = max(0, available - needed)
    if not compressed and available < offset + needed:
        raise UnreadableFileError(
            f"{header.path}: the header declares {needed} bytes of voxels, {file.name} holds {available - offset}."
        )
    with file.open("rb") as opened:
        opened.seek(offset)
        if not compressed:
            return opened.read(needed)
        packed = opened.read(needed + needed // 1000 + 1024)  # voxels that do not pack grow by less than that
    unpacker = zlib.decompressobj()
    try:
        stored = unpacker.decompress(packed, needed + 1)
    except zlib.error as error:
        raise UnreadableFileError(f"{header.path}: {file.name} cannot be decompressed ({error}).") from error
    if len(stored) != needed:
        less = "fewer" if len(stored) < needed else "more"
        raise UnreadableFileError(
            f"{header.path}: the header declares {needed} bytes of voxels, {file.name} unpacks to {less}."
        )
    return stored


def _header_size(header: _Header) -> int:
    text = header.pairs.get("headersize", "0")
    try:
        size = int(text)
    except ValueError:
        size = -2
    if size < -1:
        raise UnreadableFileError(f"{header.path}: HeaderSize is no number of bytes, -1 or more.")
    return size


def _grid(header: _Header, dimensions: int) -> Grid | None:
    """The place in the patient: LPS, as ITK reads MetaImages whatever AnatomicalOrientation says."""
    if dimensions < 3:
        return None
    size = dimensions * dimensions
    spacing = header.numbers("elementspacing", "elementsize", count=dimensions) or [1.0] * dimensions
    offset = header.numbers("offset", "position", "origin", count=dimensions) or [0.0] * dimensions
    matrix = header.numbers("transformmatrix", "rotation", "orientation", count=size)
    directions = np.eye(dimensions) if matrix is None else np.array(matrix).reshape(dimensions, dimensions)
    steps = directions[:3, :3] * np.array(spacing[:3])[:, None]  # a row an axis: column, row, slice
    try:
        return Grid(np.array(offset[:3]), steps[::-1])
    except GeometryError:
        return None
