"""NIfTI files against nibabel's own reading, and headers that lie."""

import contextlib
import gzip

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.nifti import header_of, read_nifti


def write(path, voxels, affine=None, kind=nibabel.Nifti1Image):
    image = kind(voxels, np.diag([2.0, 3.0, 4.0, 1.0]) if affine is None else affine)
    nibabel.save(image, path)
    return path


def ras_of(volume, index):
    """The voxel at a (slice, row, column) and its place, RAS as nibabel counts it."""
    place = np.array(volume.grid.position_lps_mm_of(index)) * [-1, -1, 1]
    return volume.voxels[(0, *index)], place


@settings(max_examples=30, deadline=None)
@given(
    order=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    tilt=st.floats(-0.4, 0.4),
    shift=st.tuples(*[st.floats(-100, 100)] * 3),
    seed=st.integers(0, 99),
)
def test_every_voxel_keeps_its_place_in_the_patient(tmp_path_factory, order, signs, tilt, shift, seed):
    voxels = np.random.default_rng(seed).integers(0, 4000, (3, 4, 5)).astype(np.int16)
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ (np.eye(3)[:, order] * signs * [1.0, 2.5, 4.0])
    affine[:3, 3] = shift
    path = write(tmp_path_factory.mktemp("n") / "x.nii", voxels, affine)
    affine = nibabel.load(path).affine  # as float32 header fields keep it
    volume = read_nifti(path)
    for index in [(0, 0, 0), tuple(n - 1 for n in volume.voxels.shape[1:]), (1, 2, 1)]:
        value, place = ras_of(volume, index)
        i, j, k = np.rint(np.linalg.inv(affine) @ [*place, 1])[:3].astype(int)
        np.testing.assert_allclose((affine @ [i, j, k, 1])[:3], place, atol=1e-3)
        assert voxels[i, j, k] == value
    slices, rows, columns = volume.grid.steps_lps_mm
    assert columns[0] == max(columns, key=abs) > 0  # right to left
    assert rows[1] == max(rows, key=abs) > 0  # front to back
    assert slices[2] == max(slices, key=abs) > 0  # feet to head


def test_time_scaling_and_window_of_the_header(tmp_path):
    stored = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    image = nibabel.Nifti1Image(stored, np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header.set_slope_inter(0.5, -3)
    image.header["cal_min"], image.header["cal_max"] = 2, 20
    nibabel.save(image, tmp_path / "x.nii.gz")
    volume = read_nifti(tmp_path / "x.nii.gz")
    loaded = nibabel.load(tmp_path / "x.nii.gz").get_fdata()
    np.testing.assert_allclose(volume.voxels, loaded.transpose(3, 2, 1, 0), rtol=1e-6)
    np.testing.assert_allclose(volume.window.apply(np.array([2.0, 11.0, 20.0])), [0, 127.5, 255])


@pytest.mark.parametrize(("unit", "mm"), [("unknown", 1), ("mm", 1), ("meter", 1000), ("micron", 0.001)])
def test_lengths_are_in_the_unit_of_the_header(tmp_path, unit, mm):
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    affine[:3, 3] = [-10, 20, 30]
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.int16), affine)
    image.header.set_xyzt_units(unit, "sec")
    nibabel.save(image, tmp_path / "x.nii")
    grid = read_nifti(tmp_path / "x.nii").grid
    np.testing.assert_allclose(grid.spacing_mm, np.array([3, 2, 1]) * mm)
    np.testing.assert_allclose(grid.origin_lps_mm, np.array([10, -20, 30]) * mm)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders(tmp_path, kind, order):
    voxels = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    image = kind(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]), header=kind.header_class(endianness=order))
    nibabel.save(image, tmp_path / "x.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "x.nii").voxels[0], voxels.transpose(2, 1, 0))


def hostile(path, change, tail=b"\0" * 64, pack=gzip.compress):
    header = nibabel.Nifti1Header()
    header.set_data_shape((2, 2, 2))
    header.set_data_dtype(np.uint8)
    header["magic"], header["vox_offset"] = b"n+1", 352
    change(header)
    path.write_bytes(pack(header.binaryblock + b"\0" * 4 + tail))
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda header: header["dim"].__setitem__(slice(0, 4), [3, 30000, 30000, 1000]), "30000 x 30000"),
        (lambda header: header["dim"].__setitem__(slice(0, 4), [3, -2, 2, 2]), "-2 x 2"),
        (lambda header: header["dim"].__setitem__(slice(0, 6), [5, 2, 2, 2, 1, 3]), "5 dimensions"),
        (lambda header: header["dim"].__setitem__(slice(0, 4), [3, 90, 90, 90]), "to its end"),
        (lambda header: header.__setitem__("vox_offset", 3e9), "voxels begin at byte"),
        (lambda header: header.__setitem__("vox_offset", -8), "vox"),
        (lambda header: header.__setitem__("datatype", 32), "complex"),
        (lambda header: header.__setitem__("datatype", 9999), "not a NIfTI file"),
        (lambda header: header.__setitem__("magic", b"ni1"), "without its voxels"),
        (lambda header: header.__setitem__("sizeof_hdr", 7), "no NIfTI header"),
    ],
)
def test_a_header_that_lies_is_a_sentence(tmp_path, change, says):
    path = hostile(tmp_path / "x.nii.gz", change)
    with pytest.raises(UnreadableFileError, match=says) as caught:
        read_nifti(path)
    assert str(path) in str(caught.value)


def test_a_file_that_ends_early_is_a_sentence(tmp_path):
    path = write(tmp_path / "x.nii", np.zeros((9, 9, 9), np.int16))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableFileError, match="ends before them"):
        read_nifti(path)
    packed = gzip.compress(write(tmp_path / "y.nii", np.zeros((9, 9, 9), np.int16)).read_bytes())
    (tmp_path / "z.nii.gz").write_bytes(packed[:-20])
    with pytest.raises(UnreadableFileError):
        read_nifti(tmp_path / "z.nii.gz")
    (tmp_path / "no.nii.gz").write_bytes(b"hello")
    with pytest.raises(UnreadableFileError):
        read_nifti(tmp_path / "no.nii.gz")


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize(("header", "data"), [("x.hdr", "x.img"), ("x.hdr.gz", "x.img.gz"), ("X.HDR", "X.IMG")])
def test_a_pair_is_read_by_its_header_as_the_single_file_is(tmp_path, kind, header, data):
    voxels, affine = np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.diag([-2.0, -1.0, 3.0, 1.0])
    pair = kind(voxels, affine)
    pair.header.set_slope_inter(0.5, -3)
    nibabel.save(pair, tmp_path / header.lower())
    (tmp_path / header.lower()).rename(tmp_path / header)
    (tmp_path / data.lower()).rename(tmp_path / data)
    volume = read_nifti(tmp_path / header)
    np.testing.assert_allclose(volume.voxels[0], voxels.transpose(2, 1, 0) * 0.5 - 3)
    np.testing.assert_allclose(volume.grid.spacing_mm, [3, 1, 2])
    assert header_of(tmp_path / data) == tmp_path / header
    assert header_of(tmp_path / header) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "x.img").unlink(), r"its voxels, x\.img, are not beside it"),
        (lambda folder: (folder / "x.img").write_bytes(b"123"), r"x\.img ends before them"),
        (lambda folder: set_magic(folder / "x.hdr", b"n+1"), r"call it \.nii"),
        (lambda folder: set_magic(folder / "x.hdr", b"\0\0\0"), "Analyze 7.5"),
        (lambda folder: set_magic(folder / "x.hdr", b"SMI"), "Analyze 7.5"),
    ],
)
def test_a_pair_that_is_none_is_a_sentence(tmp_path, change, says):
    nibabel.save(nibabel.Nifti1Pair(np.zeros((2, 3, 4), np.int16), np.eye(4)), tmp_path / "x.hdr")
    change(tmp_path)
    with pytest.raises(UnreadableFileError, match=says) as caught:
        read_nifti(tmp_path / "x.hdr")
    assert "SMI" not in str(caught.value)


def set_magic(path, magic):
    block = path.read_bytes()
    path.write_bytes(block[:344] + magic + block[347:])


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from([np.int16, np.float32]),
    changes=st.lists(st.tuples(st.integers(0, 347), st.integers(0, 255)), min_size=1, max_size=8),
    length=st.one_of(st.none(), st.integers(0, 472)),
)
def test_whatever_a_header_holds_there_is_a_volume_or_a_sentence(tmp_path_factory, kind, changes, length):
    image = nibabel.Nifti1Image(np.arange(60).reshape(3, 4, 5).astype(kind), np.diag([2.0, 2.0, 3.0, 1.0]))
    block = bytearray(image.to_bytes())
    for place, byte in changes:
        block[place] = byte
    path = tmp_path_factory.mktemp("f") / "x.nii"
    path.write_bytes(block[:length])
    with contextlib.suppress(UnreadableFileError):
        assert read_nifti(path).voxels.ndim == 4


def test_header_extensions_are_passed_over_unread(tmp_path):
    """nibabel would read an extension of whatever size it claims."""
    image = nibabel.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 100))
    nibabel.save(image, tmp_path / "x.nii")
    block = bytearray((tmp_path / "x.nii").read_bytes())
    block[352:356] = (2**31 - 16).to_bytes(4, "little")
    (tmp_path / "x.nii").write_bytes(block)
    np.testing.assert_array_equal(read_nifti(tmp_path / "x.nii").voxels.ravel(), [0, 4, 2, 6, 1, 5, 3, 7])


def test_a_place_that_the_file_does_not_state_is_not_made_up(tmp_path):
    """With both codes 0 nibabel puts the origin in the middle and the first axis to the left."""
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "x.nii")
    volume = read_nifti(tmp_path / "x.nii")
    assert volume.grid is None
    assert volume.voxels.shape == (1, 4, 3, 2)


def test_without_a_usable_place_the_voxels_are_still_shown(tmp_path):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    path = write(tmp_path / "x.nii", np.zeros((2, 3, 4), np.int16), affine)
    block = bytearray(path.read_bytes())
    block[280:328] = np.zeros(12, "<f4").tobytes()  # the sform's rows
    path.write_bytes(block)
    volume = read_nifti(path)
    assert volume.grid is None
    assert volume.voxels.shape == (1, 4, 3, 2)
