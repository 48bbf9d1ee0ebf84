"""What is looked at: images in time, in planes across three axes, with windows and marks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lesion_transfer.imaging.display import DISPLAY_MAX, Window
from lesion_transfer.imaging.volume import Grid

Axis = Literal[0, 1, 2]
AXES: tuple[Axis, ...] = (0, 1, 2)
_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))
_PLANES = ("sagittal", "coronal", "transverse")


@dataclass(frozen=True)
class Mark:
    """A finding: the (slice, row, column) of its centre, voxel centres at whole numbers, and what it is called."""

    index: tuple[float, float, float]
    name: str


@dataclass(frozen=True)
class PlaneLayout:
    """How the plane across one axis is laid on the screen.

    n: how many planes. rows_axis, columns_axis: the axes of (slice, row, column) that run down and to the right;
    flip_rows, flip_columns: whether against their index. pixel_mm: (height, width) of a pixel; None where unknown.
    name: transverse, sagittal, coronal, or empty. edges: letters of the patient's side (R L A P H F) at the top,
    bottom, left and right; empty where unknown.
    """

    axis: Axis
    n: int
    rows_axis: Axis
    columns_axis: Axis
    flip_rows: bool
    flip_columns: bool
    pixel_mm: tuple[float, float] | None
    name: str
    edges: tuple[str, str, str, str]

    @property
    def pixel_shape(self) -> tuple[float, float]:
        """(height, width) of a pixel, in mm or, where that is unknown, square."""
        return self.pixel_mm or (1.0, 1.0)

    def place(self, index: Sequence[float], shape: Sequence[int]) -> tuple[int, float, float]:
        """(plane, x, y) of a (slice, row, column) in a volume of `shape` (slices, rows, columns)."""
        x, y = index[self.columns_axis], index[self.rows_axis]
        x = shape[self.columns_axis] - 1 - x if self.flip_columns else x
        y = shape[self.rows_axis] - 1 - y if self.flip_rows else y
        return int(np.clip(round(index[self.axis]), 0, self.n - 1)), x, y


@dataclass(frozen=True)
class Stack:
    """Images to look at.

    voxels: (times, slices, rows, columns), any real type, also memory-mapped.
    windows: [time][slice], what the file asks each image to be shown with; window_name: what that is called.
    slice_names, time_names: captions; empty where the number says enough.
    notes: sentences about what is missing. problems: a sentence for each image that cannot be read; it names the file,
    whose path may tell who the patient is.
    pixel_mm: (height, width) of a pixel of an acquired plane, where there is no grid that says it; None where unknown.
    reslice: whether the slices make up a volume that can be cut across the other axes.
    """

    title: str
    voxels: np.ndarray
    windows: tuple[tuple[Window, ...], ...]
    window_name: str = "file's window"
    grid: Grid | None = None
    inverted: bool = False
    time_names: tuple[str, ...] = ()
    slice_names: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    reslice: bool = True
    pixel_mm: tuple[float, float] | None = None
    layouts: tuple[PlaneLayout, ...] = field(init=False)

    def __post_init__(self) -> None:
        axes = AXES if self.reslice and self.voxels.shape[1] > 1 else AXES[:1]
        object.__setattr__(self, "layouts", tuple(self._layout(axis) for axis in axes))

    def _layout(self, axis: Axis) -> PlaneLayout:
        if self.grid is not None:
            return _layout_of_grid(axis, self.voxels.shape[1:], self.grid)
        rows, columns = (other for other in AXES if other != axis)
        pixel_mm = self.pixel_mm if axis == 0 else None
        return PlaneLayout(axis, self.voxels.shape[axis + 1], rows, columns, False, False, pixel_mm, "", ("",) * 4)

    @property
    def n_times(self) -> int:
        return int(self.voxels.shape[0])

    def plane(self, time: int, axis: Axis, index: int) -> np.ndarray:
        """(rows, columns) values of a plane as it lies on the screen; a view of the voxels."""
        layout = self.layouts[axis]
        plane = np.take(self.voxels[time], index, axis=axis)
        if layout.rows_axis > layout.columns_axis:
            plane = plane.T
        if layout.flip_rows:
            plane = plane[::-1]
        return plane[:, ::-1] if layout.flip_columns else plane

    def file_window(self, time: int, axis: Axis, index: int) -> Window:
        """The file's window: of the image itself, across other axes that of the middle slice."""
        return self.windows[time][index if axis == 0 else len(self.windows[time]) // 2]

    def shown(self, time: int, axis: Axis, index: int, window: Window | None = None) -> np.ndarray:
        """(rows, columns) uint8 of a plane in `window`, else in the file's; values that are not finite are black."""
        shown = (window or self.file_window(time, axis, index)).apply(self.plane(time, axis, index))
        shown = DISPLAY_MAX - shown if self.inverted else shown
        return np.nan_to_num(np.rint(shown)).astype(np.uint8)

    def marks_on(self, axis: Axis, index: int) -> list[tuple[float, float, str]]:
        """(x, y, name) of the marks whose centre lies in a plane."""
        shape = self.voxels.shape[1:]
        placed = [(self.layouts[axis].place(mark.index, shape), mark.name) for mark in self.marks]
        return [(x, y, name) for (plane, x, y), name in placed if plane == index]


def scale_bar_mm(width_mm: float) -> float:
    """The length of a scale bar for an image so wide: 1, 2 or 5 times a power of ten, at most a quarter of it."""
    power = 10.0 ** math.floor(math.log10(width_mm / 4))
    # a half, for the logarithm of a number just below a power of ten may be rounded up to it
    return max(step * power for step in (0.5, 1, 2, 5) if step * power <= width_mm / 4)


def same_window(window: Window, times: int, slices: int) -> tuple[tuple[Window, ...], ...]:
    """The windows of a stack that is shown with one."""
    return ((window,) * slices,) * times


def _layout_of_grid(axis: Axis, shape: Sequence[int], grid: Grid) -> PlaneLayout:
    """Acquired planes (axis 0) stay as stored; cuts stand upright: head or front up, right or front to the left."""
    first, second = (other for other in AXES if other != axis)
    sides = [int(np.argmax(np.abs(step))) for step in grid.steps_lps_mm]
    signs = [bool(step[side] > 0) for step, side in zip(grid.steps_lps_mm, sides, strict=True)]
    distinct = len(set(sides)) == 3
    rows, columns = first, second
    flip_rows = flip_columns = False
    if axis != 0 and distinct:
        # Up and down: feet to head before front to back, which comes before right to left.
        rows, columns = (first, second) if sides[first] > sides[second] else (second, first)
        flip_rows = signs[rows] if sides[rows] == 2 else not signs[rows]
        flip_columns = not signs[columns]
    edges = ("", "", "", "")
    if distinct:
        up_down, left_right = _LETTERS[sides[rows]], _LETTERS[sides[columns]]
        down, right = signs[rows] != flip_rows, signs[columns] != flip_columns
        edges = (up_down[not down], up_down[down], left_right[not right], left_right[right])
    spacing = grid.spacing_mm
    name = _PLANES[sides[axis]] if distinct else ""
    return PlaneLayout(
        axis, int(shape[axis]), rows, columns, flip_rows, flip_columns, (spacing[rows], spacing[columns]), name, edges
    )
