"""Trees of images to PNG: values by the closed form, and nothing lost on the way."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from lesion_transfer.errors import LesionError
from lesion_transfer.imaging.dicom_files import read_display_values
from lesion_transfer.imaging.dicom_frames import read_frames
from lesion_transfer.viewing import png
from lesion_transfer.viewing.png import convert_tree, to_8_bits

RAMP = np.arange(40, 4040, 100, dtype=np.uint16).reshape(8, 5)


def pixels(path):
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


@given(
    arrays.arrays(
        st.sampled_from([np.uint16, np.int16, np.float32]), (3, 4), elements={"min_value": 0, "max_value": 1000}
    )
)
def test_8_bits_are_the_thesis_algorithm(values):
    low, high = float(values.min()), float(values.max())
    for place, value in np.ndenumerate(values):
        expected = int((float(value) - low) * 255.0 / (high - low)) if high > low else 0
        assert to_8_bits(values)[place] == expected


def test_values_that_are_no_numbers_are_black_or_white():
    values = np.array([np.nan, -np.inf, 2.0, 3.0, 4.0, np.inf])
    assert to_8_bits(values[None])[0].tolist() == [0, 0, 0, 127, 255, 255]
    assert to_8_bits(np.full((2, 2), np.nan)).tolist() == [[0, 0], [0, 0]]
    assert to_8_bits(np.array([[-1.7e308, 2.0, 3.0, 4.0, 1.7e308]])).tolist() == [[0, 0, 127, 255, 255]]


def test_dicom_by_its_window_or_by_its_range(tmp_path, write_dicom):
    shown = write_dicom(tmp_path / "in" / "a" / "windowed", RAMP, WindowCenter=2000, WindowWidth=1500)
    write_dicom(tmp_path / "in" / "plain.dcm", RAMP)
    write_dicom(tmp_path / "in" / "inverted.dcm", RAMP, PhotometricInterpretation="MONOCHROME1")
    done = convert_tree(tmp_path / "in", tmp_path / "out")
    assert (done.n_files, done.n_pictures, done.failures) == (3, 3, ())
    by_range = ((RAMP - 40.0) * 255 / 3900).astype(np.uint8)
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "a" / "windowed.png"), read_display_values(shown).astype(np.uint8)
    )
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "plain.png"), by_range)
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "inverted.png"), 255 - by_range)
    convert_tree(tmp_path / "in", tmp_path / "range", "range")
    np.testing.assert_array_equal(pixels(tmp_path / "range" / "a" / "windowed.png"), by_range)


def test_volumes_become_one_picture_a_slice_over_one_range(tmp_path):
    values = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    nibabel.save(
        nibabel.Nifti1Image(values.transpose(3, 2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0])), tmp_path / "fmri.nii.gz"
    )
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values[0].astype(np.float64)), str(tmp_path / "ktrans.mhd"), True)
    done = convert_tree(tmp_path, None)
    assert (done.n_files, done.n_pictures, done.failures) == (2, 9, ())
    for time, number in np.ndindex(2, 3):
        expected = (values[time, number] * 255.0 / 119).astype(np.uint8)
        np.testing.assert_array_equal(pixels(tmp_path / f"fmri-t{time:02d}-{number:03d}.png"), expected)
    np.testing.assert_array_equal(pixels(tmp_path / "ktrans-002.png"), (values[0, 2] * 255.0 / 59).astype(np.uint8))


def test_pairs_become_pictures_by_their_headers_and_images_that_are_none_are_listed(tmp_path, write_dicom):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Pair(values, np.diag([-1.0, -1.0, 1.0, 1.0])), tmp_path / "pair.hdr")
    nibabel.save(nibabel.AnalyzeImage(values, np.eye(4)), tmp_path / "old.hdr")
    (tmp_path / "disk.img").write_bytes(b"no image at all")
    write_dicom(tmp_path / "scan.img", RAMP)
    done = convert_tree(tmp_path, tmp_path / "out")
    assert (done.n_files, done.n_pictures) == (3, 5)
    (failure,) = done.failures
    assert "old.hdr: not a NIfTI file" in failure
    expected = (values.transpose(2, 1, 0) * 255.0 / 23).astype(np.uint8)
    np.testing.assert_array_equal([pixels(tmp_path / "out" / f"pair-{n:03d}.png") for n in range(4)], expected)


def test_bad_files_are_listed_and_stop_nothing(tmp_path, write_dicom):
    write_dicom(tmp_path / "good.dcm", RAMP)
    whole = write_dicom(tmp_path / "cut.dcm", RAMP).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-30])
    (tmp_path / "text.dcm").write_text("hello")
    (tmp_path / "lies.nii.gz").write_bytes(gzip.compress(b"\0" * 400))
    (tmp_path / "out.mhd").write_text(
        "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = ../x.raw\n"
    )
    (tmp_path / "alone.zraw").write_bytes(b"1234")
    write_dicom(tmp_path / "nothing.dcm", Rows=None, Columns=None)
    (tmp_path / "notes.txt").write_text("no image")
    done = convert_tree(tmp_path, None)
    assert (done.n_files, done.n_pictures) == (7, 1)
    assert len(done.failures) == 6
    for name in ("cut.dcm", "text.dcm", "lies.nii.gz", "out.mhd", "nothing.dcm", "alone.zraw"):
        assert sum(name in failure for failure in done.failures) == 1
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["good.png"]


def test_a_folder_that_cannot_be_read_is_a_failure(tmp_path, write_dicom, make_unreadable):
    write_dicom(tmp_path / "in" / "a.dcm", RAMP)
    write_dicom(tmp_path / "in" / "shut" / "b.dcm", RAMP)
    make_unreadable(tmp_path / "in" / "shut")
    done = convert_tree(tmp_path / "in", tmp_path / "out")
    assert (done.n_files, done.n_pictures) == (2, 1)
    (failure,) = done.failures
    assert failure.startswith(f"{tmp_path / 'in' / 'shut'}/: the folder cannot be read")


def test_what_is_not_its_own_is_never_replaced(tmp_path, write_dicom):
    write_dicom(tmp_path / "scan.dcm", RAMP)
    Image.new("L", (2, 2), 9).save(tmp_path / "scan.png")
    mine = (tmp_path / "scan.png").read_bytes()
    done = convert_tree(tmp_path, None)
    assert done.n_pictures == 0
    assert "left as it is" in done.failures[0]
    assert (tmp_path / "scan.png").read_bytes() == mine
    assert convert_tree(tmp_path, tmp_path / "out").n_pictures == 1
    before = (tmp_path / "out" / "scan.png").read_bytes()
    write_dicom(tmp_path / "scan.dcm", RAMP[::-1])
    assert convert_tree(tmp_path, tmp_path / "out").n_pictures == 1
    assert (tmp_path / "out" / "scan.png").read_bytes() != before


def test_a_hostile_picture_in_the_way_stops_nothing(tmp_path, write_dicom, write_bomb):
    for name in ("a.dcm", "b.dcm"):
        write_dicom(tmp_path / name, RAMP)
    write_bomb(tmp_path / "a.png")
    done = convert_tree(tmp_path, None)
    assert done.n_pictures == 1
    assert "a.png is there already and was not made by" in done.failures[0]
    assert (tmp_path / "b.png").exists()


@pytest.mark.parametrize("spacing_mm", [1e-9, 5e3])
def test_a_size_of_pixels_that_png_cannot_hold_is_left_out(tmp_path, write_dicom, spacing_mm):
    write_dicom(tmp_path / "a.dcm", RAMP, PixelSpacing=[spacing_mm, 1.0])
    done = convert_tree(tmp_path, None)
    assert (done.n_pictures, done.failures) == (1, ())
    with Image.open(tmp_path / "a.png") as image:
        assert "dpi" not in image.info


def test_an_error_that_nobody_foresaw_is_only_named_and_stops_nothing(tmp_path, write_dicom, monkeypatch):
    for name in ("a.dcm", "b.dcm"):
        write_dicom(tmp_path / name, RAMP)

    def fails_once(path):
        if path.name == "a.dcm":
            raise ValueError("DOE^JOHN is no number")
        return read_frames(path)

    monkeypatch.setattr(png, "read_frames", fails_once)
    done = convert_tree(tmp_path, None)
    assert (done.n_pictures, done.failures) == (1, (f"{tmp_path / 'a.dcm'}: ValueError",))


def test_colour_stays_colour_and_frames_become_pictures(tmp_path, write_dicom):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    write_dicom(tmp_path / "photo.dcm", rgb, **tags)
    frames = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    write_dicom(tmp_path / "cine.dcm", frames, NumberOfFrames=3, Rows=4, Columns=5)
    done = convert_tree(tmp_path, None)
    assert (done.n_pictures, done.failures) == (4, ())
    with Image.open(tmp_path / "photo.png") as image:
        np.testing.assert_array_equal(np.asarray(image), rgb)
    np.testing.assert_array_equal(pixels(tmp_path / "cine-001.png"), (frames[1] * 255.0 / 59).astype(np.uint8))


def test_enhanced_images_and_captures_are_converted_with_the_size_of_their_pixels(
    tmp_path, write_enhanced, write_dicom
):
    write_enhanced(tmp_path / "enhanced.dcm", np.arange(24, dtype=np.uint16).reshape(2, 4, 3))
    write_dicom(tmp_path / "capture.dcm", RAMP, ImageOrientationPatient=None, PixelSpacing=None)
    done = convert_tree(tmp_path, None)
    assert (done.n_pictures, done.failures) == (3, ())
    with Image.open(tmp_path / "enhanced-001.png") as image:
        # Pixels 0.5 mm wide and 2 mm high; PNG counts whole dots a metre.
        assert image.info["dpi"] == pytest.approx((25.4 / 0.5, 25.4 / 2), rel=1e-3)
    with Image.open(tmp_path / "capture.png") as image:
        assert "dpi" not in image.info


def test_no_picture_of_one_run_replaces_another(tmp_path, write_dicom):
    write_dicom(tmp_path / "a-000.dcm", RAMP)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 2), np.int16), np.eye(4)), tmp_path / "a.nii")
    done = convert_tree(tmp_path, None)
    assert done.n_pictures == 1
    assert "would replace" in done.failures[0]
    np.testing.assert_array_equal(pixels(tmp_path / "a-000.png"), to_8_bits(RAMP))


def test_files_of_one_name_keep_their_own_pictures(tmp_path, write_dicom):
    write_dicom(tmp_path / "scan.dcm", RAMP)
    write_dicom(tmp_path / "SCAN.ima", RAMP)
    nibabel.save(nibabel.Nifti1Image(RAMP[:, :, None], np.eye(4)), tmp_path / "scan.nii.gz")
    assert convert_tree(tmp_path, None).n_pictures == 3
    assert {path.name for path in tmp_path.glob("*.png")} == {"scan.dcm.png", "SCAN.ima.png", "scan.nii.gz.png"}


def test_a_folder_is_needed(tmp_path):
    with pytest.raises(LesionError, match="is no folder"):
        convert_tree(tmp_path / "nowhere", None)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(LesionError, match=r"README.md is no folder: --out"):
        convert_tree(tmp_path, tmp_path / "README.md")


@pytest.mark.real
def test_real_files(real_data, tmp_path):
    source = real_data / "prostatex"
    ktrans = convert_tree(source / "ktrans" / "ProstateX-0000", tmp_path / "k")
    assert (ktrans.n_pictures, ktrans.failures) == (16, ())
    series = next((source / "PROSTATEx" / "ProstateX-0004").rglob("5-t2tsetra-*"))
    done = convert_tree(series, tmp_path / "t2")
    assert (done.n_pictures, done.failures) == (19, ())
    for path in series.iterdir():
        np.testing.assert_array_equal(
            pixels(tmp_path / "t2" / f"{path.stem}.png"), read_display_values(path).astype(np.uint8)
        )
