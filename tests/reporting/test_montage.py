"""Montages: a tile a channel, the dot red where it is, an overlay of two or three channels, the slice beside them."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lesion_transfer.reporting.montage import alignment_montage, montage_png, red_dot_montage


def holds(montage: Image.Image, tile: np.ndarray, ignored: np.ndarray) -> bool:
    """Whether the tile (rows, columns) of grey stands somewhere in the montage, but for the pixels ignored."""
    pixels = np.asarray(montage)[..., 0]
    rows, columns = tile.shape
    begins = pixels == tile[0, 0]
    for step in range(1, 40):  # along its first row, short of what may be ignored
        begins[:, :-step] &= pixels[:, step:] == tile[0, step]
    found = [pixels[top : top + rows, left : left + columns] for top, left in np.argwhere(begins)]
    return any(part.shape == tile.shape and (part == tile)[~ignored].all() for part in found)


def cross_of(side: int) -> np.ndarray:
    """Where a cross may cover a tile."""
    middle = np.abs(np.arange(side) - (side - 1) / 2) <= 1
    return middle[:, None] | middle


@pytest.mark.parametrize(("n", "channels"), [(1, 1), (5, 3), (30, 1), (7, 2)])
def test_a_finding_has_a_tile_for_each_channel(n, channels):
    patches = np.random.default_rng(0).uniform(0, 255, (n, channels, 13, 13))
    names = [f"c{number}" for number in range(channels)]
    montage = red_dot_montage(patches, np.zeros_like(patches), names, [str(number) for number in range(n)])
    for tile in patches.reshape(-1, 13, 13)[[0, -1]]:
        large = tile.round().astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)
        assert holds(montage, large, cross_of(130))


def test_the_dot_is_red_where_it_is_and_nowhere_else():
    patches = np.full((2, 1, 13, 13), 120.0)
    dots = np.zeros_like(patches)
    dots[0, 0, 6, 6] = 1
    dots[1, 0, 2, 9] = 1
    pixels = np.asarray(red_dot_montage(patches, dots, ["t2"], ["a", "b"])).astype(int)
    red = (pixels[..., 0] - pixels[..., 1] > 100) & (pixels[..., 2] < 100) & (pixels[..., 1] < 150)
    grey_rows, grey_columns = np.nonzero((pixels == 120).all(axis=2))
    top, left = grey_rows.min(), grey_columns.min()
    places = {((row - top) // 10, (column - left) // 10) for row, column in np.argwhere(red)}
    second = 130 + 14  # tiles of two findings lie 14 pixels apart
    assert places == {(6, 6)} | {(2, (second + 9 * 10 + step) // 10) for step in range(10)}


def test_channels_that_agree_overlay_to_grey_and_others_to_colour():
    patch = np.random.default_rng(0).uniform(0, 255, (13, 13))
    agreeing, differing = np.stack([patch, 0.5 * patch + 20]), np.stack([patch, 255 - patch])

    def colours(*channels):
        names = ["t2", "adc"][: len(channels)]
        pixels = np.asarray(alignment_montage(np.stack([np.stack(channels)]), names, ["a"], [OVERVIEW]))
        spread = np.ptp(pixels.astype(int), axis=2)
        yellow = (pixels[..., 0] > 200) & (pixels[..., 2] < 60)  # crosses and outlines
        return int(((spread > 30) & ~yellow).sum())

    assert colours(*agreeing) == 0
    assert colours(*differing) > 5000
    assert colours(agreeing[0]) == 0


OVERVIEW = SimpleNamespace(pixels=np.full((130, 100), 77, np.uint8), outline_px=(20.0, 30.0, 60.0, 70.0))


def test_the_whole_slice_stands_beside_its_patch_with_the_outline():
    patches = np.random.default_rng(0).uniform(0, 70, (1, 1, 13, 13))
    pixels = np.asarray(alignment_montage(patches, ["dwi"], ["a"], [OVERVIEW])).astype(int)
    whole = np.argwhere((pixels == 77).all(axis=2))
    (top, left), (bottom, right) = whole.min(axis=0), whole.max(axis=0)
    assert (bottom - top + 1, right - left + 1) == (130, 100)
    yellow = (pixels[..., 0] > 200) & (pixels[..., 2] < 60)
    outline = np.argwhere(yellow[top : bottom + 1, left : right + 1])
    assert (outline.min(axis=0).tolist(), outline.max(axis=0).tolist()) == ([30, 20], [70, 60])


def test_a_bar_of_a_round_length_tells_the_scale():
    patches = np.full((1, 1, 65, 65), 120.0)

    def white_run(side_mm):
        pixels = np.asarray(red_dot_montage(patches, np.zeros_like(patches), ["t2"], ["a"], side_mm=side_mm))
        tile = (pixels == 120).all(axis=2)
        inside = np.argwhere(tile)
        (_, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0)
        line = (pixels[bottom - 6 + 1, left : right + 1] == 255).all(axis=1)
        return int(line.sum())

    assert white_run(32.5) == 41  # 10 mm of 32.5 mm in 130 pixels, both ends
    assert white_run(65.0) == 41  # 20 mm
    assert white_run(None) == 0


def test_the_picture_is_a_png_of_a_size_for_screens_and_the_same_each_time():
    patches = np.random.default_rng(0).uniform(0, 255, (24, 3, 65, 65))

    def draw():
        return montage_png(alignment_montage(patches, ["t2", "dwi", "adc"], ["P"] * 24, [OVERVIEW] * 24, 32.5))

    image = Image.open(io.BytesIO(draw()))
    assert 800 < image.width < 2000
    assert image.height < 4000
    assert draw() == draw()
    assert not image.info.keys() & {"Software", "date"}
