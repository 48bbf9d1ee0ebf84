"""Where a viewer stands: which plane of a stack, at which time, in which window. Knows no window system.

A walk goes through all slices of a time point, then through the next time point; with no axis chosen the three axes
follow each other (thesis 4.6).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from lesion_transfer.imaging.display import Window
from lesion_transfer.viewing.stack import Axis, Stack

_AUTO_PERCENT = (0.5, 99.5)


@dataclass(frozen=True)
class View:
    """One state of a viewer; every action gives the next state.

    axes: those that the walk goes through, in order. window: None shows each image with its file's own.
    """

    stack: Stack
    axes: tuple[Axis, ...]
    axis: Axis
    index: int
    time: int = 0
    window: Window | None = None

    @classmethod
    def opened(cls, stack: Stack, axis: int | None = None) -> Self:
        """The first view: the slice of the first mark, else the middle one, of the chosen axis or of axis 0."""
        axes = tuple(layout.axis for layout in stack.layouts if axis is None or layout.axis == axis) or (0,)
        layout = stack.layouts[axes[0]]
        return cls(stack, axes, axes[0], layout.n // 2).at_first_mark()

    @property
    def n(self) -> int:
        """How many planes the axis has."""
        return self.stack.layouts[self.axis].n

    def walked(self, steps: int) -> Self:
        """`steps` planes on (or back): over the end of a time point into the next, then into the next axis."""
        view = self
        for _ in range(abs(steps)):
            following = view._neighbour(1 if steps > 0 else -1)
            if following is None:
                break
            view = following
        return view

    def _neighbour(self, step: int) -> Self | None:
        index, time, number = self.index + step, self.time, self.axes.index(self.axis)
        if not 0 <= index < self.n:
            time += step
            if not 0 <= time < self.stack.n_times:
                number += step
                if not 0 <= number < len(self.axes):
                    return None
                time = 0 if step > 0 else self.stack.n_times - 1
            index = 0 if step > 0 else self.stack.layouts[self.axes[number]].n - 1
        return replace(self, axis=self.axes[number], time=time, index=index)

    def in_time(self, steps: int) -> Self:
        """The same plane `steps` points in time on (or back), at most the last (first)."""
        return replace(self, time=int(np.clip(self.time + steps, 0, self.stack.n_times - 1)))

    def at(self, index: int) -> Self:
        """The plane of this number, at most the last."""
        return replace(self, index=int(np.clip(index, 0, self.n - 1)))

    def across(self, axis: int) -> Self:
        """The middle plane across another axis; unchanged where the stack has none."""
        if axis not in self.axes or axis == self.axis:
            return self
        layout = self.stack.layouts[axis]
        return replace(self, axis=layout.axis, index=layout.n // 2)

    def at_first_mark(self) -> Self:
        """The plane of the first mark; unchanged where there is none."""
        places = self._mark_places()
        return replace(self, index=places[0]) if places else self

    def at_next_mark(self) -> Self:
        """The next plane with a mark along the axis, going round at the end; unchanged where there is none."""
        places = sorted(self._mark_places())
        later = [place for place in places if place > self.index]
        return replace(self, index=(later or places)[0]) if places else self

    def _mark_places(self) -> list[int]:
        layout, shape = self.stack.layouts[self.axis], self.stack.voxels.shape[1:]
        return [layout.place(mark.index, shape)[0] for mark in self.stack.marks]

    def dragged(self, right: float, up: float) -> Self:
        """The window after a drag, in shares of the image: to the right wider (less contrast), up brighter."""
        start = self.current_window
        smallest = 1.0 if start.function == "LINEAR" else float(np.finfo(np.float32).tiny)
        brighter = -up if not self.stack.inverted else up
        width = max(start.width * float(np.exp(2 * right)), smallest)
        return replace(self, window=replace(start, centre=start.centre + brighter * start.width, width=width))

    def auto_windowed(self) -> Self:
        """A window from the 0.5th to the 99.5th percentile of the plane."""
        plane = self.stack.plane(self.time, self.axis, self.index)
        finite = plane[np.isfinite(plane)]
        if not finite.size:
            return self
        low, high = np.percentile(finite, _AUTO_PERCENT)
        return replace(self, window=Window.spanning(float(low), float(high)))

    def file_windowed(self) -> Self:
        """Each image with its file's own window again."""
        return replace(self, window=None)

    @property
    def current_window(self) -> Window:
        """What the plane is shown with."""
        return self.window or self.stack.file_window(self.time, self.axis, self.index)

    def shown(self) -> np.ndarray:
        """(rows, columns) uint8 of the plane."""
        return self.stack.shown(self.time, self.axis, self.index, self.window)

    def marks(self) -> Sequence[tuple[float, float, str]]:
        """(x, y, name) of the marks in the plane."""
        return self.stack.marks_on(self.axis, self.index)

    def caption(self) -> str:
        """Where the view stands, in a line: `slice 4 of 19 · b = 800 s/mm² (3 of 3) · transverse (axis 0)`."""
        layout = self.stack.layouts[self.axis]
        names = self.stack.slice_names
        parts = [f"slice {self.index + 1} of {self.n}"]
        if names and self.axis == 0:
            parts.append(names[self.index])
        if self.stack.n_times > 1:
            name = (self.stack.time_names or ("time",) * self.stack.n_times)[self.time]
            parts.append(f"{name} ({self.time + 1} of {self.stack.n_times})")
        if len(self.stack.layouts) > 1:
            parts.append(f"{layout.name} (axis {self.axis})" if layout.name else f"axis {self.axis}")
        window = self.current_window
        source = self.stack.window_name if self.window is None else "window"
        parts.append(f"{source} {window.centre:.4g} ± {window.width / 2:.4g}")
        return " · ".join(part for part in parts if part)
