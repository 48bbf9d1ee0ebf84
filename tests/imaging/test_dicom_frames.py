"""Colour and several frames, by what pydicom and the header say of each."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from lesion_transfer.imaging.dicom_files import read_display_values
from lesion_transfer.imaging.dicom_frames import read_frames
from lesion_transfer.imaging.dicom_index import read_header
from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.volume import MAX_VOXELS

COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}


def items(**tags):
    item = Dataset()
    item.update(tags)
    return Sequence([item])


def test_each_frame_has_the_rescale_and_window_of_its_groups(tmp_path, make_dicom):
    frames = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    dataset = make_dicom(frames, NumberOfFrames=3, Rows=4, Columns=5, WindowCenter=1, WindowWidth=2)
    dataset.SharedFunctionalGroupsSequence = items(
        PixelValueTransformationSequence=items(RescaleSlope=2, RescaleIntercept=-10)
    )
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [items(FrameVOILUTSequence=items(WindowCenter=100 + number, WindowWidth=50))[0] for number in range(3)]
    )
    dataset.save_as(tmp_path / "x", enforce_file_format=True)
    read = read_frames(tmp_path / "x")
    assert [frame.grey.window.centre for frame in read] == [100, 101, 102]
    np.testing.assert_array_equal([frame.grey.values for frame in read], frames * 2.0 - 10)
    assert all(frame.rgb is None for frame in read)


def test_colour_has_its_luminance(tmp_path, write_dicom):
    rgb = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    (frame,) = read_frames(write_dicom(tmp_path / "x", rgb, **COLOUR))
    np.testing.assert_array_equal(frame.rgb, rgb)
    np.testing.assert_allclose(frame.grey.shown(), [[76.245, 149.685], [29.07, 255]], atol=1e-3)


def test_ybr_becomes_rgb_as_pydicom_has_it(tmp_path, make_dicom):
    dataset = make_dicom(np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8), **COLOUR)
    dataset.PhotometricInterpretation = "YBR_FULL"
    dataset.save_as(tmp_path / "x", enforce_file_format=True)
    np.testing.assert_array_equal(read_frames(tmp_path / "x")[0].rgb, pixel_array(tmp_path / "x"))


def test_palette_colour_is_looked_up(tmp_path, make_dicom):
    dataset = make_dicom(np.array([[0, 1], [2, 1]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for name, values in (("Red", [0, 10, 20]), ("Green", [30, 40, 50]), ("Blue", [60, 70, 80])):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [3, 0, 16])
        dataset[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(dataset, f"{name}PaletteColorLookupTableData", (np.array(values, "<u2") * 257).tobytes())
    dataset.save_as(tmp_path / "x", enforce_file_format=True)
    expected = [[[0, 30, 60], [10, 40, 70]], [[20, 50, 80], [10, 40, 70]]]
    np.testing.assert_array_equal(read_frames(tmp_path / "x")[0].rgb, expected)


def test_a_later_frame_that_says_another_size_is_refused_before_it_is_decoded(tmp_path, make_dicom):
    encoded = []
    for side in (8, 2000):
        stream = io.BytesIO()
        Image.new("L", (side, side)).save(stream, format="JPEG")
        encoded.append(stream.getvalue())
    dataset = make_dicom(np.zeros((8, 8), np.uint8), NumberOfFrames=2)
    dataset.PixelData = encapsulate(encoded)
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(tmp_path / "x", enforce_file_format=True)
    with pytest.raises(UnreadableFileError, match="2000 x 2000"):
        read_frames(tmp_path / "x")


def test_no_dicom_and_no_image_are_sentences(tmp_path, write_dicom):
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UnreadableFileError, match="not a DICOM file"):
        read_frames(tmp_path / "text")
    with pytest.raises(UnreadableFileError, match="declares 0 pixels"):
        read_frames(write_dicom(tmp_path / "x", Rows=None, Columns=None))


def test_frames_lie_where_their_groups_say(tmp_path, write_enhanced):
    frames = read_frames(write_enhanced(tmp_path / "x", np.zeros((3, 4, 5), np.uint16), gap_mm=4.0))
    assert [frame.geometry.position_lps_mm for frame in frames] == [(-10.0, 20.0, 4.0 * number) for number in range(3)]
    assert {frame.spacing_mm for frame in frames} == {(2.0, 0.5)}
    assert frames[0].geometry.normal.tolist() == [0, 0, 1]


def test_groups_without_a_place_leave_the_frames_without_one(tmp_path, write_enhanced):
    path = write_enhanced(tmp_path / "x", np.zeros((2, 4, 5), np.uint16))
    dataset = dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient = [1, 2]
    dataset.save_as(path)
    assert [frame.geometry for frame in read_frames(path)] == [None, None]


WORD = b"SMITH^JOHN"
DAMAGED = (
    *("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "NumberOfFrames", "PixelSpacing"),
    *("ImagePositionPatient", "PhotometricInterpretation", "VOILUTFunction", "TransferSyntaxUID"),
)


@pytest.mark.parametrize("keyword", DAMAGED)
@pytest.mark.parametrize("read", [read_frames, read_display_values, read_header])
def test_a_damaged_value_is_told_without_it(tmp_path, write_dicom, caplog, keyword, read):
    """Neither in the error nor in a log: pydicom warns of a value by quoting it."""
    plain = {"WindowCenter": 7, "WindowWidth": 9, "RescaleSlope": 1, "RescaleIntercept": 0, "VOILUTFunction": "LINEAR"}
    path = write_dicom(tmp_path / "x", **{**plain, "NumberOfFrames": 1})
    block = path.read_bytes()
    tag = tag_for_keyword(keyword)
    start = block.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    length = struct.unpack("<H", block[start + 6 : start + 8])[0]
    value = WORD if keyword != "TransferSyntaxUID" else WORD.ljust(length)  # the meta group says its length
    path.write_bytes(block[: start + 6] + struct.pack("<H", len(value)) + value + block[start + 8 + length :])
    said = ""
    try:
        read(path)
    except UnreadableFileError as error:
        said = str(error)
    assert "SMITH" not in said + caplog.text


def test_a_damaged_window_is_called_by_its_keyword(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "x", WindowCenter=1234567, WindowWidth=9)
    path.write_bytes(path.read_bytes().replace(b"1234567", b"SMITH^J"))
    with pytest.raises(UnreadableFileError, match="WindowCenter is not a number"):
        read_display_values(path)


def test_colour_that_the_standard_knows_is_named(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "x", np.zeros((4, 5, 3), np.uint8), **COLOUR)
    with pytest.raises(UnreadableFileError, match="is RGB, not grey"):
        read_display_values(path)


def test_pixels_that_are_cut_off_or_missing_are_sentences(tmp_path, make_dicom, write_dicom):
    path = write_dicom(tmp_path / "x", np.zeros((4, 5), np.uint16))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UnreadableFileError, match="declares 40 bytes of pixels, the file holds 30"):
        read_frames(path)
    dataset = make_dicom()
    del dataset.PixelData
    dataset.save_as(tmp_path / "y", enforce_file_format=True)
    with pytest.raises(UnreadableFileError, match="holds no pixels"):
        read_frames(tmp_path / "y")


ENTRIES = np.arange(4096)[::-1]
"""Of a LUT whose shown values fall as the stored ones rise."""


def lut_of(entries, bits, first=0, words=True):
    lut = Dataset()
    lut.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    lut.add_new("LUTData", "OW", entries.astype("<u2" if words else np.uint8).tobytes())
    return Sequence([lut])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("read", [read_display_values, lambda path: read_frames(path)[0].grey.shown()])
@pytest.mark.parametrize(("bits", "words"), [(8, True), (8, False), (12, True), (16, True)])
def test_a_voi_lut_of_bytes_is_looked_up(tmp_path, make_dicom, syntax, read, bits, words):
    entries = ENTRIES >> 4 if bits == 8 else ENTRIES << (bits - 12)
    pixels = np.arange(0, 4096, 41, dtype=np.uint16).reshape(10, 10)
    dataset = make_dicom(pixels, VOILUTSequence=lut_of(entries, bits, words=words))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "x", enforce_file_format=True)
    np.testing.assert_allclose(read(tmp_path / "x"), entries[pixels] * 255 / (2**bits - 1), atol=1e-4)


def test_a_modality_lut_of_bytes_is_looked_up(tmp_path, make_dicom):
    pixels = np.arange(0, 4096, 41, dtype=np.uint16).reshape(10, 10)
    dataset = make_dicom(pixels, ModalityLUTSequence=lut_of(ENTRIES, 16))
    dataset.save_as(tmp_path / "x", enforce_file_format=True, implicit_vr=False)
    np.testing.assert_array_equal(read_frames(tmp_path / "x")[0].grey.values, ENTRIES[pixels])


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floating_point_pixels_are_shown_over_the_range_of_all_frames(tmp_path, write_enhanced, keyword, kind):
    values = np.array([[[0.5, 1.25], [np.nan, 2.0]], [[-3.0, 0.0], [1.0, 5.0]]])
    dataset = dcmread(write_enhanced(tmp_path / "x", np.zeros((2, 2, 2), np.uint16)))
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, name)
    dataset.BitsAllocated = np.dtype(kind).itemsize * 8
    setattr(dataset, keyword, values.astype(kind).tobytes())
    dataset.save_as(tmp_path / "x")
    frames = read_frames(tmp_path / "x")
    np.testing.assert_array_equal([frame.grey.values for frame in frames], values)
    assert {(frame.grey.window, frame.grey.has_window) for frame in frames} == {(Window.spanning(-3, 5), False)}


def test_as_many_pixels_are_read_as_a_volume_may_have_and_no_frame_is_larger_than_an_image(tmp_path, write_dicom):
    """300 frames of 512 x 512 and more; what the headers declare is judged before it is read."""
    longest = MAX_VOXELS // 2**18
    for name, size in (("most", (longest, 512)), ("more", (longest + 1, 512)), ("large", (2, 2**13 + 1))):
        write_dicom(tmp_path / name, NumberOfFrames=size[0], Rows=size[1], Columns=size[1])
    assert read_header(tmp_path / "most").frames == 2048
    with pytest.raises(UnreadableFileError, match="in 2049 frames; 1 to 536870912 are read"):
        read_header(tmp_path / "more")
    with pytest.raises(UnreadableFileError, match="pixels a frame; 1 to 67108864 are read"):
        read_header(tmp_path / "large")
    with pytest.raises(UnreadableFileError, match="cut off"):
        read_frames(tmp_path / "most")
