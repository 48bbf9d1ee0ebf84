"""MetaImage files against SimpleITK's reading, and headers that lie."""

import contextlib
import resource
import zlib

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.metaimage import data_file, read_metaimage

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "DimSize": "2 3 4",
    "ElementType": "MET_UCHAR",
    "ElementDataFile": "x.raw",
}


def same_as_simpleitk(path):
    volume, image = read_metaimage(path), SimpleITK.ReadImage(str(path))
    np.testing.assert_array_equal(
        volume.voxels.reshape(SimpleITK.GetArrayFromImage(image).shape), SimpleITK.GetArrayFromImage(image)
    )
    return volume, image


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(TYPES),
    name=st.sampled_from(["x.mhd", "x.mha"]),
    compressed=st.booleans(),
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    origin=st.tuples(*[st.floats(-200, 200)] * 3),
    spacing=st.tuples(*[st.floats(0.1, 9)] * 3),
)
def test_voxels_and_place_are_simpleitks(tmp_path_factory, kind, name, compressed, turn, origin, spacing):
    path = tmp_path_factory.mktemp("m") / name
    values = np.random.default_rng(0).normal(0, 60, (3, 4, 5)).clip(0 if kind[0] == "u" else -128, 127).astype(kind)
    image = SimpleITK.GetImageFromArray(values)
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    image.SetDirection(SimpleITK.Euler3DTransform((0, 0, 0), *turn).GetMatrix())
    SimpleITK.WriteImage(image, str(path), compressed)
    volume, image = same_as_simpleitk(path)
    assert volume.voxels.dtype == np.dtype(kind)
    for index in [(0, 0, 0), (2, 1, 4)]:
        place = image.TransformContinuousIndexToPhysicalPoint([float(part) for part in reversed(index)])
        np.testing.assert_allclose(volume.grid.position_lps_mm_of(index), place, atol=1e-3)
        np.testing.assert_allclose(volume.grid.index_of(place), index, atol=1e-3)


def test_two_and_four_dimensions(tmp_path):
    values = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values, isVector=False), str(tmp_path / "t.mhd"))
    assert same_as_simpleitk(tmp_path / "t.mhd")[0].voxels.shape == (2, 3, 4, 5)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values[0, 0]), str(tmp_path / "p.mha"))
    volume, _ = same_as_simpleitk(tmp_path / "p.mha")
    assert volume.voxels.shape == (1, 1, 4, 5)
    assert volume.grid is None


@pytest.mark.real
def test_real_ktrans_volumes(real_data):
    paths = sorted((real_data / "prostatex" / "ktrans").rglob("*.mhd"))
    assert len(paths) == 8
    for path in paths:
        volume, image = same_as_simpleitk(path)
        place = image.TransformContinuousIndexToPhysicalPoint([5.0, 7.0, 3.0])
        np.testing.assert_allclose(volume.grid.index_of(place), (3, 7, 5), atol=1e-6)


def write(folder, raw=b"\1" * 24, **changes):
    lines = {**HEADER, **changes}
    lines["ElementDataFile"] = lines.pop("ElementDataFile")  # MetaImage wants it last
    (folder / "x.mhd").write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None))
    (folder / "x.raw").write_bytes(raw)
    return folder / "x.mhd"


@pytest.mark.parametrize(
    "name", ["../secret.raw", "/etc/passwd", "sub/x.raw", "..\\secret.raw", "C:\\x.raw", "..", ".", ""]
)
def test_the_data_file_is_a_plain_name_in_the_headers_folder(tmp_path, name):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for place in ("secret.raw", "in/sub/x.raw"):
        (tmp_path / place).write_bytes(b"\1" * 24)
    with pytest.raises(UnreadableFileError, match="ElementDataFile"):
        read_metaimage(write(tmp_path / "in", ElementDataFile=name))


def test_a_link_out_of_the_folder_is_refused_and_one_within_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(b"\1" * 24)
    path = write(tmp_path / "in", ElementDataFile="link.raw")
    (tmp_path / "in" / "link.raw").symlink_to(tmp_path / "secret")
    with pytest.raises(UnreadableFileError, match="link out of the folder"):
        read_metaimage(path)
    (tmp_path / "in" / "link.raw").unlink()
    (tmp_path / "in" / "link.raw").symlink_to("x.raw")
    assert read_metaimage(path).voxels.shape == (1, 4, 3, 2)
    assert data_file(path) == tmp_path / "in" / "link.raw"


@pytest.mark.parametrize(
    "key",
    [
        *("NDims", "DimSize", "ElementType", "ElementNumberOfChannels", "ElementSpacing"),
        *("Offset", "TransformMatrix", "HeaderSize", "ElementDataFile"),
    ],
)
def test_a_damaged_value_is_told_without_it(tmp_path, key):
    with pytest.raises(UnreadableFileError) as caught:
        read_metaimage(write(tmp_path, **{key: "SMITH^JOHN"}))
    assert "SMITH" not in str(caught.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"DimSize": "30000 30000 30000"}, "30000 x 30000"),
        ({"DimSize": "2 3"}, "not 3 numbers"),
        ({"DimSize": "2 3 nan"}, "DimSize"),
        ({"DimSize": "2 3 -4"}, "DimSize"),
        ({"DimSize": "2 3 5"}, "declares 30 bytes"),
        ({"DimSize": None}, "DimSize"),
        ({"NDims": "7"}, "NDims"),
        ({"ElementType": "MET_STRING"}, "MET_STRING"),
        ({"ElementNumberOfChannels": "3"}, "3 channel"),
        ({"BinaryData": "False"}, "text"),
        ({"HeaderSize": "-5"}, "HeaderSize"),
        ({"HeaderSize": "9"}, "holds 15"),
        ({"ElementSpacing": "1 x 1"}, "elementspacing"),
        ({"ElementDataFile": "gone.raw"}, "not beside it"),
        ({"ElementDataFile": "LIST"}, "not beside it"),
        ({"ElementDataFile": None}, "no ElementDataFile"),
        ({"ndims": "3"}, "twice"),
        ({"CompressedData": "True"}, "cannot be decompressed"),
    ],
)
def test_a_header_that_lies_is_a_sentence(tmp_path, changes, says):
    path = write(tmp_path, **changes)
    with pytest.raises(UnreadableFileError, match=says) as caught:
        read_metaimage(path)
    assert str(path) in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(
    compressed=st.booleans(),
    changes=st.lists(
        st.tuples(st.integers(0, 350), st.sampled_from(b"0123456789-. =\nxeE\xff\0/")), min_size=1, max_size=8
    ),
)
def test_whatever_a_header_holds_there_is_a_volume_or_a_sentence(tmp_path_factory, compressed, changes):
    path = tmp_path_factory.mktemp("f") / "x.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 4, 5))), str(path), compressed)
    block = bytearray(path.read_bytes())
    for place, byte in changes:
        block[min(place, len(block) - 1)] = byte
    path.write_bytes(block)
    with contextlib.suppress(UnreadableFileError):
        assert read_metaimage(path).voxels.ndim == 4


def test_a_compressed_file_is_unpacked_no_further_than_its_header_says(tmp_path):
    bomb = zlib.compress(b"\0" * 2**28)
    path = write(tmp_path, bomb, CompressedData="True")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableFileError, match="unpacks to more"):
        read_metaimage(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # kilobytes: half of what it holds
    with pytest.raises(UnreadableFileError, match="unpacks to fewer"):
        read_metaimage(write(tmp_path, zlib.compress(b"\0" * 23), CompressedData="True"))


def test_voxels_at_the_end_of_the_file_and_in_the_other_byte_order(tmp_path):
    values = np.arange(24, dtype=">i2")
    changes = {"ElementType": "MET_SHORT", "HeaderSize": "-1", "BinaryDataByteOrderMSB": "True"}
    path = write(tmp_path, b"junk" + values.tobytes(), **changes)
    volume, _ = same_as_simpleitk(path)
    np.testing.assert_array_equal(volume.voxels.ravel(), values)
    assert volume.voxels.dtype.isnative


def test_a_flat_grid_leaves_the_voxels(tmp_path):
    assert read_metaimage(write(tmp_path, TransformMatrix="1 0 0 1 0 0 0 0 1")).grid is None
