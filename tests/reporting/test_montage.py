"""Montages: a tile a channel, the dot red where it is, and an overlay of two or three channels."""

import io

import numpy as np
import pytest
from PIL import Image

from lesion_transfer.reporting.montage import alignment_montage, red_dot_montage
from lesion_transfer.reporting.pictures import to_png_bytes


def tiles(figure) -> list[np.ndarray]:
    """The pictures of the figure's axes, (rows, columns, 3) uint8."""
    return [axes.images[0].get_array().data for axes in figure.axes if axes.images]


@pytest.mark.parametrize(("n", "channels"), [(1, 1), (5, 3), (30, 1), (7, 2)])
def test_a_finding_has_a_tile_for_each_channel(n, channels):
    patches = np.random.default_rng(0).uniform(0, 255, (n, channels, 11, 11))
    names = [f"c{number}" for number in range(channels)]
    shown = tiles(red_dot_montage(patches, np.zeros_like(patches), names, [str(number) for number in range(n)]))
    assert len(shown) == n
    for strip, finding in zip(shown, patches, strict=True):
        np.testing.assert_array_equal(strip[..., 0], np.concatenate(list(finding), axis=1).round())
        assert (np.ptp(strip, axis=2) == 0).all(), "grey without a dot"


def test_the_dot_is_red_where_it_is_and_nowhere_else():
    patches = np.full((2, 1, 11, 11), 120.0)
    dots = np.zeros_like(patches)
    dots[0, 0, 5, 5] = 1
    dots[1, 0, 2, 9] = 1
    first, second = tiles(red_dot_montage(patches, dots, ["t2"], ["a", "b"]))
    for strip, place in ((first, (5, 5)), (second, (2, 9))):
        red = strip[..., 0].astype(int) - strip[..., 1]
        assert np.argwhere(red > 20).tolist() == [list(place)]


def test_channels_that_agree_overlay_to_grey_and_others_to_colour():
    patch = np.random.default_rng(0).uniform(0, 255, (9, 9))
    agreeing, differing = np.stack([patch, 0.5 * patch + 20]), np.stack([patch, 255 - patch])
    same, other = tiles(alignment_montage(np.stack([agreeing, differing]), ["t2", "adc"], ["a", "b"]))
    assert same.shape == (9, 27, 3)
    assert np.ptp(same[:, 18:].astype(int), axis=2).max() <= 1
    assert np.ptp(other[:, 18:].astype(int), axis=2).max() > 100
    alone = tiles(alignment_montage(np.stack([agreeing[:1]]), ["t2"], ["a"]))
    assert alone[0].shape == (9, 9, 3)


def test_the_picture_is_a_png_of_a_size_for_screens():
    patches = np.random.default_rng(0).uniform(0, 255, (24, 3, 65, 65))
    image = Image.open(io.BytesIO(to_png_bytes(alignment_montage(patches, ["t2", "dwi", "adc"], ["P"] * 24))))
    assert 800 < image.width < 2000
    assert image.height < 4000
