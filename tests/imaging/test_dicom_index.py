"""Finding images by their headers, in folders that hold anything."""

import contextlib
import io
import os
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from lesion_transfer.imaging import dicom_index
from lesion_transfer.imaging.dicom_files import NotDicomError, read_display_values
from lesion_transfer.imaging.dicom_index import group_series, index_folder, read_header
from lesion_transfer.imaging.display import display_values
from lesion_transfer.imaging.errors import UnreadableFileError


def test_layout_and_names_do_not_matter(tmp_path, write_dicom):
    write_dicom(tmp_path / "a" / "b" / "c" / "000000.dcm", InstanceNumber=2)
    write_dicom(tmp_path / "no_suffix", InstanceNumber=1)
    write_dicom(tmp_path / "4.000000-t2tsetra" / "1-01.dcm", InstanceNumber=3)
    (tmp_path / "table.csv").write_text("a,b\n")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "._000000.dcm").write_bytes(b"\0" * 4096)
    index = index_folder(tmp_path)
    assert index.unreadable == ()
    (series,) = group_series(index.instances)
    assert [image.instance_number for image in series.instances] == [1, 2, 3]
    assert (series.number, series.description) == (4, "t2_tse_tra")


def test_header_holds_what_is_needed(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "x", np.zeros((7, 9), np.uint16), b_value=b"800 ", PatientID="P7 ", PatientName="A^B")
    header = read_header(path)
    assert (header.patient_id, header.rows, header.columns, header.b_value) == ("P7", 7, 9, 800.0)
    assert header.geometry.spacing_mm == header.spacing_mm == (2.0, 2.0)
    assert "A^B" not in repr(header)


def test_b_values_in_every_form(tmp_path, write_dicom, make_dicom):
    standard = write_dicom(tmp_path / "standard", b_value=b"50", DiffusionBValue=1400.0)
    assert read_header(standard).b_value == 1400
    whole = make_dicom()
    whole.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", 1000)
    whole.save_as(tmp_path / "whole", enforce_file_format=True)
    assert read_header(tmp_path / "whole").b_value == 1000
    implicit = make_dicom(b_value=b"400 ")
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    implicit.save_as(tmp_path / "implicit", enforce_file_format=True)
    assert read_header(tmp_path / "implicit").b_value == 400
    other = make_dicom()
    other.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0x0C, "IS", 12)
    other.save_as(tmp_path / "other", enforce_file_format=True)
    assert read_header(tmp_path / "other").b_value is None
    assert read_header(write_dicom(tmp_path / "words", b_value=b"b fifty")).b_value is None


def test_links_are_followed_and_loops_survived(tmp_path, write_dicom):
    write_dicom(tmp_path / "elsewhere" / "one")
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "link").symlink_to(tmp_path / "elsewhere")
    (source / "deep" / "loop").symlink_to(source)
    (source / "deep" / "up").symlink_to(tmp_path)
    (source / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(source / "pipe")
    assert [image.file for image in index_folder(source).instances] == [source / "link" / "one"]


def test_a_copy_of_an_image_counts_once(tmp_path, write_dicom):
    for name in ("b", "a"):
        write_dicom(tmp_path / name, SOPInstanceUID="1.2.9")
    assert [image.file.name for image in index_folder(tmp_path).instances] == ["a"]


def test_images_of_one_uid_in_two_places_are_two_images(tmp_path, write_dicom):
    for number in (1, 2):
        write_dicom(
            tmp_path / str(number),
            SOPInstanceUID="1.2.9",
            SeriesInstanceUID="1.3",
            InstanceNumber=number,
            ImagePositionPatient=[0.0, 0.0, 3.0 * number],
        )
    assert [image.instance_number for image in index_folder(tmp_path).instances] == [1, 2]


@pytest.mark.parametrize("uid", ["1.3", None])
def test_series_that_share_a_uid_or_lack_it_are_told_apart_by_number_and_description(tmp_path, write_dicom, uid):
    for number, description in ((4, "t2_tse_tra"), (6, "ep2d_diff_tra_DYNDIST"), (6, "ep2d_diff_tra_DYNDIST_ADC")):
        write_dicom(
            tmp_path / f"{number}-{description}",
            StudyInstanceUID="1.1",
            SeriesInstanceUID=uid,
            SeriesNumber=number,
            SeriesDescription=description,
        )
    series = group_series(index_folder(tmp_path).instances)
    assert [(one.number, one.description, len(one.instances)) for one in series] == [
        (4, "t2_tse_tra", 1),
        (6, "ep2d_diff_tra_DYNDIST", 1),
        (6, "ep2d_diff_tra_DYNDIST_ADC", 1),
    ]


def test_a_copy_under_another_patient_id_is_that_patients_image_too(tmp_path, write_dicom):
    for name, patient in (("a", "A"), ("again", "a "), ("b", "B")):
        write_dicom(tmp_path / name, PatientID=patient, SOPInstanceUID="1.2.9")
    index = index_folder(tmp_path)
    files = {patient: [image.file.name for image in images] for patient, images in index.by_patient().items()}
    assert files == {"a": ["a"], "b": ["b"]}
    assert [len(series.instances) for series in group_series(index.instances)] == [1, 1]


def test_a_deflated_file_is_refused_before_it_is_inflated(tmp_path, write_dicom, monkeypatch):
    path = write_dicom(tmp_path / "good")
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "bomb", enforce_file_format=True)
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("inflated"))
    monkeypatch.setattr(zlib, "decompressobj", lambda *_: pytest.fail("inflated"))
    index = index_folder(tmp_path)
    assert [image.file.name for image in index.instances] == ["good"]
    assert "bomb" in index.unreadable[0]
    assert "Deflated" in index.unreadable[0]


def test_broken_files_are_recorded_and_the_rest_goes_on(tmp_path, write_dicom):
    whole = write_dicom(tmp_path / "a_good").read_bytes()
    (tmp_path / "b_short").write_bytes(whole[:140])
    write_dicom(tmp_path / "c_huge", Rows=65535, Columns=65535)
    (tmp_path / "d_garbled").write_bytes(whole[:180] + os.urandom(200))
    index = index_folder(tmp_path)
    assert [image.file.name for image in index.instances] == ["a_good"]
    assert len(index.unreadable) == 3
    assert any("65535" in reason or "4294836225" in reason for reason in index.unreadable)


def test_objects_without_pixels_are_passed_over(tmp_path, write_dicom):
    write_dicom(tmp_path / "report", Rows=None, Columns=None, SOPClassUID=BasicTextSRStorage)
    index = index_folder(tmp_path)
    assert index.instances == index.unreadable == ()


def test_an_image_that_lost_its_size_is_recorded(tmp_path, write_dicom):
    write_dicom(tmp_path / "image", Rows=None, Columns=None)
    assert "0 pixels" in index_folder(tmp_path).unreadable[0]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(132, 900), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_anywhere_has_one_of_two_errors(tmp_path, write_dicom, damage):
    content = bytearray(write_dicom(tmp_path / "x", b_value=b"50", WindowCenter=5, WindowWidth=9).read_bytes())
    for place, value in damage:
        content[place % len(content)] = value
    (tmp_path / "x").write_bytes(content)
    with contextlib.suppress(UnreadableFileError, NotDicomError):
        read_header(tmp_path / "x")
    with contextlib.suppress(UnreadableFileError):
        shown = read_display_values(tmp_path / "x")
        assert shown.min() >= 0
        assert shown.max() <= 255


def test_an_image_without_a_place_in_the_patient_says_so(tmp_path, write_dicom):
    header = read_header(write_dicom(tmp_path / "x", ImagePositionPatient=None))
    assert header.geometry is None
    assert "ImagePositionPatient" in header.geometry_problem
    assert header.spacing_mm == (2.0, 2.0)


def test_many_processes_find_the_same(tmp_path, write_dicom, monkeypatch):
    for number in range(3):
        write_dicom(tmp_path / str(number), InstanceNumber=number)
    (tmp_path / "broken").write_bytes(b"\0" * 128 + b"DICM")
    alone = index_folder(tmp_path)
    monkeypatch.setattr(dicom_index, "PARALLEL_FROM_FILES", 1)
    assert index_folder(tmp_path) == alone


def test_pixels_that_are_cut_off_name_the_file(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "cut", np.ones((8, 8), np.uint16))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableFileError, match="cut"):
        read_display_values(path)


def test_what_is_no_dicom_is_named(tmp_path):
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(UnreadableFileError, match=r"note\.txt: not a DICOM file"):
        read_display_values(tmp_path / "note.txt")


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_images_are_the_same_images(tmp_path, make_dicom, syntax):
    plain = make_dicom(np.arange(64 * 48, dtype=np.uint16).reshape(64, 48))
    expected = display_values(plain)
    packed = make_dicom(np.arange(64 * 48, dtype=np.uint16).reshape(64, 48))
    packed.compress(syntax, generate_instance_uid=False)
    packed.save_as(tmp_path / "packed", enforce_file_format=True)
    assert read_header(tmp_path / "packed") is not None
    np.testing.assert_array_equal(read_display_values(tmp_path / "packed"), expected)


def test_a_jpeg_in_a_dicom_file_is_read(tmp_path, make_dicom):
    pixels = (np.indices((64, 48)).sum(axis=0) * 2).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=100)
    dataset = make_dicom(pixels)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(tmp_path / "x", enforce_file_format=True)
    np.testing.assert_allclose(read_display_values(tmp_path / "x"), pixels, atol=3)


def test_a_compressed_image_larger_than_its_header_is_not_decoded(tmp_path, make_dicom, monkeypatch):
    dataset = make_dicom(np.zeros((64, 48), np.uint16))
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.Rows = dataset.Columns = 4
    dataset.save_as(tmp_path / "bomb", enforce_file_format=True)
    monkeypatch.setattr(type(dataset), "pixel_array", property(lambda self: pytest.fail("decoded")))
    with pytest.raises(UnreadableFileError, match="64 x 48 pixels, the header says 4 x 4"):
        read_display_values(tmp_path / "bomb")
