"""Montages of patches: what the network is shown, with the dot that was drawn at the lesion before all processing."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesion_transfer.reporting.style import INK, MUTED, new_figure, styled

_DOT = np.array([230.0, 25.0, 25.0])
_CROSS = "#ffd400"
_TILE_INCH = 1.35
_WIDTH_INCH = 11.0
_TITLE_INCH = 0.4
OVERLAY = "overlay"


@styled
def red_dot_montage(
    patches: np.ndarray,
    dots: np.ndarray,
    channels: Sequence[str],
    titles: Sequence[str],
    expected_xy: np.ndarray | None = None,
) -> Figure:
    """Every patch with its red dot, a group of tiles a finding (its channels side by side), a cross where it belongs.

    patches: (n, channels, rows, columns) display values; dots: the same shape, ground 0 and top 1. expected_xy: (n, 2)
    where the dots belong, pixels from the centre; by default there.
    """
    shown = np.clip(patches, 0, 255)[..., None] * np.ones(3)
    # Red where the dot is brighter than half its top, so that the anatomy around it stays visible.
    strength = (0.85 * np.clip((dots - 0.35) / 0.3, 0, 1))[..., None]
    return _montage(shown * (1 - strength) + _DOT * strength, channels, titles, expected_xy)


@styled
def alignment_montage(patches: np.ndarray, channels: Sequence[str], titles: Sequence[str]) -> Figure:
    """The channels of every finding side by side, and of two or three channels an overlay (red, green, blue).

    patches: (n, channels, rows, columns) display values. Each channel of an overlay is stretched to its own range.
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
    return _montage(shown, names, titles)


def _montage(
    tiles: np.ndarray, names: Sequence[str], titles: Sequence[str], cross_xy: np.ndarray | None = None
) -> Figure:
    """A figure of tiles (n, k, rows, columns, 3) in [0, 255], the k of one finding beside each other."""
    n, k = tiles.shape[:2]
    crosses = np.zeros((n, 2)) if cross_xy is None else cross_xy
    a_row = max(1, min(n, int(_WIDTH_INCH / (k * _TILE_INCH))))
    n_rows = -(-n // a_row)
    figure = new_figure(max(3.0, a_row * k * _TILE_INCH), n_rows * (_TILE_INCH + _TITLE_INCH) + 0.2)
    grid = figure.subplots(n_rows, a_row, squeeze=False)
    for number, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if number < n:
            _show(axes, tiles[number], names if number < a_row else (), titles[number], crosses[number])
    return figure


def _show(axes: Axes, group: np.ndarray, names: Sequence[str], title: str, cross_xy: np.ndarray) -> None:
    """The tiles (k, rows, columns, 3) of a finding side by side, a cross on each at cross_xy from its centre."""
    k, rows, columns = group.shape[:3]
    strip = np.concatenate(list(group.round().astype(np.uint8)), axis=1)
    axes.imshow(strip, interpolation="nearest", aspect="equal")
    axes.set_title(title, fontsize=6.5, fontweight="normal", pad=3, color=INK)
    middle_y, reach = (rows - 1) / 2 + cross_xy[1], rows / 2
    for number in range(k):
        middle_x = number * columns + (columns - 1) / 2 + cross_xy[0]
        for ends in (np.array([0.3, 0.9]) * reach, np.array([-0.3, -0.9]) * reach):
            axes.plot(middle_x + ends, [middle_y] * 2, color=_CROSS, linewidth=0.5)
            axes.plot([middle_x] * 2, middle_y + ends, color=_CROSS, linewidth=0.5)
        if number:
            axes.axvline(number * columns - 0.5, color="white", linewidth=1.2)
    for number, name in enumerate(names):
        axes.text(number * columns + columns / 2, rows + 1, name, fontsize=6, color=MUTED, ha="center", va="top")
