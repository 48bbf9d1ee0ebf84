"""The wanted elements of a DICOM header out of one bounded read, where pydicom would parse everything before them.

A search through an archive reads some twenty elements of every file. pydicom walks through all the others as Python
objects, sequences included (2 ms a file); here they are stepped over by their lengths. Values are still pydicom's.
"""

from collections.abc import Collection
from pathlib import Path
from struct import Struct

from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

READ_BYTES = 2**13
"""Real headers reach the image's size (group 0028) within 3 to 4 kB; what lies further is left to pydicom."""

_PREAMBLE = 128
_OTHER_FORMS = {ImplicitVRLittleEndian, ExplicitVRBigEndian}
_META_LENGTH, _META_END, _CHARACTER_SET = 0x00020000, 0x00030000, 0x00080005
_SOP_CLASS, _SYNTAX = 0x00020002, 0x00020010
_ALWAYS = {_SOP_CLASS, _SYNTAX, _CHARACTER_SET}
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_SHORT_VRS = {
    vr.encode()
    for vr in [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FL",
        "FD",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    ]
}
_LONG_VRS = {vr.encode() for vr in ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]}
_SHORT = Struct("<HH2sH").unpack_from
_LONG = Struct("<L").unpack_from
_BARE = Struct("<HHL").unpack_from


class _NotPlainError(Exception):
    """The header is not of the plain form that is read here."""


Elements = dict[int, tuple[bytes, bytes]]
"""Tag to (VR, value) as the file holds them, in the order of the tags."""


def scan_elements(path: Path, only: frozenset[int], syntaxes: Collection[str]) -> Elements | None:
    """Those of the tags `only` that the header has, class, transfer syntax, character set; None: pydicom has to read.

    That is: no DICOM file, a transfer syntax that is none of `syntaxes` or not of explicit VR and little endian,
    elements out of order or cut off, wanted elements beyond READ_BYTES.
    """
    with path.open("rb") as file:
        start = file.read(READ_BYTES)
    if start[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        return None
    try:
        found = _scan(start, only | _ALWAYS, max(only))
        syntax = found[_SYNTAX][1].decode("ascii").rstrip("\0 ")
        return found if syntax in syntaxes and syntax not in _OTHER_FORMS else None
    except Exception:  # whatever is wrong, the full reading finds it again and says it
        return None


def dataset_of(found: Elements) -> Dataset:
    """The elements as a data set with its file meta; raises where pydicom cannot convert a value."""
    charset = found.get(_CHARACTER_SET, (b"CS", b""))[1]
    elements = {BaseTag(tag): _converted(tag, vr, value, charset) for tag, (vr, value) in found.items()}
    dataset = Dataset({tag: element for tag, element in elements.items() if tag.group != 2})
    dataset.file_meta = FileMetaDataset({tag: element for tag, element in elements.items() if tag.group == 2})
    return dataset


def _converted(tag: int, vr: bytes, value: bytes, charset: bytes) -> DataElement:
    raw = RawDataElement(BaseTag(tag), vr.decode(), len(value), value, 0, False, True)
    names = charset.decode("ascii").strip("\0 ").split("\\")
    return convert_raw_data_element(raw, encoding=convert_encodings(names if names != [""] else None))


def _scan(start: bytes, wanted: Collection[int], last: int) -> Elements:
    """The wanted elements up to the tag `last`."""
    found: Elements = {}
    tag, vr, length, position = _element(start, _PREAMBLE + 4)
    if (tag, vr, length) != (_META_LENGTH, b"UL", 4):
        raise _NotPlainError
    meta_end = position + 4 + _LONG(start, position)[0]
    position, before = position + 4, tag
    n_bytes = len(start)
    while position < n_bytes:
        begins = position
        # As _element does: a call for each of a header's hundred elements would take half of the time.
        group, number, vr, length = _SHORT(start, position)
        tag, position = group << 16 | number, position + 8
        if vr not in _SHORT_VRS:
            if vr not in _LONG_VRS:
                raise _NotPlainError
            (length,) = _LONG(start, position)
            position += 4
        if tag <= before or (tag < _META_END) != (begins < meta_end):
            raise _NotPlainError
        if tag > last:
            return found
        before = tag
        if length == _UNDEFINED:
            if vr != b"SQ":
                raise _NotPlainError
            position = _sequence_end(start, position)
            continue
        if tag in wanted:
            if position + length > n_bytes or vr == b"SQ":
                raise _NotPlainError
            found[tag] = vr, start[position : position + length]
        position += length
    if position == n_bytes < READ_BYTES:  # the file ends here, and so does its header
        return found
    raise _NotPlainError


def _element(start: bytes, position: int) -> tuple[int, bytes, int, int]:
    """Tag, VR, length of the value and where it begins."""
    group, element, vr, length = _SHORT(start, position)
    if vr in _LONG_VRS:
        (length,) = _LONG(start, position + 8)
        return group << 16 | element, vr, length, position + 12
    if vr not in _SHORT_VRS:
        raise _NotPlainError
    return group << 16 | element, vr, length, position + 8


def _sequence_end(start: bytes, position: int) -> int:
    """Where a sequence of undefined length ends that begins at `position`."""
    while True:
        tag, length, position = _item(start, position)
        if tag == _SEQUENCE_END:
            return position
        if tag != _ITEM:
            raise _NotPlainError
        position = _item_end(start, position) if length == _UNDEFINED else position + length


def _item_end(start: bytes, position: int) -> int:
    """Where an item of undefined length ends whose elements begin at `position`."""
    while True:
        tag, _, after = _item(start, position)
        if tag == _ITEM_END:
            return after
        _, vr, length, position = _element(start, position)
        if length != _UNDEFINED:
            position += length
        elif vr == b"SQ":
            position = _sequence_end(start, position)
        else:
            raise _NotPlainError


def _item(start: bytes, position: int) -> tuple[int, int, int]:
    """Tag and length of an item or delimiter, which have no VR, and where what follows begins."""
    group, element, length = _BARE(start, position)
    return group << 16 | element, length, position + 8
