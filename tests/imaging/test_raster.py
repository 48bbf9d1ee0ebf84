"""JPG and PNG of every mode to grey."""

import numpy as np
import pytest
from PIL import Image

from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.raster import read_grey

GREY = np.arange(60, dtype=np.uint8).reshape(6, 10) * 4
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "1"])
def test_modes_are_pillows_luminance(tmp_path, mode):
    image = Image.fromarray(COLOUR).convert(mode)
    image.save(tmp_path / "x.png")
    grey = read_grey(tmp_path / "x.png")
    assert grey.dtype == np.float32
    assert grey.shape == (6, 10)
    np.testing.assert_array_equal(grey, np.asarray(image.convert("L")))


def test_sixteen_bits_keep_their_steps(tmp_path):
    stored = np.array([[0, 1, 257], [30000, 65534, 65535]], np.uint16)
    Image.fromarray(stored).save(tmp_path / "x.png")
    np.testing.assert_allclose(read_grey(tmp_path / "x.png"), stored / 257, rtol=1e-6)


def test_exif_orientation_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to show
    Image.fromarray(GREY).save(tmp_path / "x.jpg", exif=exif, quality=100)
    turned = read_grey(tmp_path / "x.jpg")
    assert turned.shape == (10, 6)
    np.testing.assert_allclose(turned, np.rot90(GREY, -1), atol=12)


def test_a_decompression_bomb_is_an_error(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "x.png")
    for limit in (50, 20):  # Pillow warns above its limit and raises above twice of it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UnreadableFileError, match=r"x\.png"):
            read_grey(tmp_path / "x.png")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"x\.png"):
        read_grey(tmp_path / "x.png")


def test_other_formats_are_not_decoded(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "x.png", format="TIFF")
    with pytest.raises(UnreadableFileError):
        read_grey(tmp_path / "x.png")
