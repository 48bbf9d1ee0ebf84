"""Montages of patches: what the network is shown, with the dot that was drawn at the lesion before all processing.

Put together by Pillow: a figure with as many axes takes matplotlib seconds.
"""

import io
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_DOT = np.array([230.0, 25.0, 25.0])
_PAPER, _INK, _MUTED, _CROSS, _FRAME = "#ffffff", "#1c2430", "#5b6675", "#ffd400", "#ffd400"
TILE_PX = 130
_WIDTH_PX = 1584
_BETWEEN_TILES_PX, _BETWEEN_GROUPS_PX, _EDGE_PX = 2, 14, 8
_FONT_PX, _LINE_PX = 12, 15
_BAR_MM = (100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0)
OVERLAY, WHOLE = "overlay", "whole slice"


class Overview(Protocol):
    """A slice (rows, columns) uint8 of at most TILE_PX a side, and the patch's outline (left, top, right, bottom)."""

    @property
    def pixels(self) -> np.ndarray: ...

    @property
    def outline_px(self) -> tuple[float, float, float, float]: ...


def red_dot_montage(
    patches: np.ndarray,
    dots: np.ndarray,
    channels: Sequence[str],
    titles: Sequence[str],
    expected_xy: np.ndarray | None = None,
    side_mm: float | None = None,
) -> Image.Image:
    """Every patch with its red dot, a group of tiles a finding (its channels side by side), a cross where it belongs.

    patches: (n, channels, rows, columns) display values; dots: the same shape, ground 0 and top 1. expected_xy: (n, 2)
    where the dots belong, pixels from the centre; by default there. side_mm: of a patch, for a bar of known length.
    """
    shown = np.clip(patches, 0, 255)[..., None] * np.ones(3)
    # Red where the dot is brighter than half its top, so that the anatomy around it stays visible.
    strength = (0.85 * np.clip((dots - 0.35) / 0.3, 0, 1))[..., None]
    tiles = shown * (1 - strength) + _DOT * strength
    return _montage(tiles, channels, titles, np.zeros((len(tiles), 2)) if expected_xy is None else expected_xy, side_mm)


def alignment_montage(
    patches: np.ndarray,
    channels: Sequence[str],
    titles: Sequence[str],
    overviews: Sequence[Overview],
    side_mm: float | None = None,
) -> Image.Image:
    """Of every finding the whole slice of its first channel with the patch's outline, then its channels side by side.

    Two or three channels are laid over each other besides (red, green, blue), each stretched to its own range.
    patches: (n, channels, rows, columns) display values. side_mm: of a patch, for a bar of known length.
    """
    shown = np.clip(patches, 0, 255)[..., None] * np.ones(3)
    names = list(channels)
    if 2 <= len(channels) <= 3:
        low, high = (np.percentile(patches, share, axis=(2, 3), keepdims=True) for share in (1, 99))
        stretched = np.clip((patches - low) / np.maximum(high - low, 1e-6), 0, 1) * 255
        # Two channels are red and cyan: where they agree it is grey.
        order = (0, 1, 2) if len(channels) == 3 else (0, 1, 1)
        shown = np.concatenate([shown, np.moveaxis(stretched[:, order], 1, -1)[:, None]], axis=1)
        names.append(OVERLAY)
    return _montage(shown, names, titles, np.zeros((len(shown), 2)), side_mm, overviews)


def montage_png(montage: Image.Image) -> bytes:
    """The montage as PNG, in its 256 most fitting colours: a third of the bytes, the same look."""
    packed = io.BytesIO()
    colours = montage.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colours.save(packed, format="PNG", compress_level=9)
    return packed.getvalue()


def _montage(
    tiles: np.ndarray,
    names: Sequence[str],
    titles: Sequence[str],
    cross_xy: np.ndarray,
    side_mm: float | None,
    overviews: Sequence[Overview] = (),
) -> Image.Image:
    """Tiles (n, k, rows, columns, 3) in [0, 255], the k of one finding beside each other, its overview before them."""
    n, _, rows, columns = tiles.shape[:4]
    scale = max(1, round(TILE_PX / max(rows, columns)))
    captions = [*([WHOLE] if overviews else []), *names]
    widths = [*([TILE_PX] if overviews else []), *[columns * scale] * len(names)]
    group_px = sum(widths) + (len(widths) - 1) * _BETWEEN_TILES_PX
    height_px = max(rows * scale, TILE_PX if overviews else 0)
    title_px = max(title.count("\n") + 1 for title in titles) * _LINE_PX
    a_row = max(1, min(n, (_WIDTH_PX - 2 * _EDGE_PX + _BETWEEN_GROUPS_PX) // (group_px + _BETWEEN_GROUPS_PX)))
    column_px = max(group_px, max(_width(line) for title in titles for line in title.split("\n")))
    size = (
        2 * _EDGE_PX + a_row * (column_px + _BETWEEN_GROUPS_PX) - _BETWEEN_GROUPS_PX,
        2 * _EDGE_PX + _LINE_PX + -(-n // a_row) * (title_px + height_px + _BETWEEN_GROUPS_PX) - _BETWEEN_GROUPS_PX,
    )
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    for number in range(n):
        left = _EDGE_PX + number % a_row * (column_px + _BETWEEN_GROUPS_PX)
        top = _EDGE_PX + _LINE_PX + number // a_row * (title_px + height_px + _BETWEEN_GROUPS_PX)
        draw.multiline_text((left, top), titles[number], fill=_INK, font=_font(), spacing=_LINE_PX - _FONT_PX)
        x, y = left, top + title_px
        for place, (caption, width) in enumerate(zip(captions, widths, strict=True)):
            if number < a_row:
                draw.text((x + width / 2, _EDGE_PX), caption, fill=_MUTED, font=_font(), anchor="ma")
            if overviews and place == 0:
                _paste_overview(picture, draw, overviews[number], (x, y))
            else:
                tile = tiles[number, place - bool(overviews)].round().astype(np.uint8)
                picture.paste(Image.fromarray(tile.repeat(scale, axis=0).repeat(scale, axis=1)), (x, y))
                _draw_cross(draw, (x, y), (rows * scale, columns * scale), cross_xy[number] * scale)
                if side_mm is not None and place == bool(overviews):
                    _draw_bar(draw, (x, y + rows * scale), rows * scale / side_mm)
            x += width + _BETWEEN_TILES_PX
    return picture


def _paste_overview(picture: Image.Image, draw: ImageDraw.ImageDraw, overview: Overview, at: tuple[int, int]) -> None:
    """The slice in the middle of its tile, the patch's outline on it."""
    height, width = overview.pixels.shape
    x, y = at[0] + (TILE_PX - width) // 2, at[1] + (TILE_PX - height) // 2
    picture.paste(Image.fromarray(overview.pixels).convert("RGB"), (x, y))
    left, top, right, bottom = overview.outline_px
    corners = (max(left, 0), max(top, 0), min(right, width - 1), min(bottom, height - 1))
    draw.rectangle([x + corners[0], y + corners[1], x + corners[2], y + corners[3]], outline=_FRAME)


def _draw_cross(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], size: tuple[int, int], cross_xy_px: Sequence[float] | np.ndarray
) -> None:
    """A cross that leaves its middle free, at cross_xy_px from the centre of the tile."""
    rows, columns = size
    x, y = at[0] + (columns - 1) / 2 + cross_xy_px[0], at[1] + (rows - 1) / 2 + cross_xy_px[1]
    near, far = 0.15 * rows, 0.45 * rows
    for sign in (-1, 1):
        draw.line([(x + sign * near, y), (x + sign * far, y)], fill=_CROSS)
        draw.line([(x, y + sign * near), (x, y + sign * far)], fill=_CROSS)


def _draw_bar(draw: ImageDraw.ImageDraw, bottom_left: tuple[int, int], px_a_mm: float) -> None:
    """A bar of a round length, up to a third of the tile, and what it is."""
    length_mm = next((length for length in _BAR_MM if length * px_a_mm <= TILE_PX / 3), None)
    if length_mm is None:
        return
    x, y = bottom_left[0] + 5, bottom_left[1] - 6
    draw.rectangle([x - 1, y - 1, x + length_mm * px_a_mm + 1, y + 2], fill="black")
    draw.rectangle([x, y, x + length_mm * px_a_mm, y + 1], fill="white")
    text = f"{length_mm:g} mm"
    draw.text((x, y - 3), text, fill="white", font=_font(), anchor="ls", stroke_width=1, stroke_fill="black")


@cache
def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, as all figures have it; it comes with matplotlib, which need not be loaded for that."""
    found = find_spec("matplotlib")
    path = Path(str(found and found.origin)).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), _FONT_PX, layout_engine=ImageFont.Layout.BASIC)


def _width(line: str) -> int:
    return int(np.ceil(_font().getlength(line)))
