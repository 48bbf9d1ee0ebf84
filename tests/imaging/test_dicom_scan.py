"""The bounded reading of headers finds what pydicom finds, and leaves to pydicom what is not plain."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lesion_transfer.imaging import dicom_files, dicom_index
from lesion_transfer.imaging.dicom_scan import READ_BYTES, dataset_of, scan_elements
from lesion_transfer.imaging.walk import files_below

TAGS = dicom_index._WANTED


def scan(path: Path) -> Dataset | None:
    found = scan_elements(path, TAGS, dicom_files.TRANSFER_SYNTAXES)
    with warnings.catch_warnings(action="ignore"):
        return None if found is None else dataset_of(found)


def header_or_error(path: Path) -> str:
    try:
        return repr(dicom_index.read_header(path))
    except Exception as error:
        return type(error).__name__


@pytest.fixture
def by_pydicom(monkeypatch) -> Callable[[Path], str]:
    """What read_header says without the bounded reading."""

    def read(path: Path) -> str:
        with monkeypatch.context() as patched:
            for module in (dicom_files, dicom_index):
                patched.setattr(module, "scan_elements", lambda *_: None)
            return header_or_error(path)

    return read


def test_headers_of_the_files_that_come_with_pydicom_are_the_same(by_pydicom):
    files = [path for path in files_below(Path(pydicom.data.__file__).parent) if path.suffix != ".py"]
    assert len(files) > 60
    for path in files:
        assert header_or_error(path) == by_pydicom(path), path
    assert sum(scan(path) is not None for path in files) > 20


@pytest.mark.real
def test_headers_of_real_files_are_the_same_and_none_is_left_to_pydicom(by_pydicom, real_data):
    files = list(files_below(real_data / "prostatex" / "PROSTATEx"))[::10]
    assert len(files) > 80
    for path in files:
        assert scan(path) is not None
        assert header_or_error(path) == by_pydicom(path)


def nested(depth: int, *, undefined: bool) -> Sequence:
    item = Dataset()
    item.PatientID = "of a referenced image"
    item.Rows = 1
    if depth:
        item.ReferencedImageSequence = nested(depth - 1, undefined=undefined)
        item["ReferencedImageSequence"].is_undefined_length = undefined
    item.is_undefined_length_sequence_item = undefined
    return Sequence([item, item])


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("depth", [0, 2])
def test_elements_inside_sequences_are_not_taken_for_the_images_own(write_dicom, tmp_path, undefined, depth):
    path = write_dicom(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(path)
    for keyword in ("ReferencedStudySequence", "RequestAttributesSequence", "SourceImageSequence"):
        setattr(dataset, keyword, nested(depth, undefined=undefined))
        dataset[keyword].is_undefined_length = undefined
    dataset.save_as(path)
    found = scan(path)
    assert found is not None
    assert (found.PatientID, found.Rows, found.Columns) == ("P1", 6, 5)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, "1.2.3.4"]
)
def test_other_transfer_syntaxes_are_left_to_pydicom(tmp_path, make_dicom, syntax):
    path = tmp_path / "a.dcm"
    dataset = make_dicom()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax if syntax != "1.2.3.4" else ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    if syntax == "1.2.3.4":
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.3.4.5.6.7.8.9.10"))
    assert scan(path) is None


def test_a_header_that_goes_on_beyond_what_is_read_is_left_to_pydicom(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(path)
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x50, "OB", bytes(READ_BYTES))
    dataset.save_as(path)
    assert scan(path) is None
    header = dicom_index.read_header(path)
    assert header is not None
    assert header.rows == 6


def test_text_in_the_files_character_set(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 100", SeriesDescription="Schädel säg")
    assert dicom_index.read_header(path).series_description == "Schädel säg"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_headers_end_as_with_pydicom_or_are_left_to_it(tmp_path, write_dicom, by_pydicom, data):
    """Any byte of the header changed, or the file cut off: never another header than pydicom's, never another error."""
    path = tmp_path / "damaged.dcm"
    good = write_dicom(tmp_path / "good.dcm", np.zeros((6, 5), np.uint16), SOPInstanceUID="1.2.3.4.5", b_value=b"800 ")
    content = bytearray(good.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(132, len(content))) :]
    else:
        content[data.draw(st.integers(132, len(content) - 61))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    found, expected = header_or_error(path), by_pydicom(path)
    if scan(path) is not None:
        assert found == expected


def test_a_file_is_read_once_and_no_further_than_the_bound(tmp_path, write_dicom, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((512, 512), np.uint16))
    read: list[int] = []
    opened = Path.open

    def noted(self, *arguments, **options):
        file = opened(self, *arguments, **options)
        if self == path:
            inner = file.read
            file = _Noted(file, lambda n: read.append(n) or inner(n))
        return file

    monkeypatch.setattr(Path, "open", noted)
    assert dicom_index.read_header(path).columns == 512
    assert read == [READ_BYTES]


class _Noted:
    def __init__(self, file, read) -> None:
        self._file, self.read = file, read

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self._file.close()
