"""The viewer's window: matplotlib draws a View and turns wheel, keys and mouse into its actions."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.backend_bases import KeyEvent, MouseEvent
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from lesion_transfer.errors import LesionError
from lesion_transfer.viewing.entry import Entry
from lesion_transfer.viewing.screen import BACKGROUND, FAINT, MARK, TEXT, show
from lesion_transfer.viewing.stack import Stack, scale_bar_mm
from lesion_transfer.viewing.view import View

logger = logging.getLogger(__name__)

_TOLD_EVERY = 20
_EDGES = (
    (0.5, 1.0, "center", "bottom"),
    (0.5, 0.0, "center", "top"),
    (0.0, 0.5, "right", "center"),
    (1.0, 0.5, "left", "center"),
)
HINT = "wheel ↑ ↓ slices · ← → time · 0 1 2 axis · drag window · h all keys"
HELP = (
    "wheel  ↑ ↓   slices, on into the next time point and axis\n"
    "← →   time, same slice\n"
    "0 1 2   axis\n"
    "drag   window: right wider, up brighter\n"
    "w   window of the file      a   window of this slice\n"
    "Home End   first, last slice\n"
    "m   next finding      x   marks on, off\n"
    "n p   next, previous series\n"
    "h   this help      q   close"
)


class Viewer:
    """A figure that shows one entry at a time.

    Usable on any canvas: `on_key`, `on_scroll`, `on_press`, `on_move` and `on_release` are connected to it here.
    """

    def __init__(self, figure: Figure, entries: Sequence[Entry], axis: int | None = None) -> None:
        self.entries = entries
        self.show_marks = True
        self._axis = axis
        self._drag: tuple[View, float, float] | None = None
        self._figure = figure
        self._build()
        self.number, stack = self._first_readable()
        self.view = View.opened(stack, axis)
        # matplotlib holds bound methods weakly: who opens a Viewer keeps it.
        canvas = figure.canvas
        canvas.mpl_connect("key_press_event", self.on_key)
        canvas.mpl_connect("scroll_event", self.on_scroll)
        canvas.mpl_connect("button_press_event", self.on_press)
        canvas.mpl_connect("motion_notify_event", self.on_move)
        canvas.mpl_connect("button_release_event", self.on_release)
        self.draw()

    def _build(self) -> None:
        figure = self._figure
        figure.set_facecolor(BACKGROUND)
        self._axes = figure.add_axes((0.04, 0.08, 0.92, 0.81))
        self._axes.set_axis_off()
        self._image = self._axes.imshow([[0]], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        self._passing: list[Artist] = []
        self._title = figure.text(0.02, 0.965, "", color=TEXT, fontsize=12, va="center", parse_math=False)
        self._caption = figure.text(0.02, 0.925, "", color=FAINT, fontsize=10, va="center", parse_math=False)
        self._note = figure.text(0.02, 0.05, "", color=MARK, fontsize=9, va="center", parse_math=False)
        figure.text(0.98, 0.025, HINT, color=FAINT, fontsize=9, va="center", ha="right")
        box = {"facecolor": BACKGROUND, "edgecolor": FAINT, "boxstyle": "round,pad=0.8", "alpha": 0.92}
        self._help = figure.text(
            0.5, 0.5, HELP, color=TEXT, ha="center", va="center", linespacing=1.7, bbox=box, multialignment="left"
        )
        self._help.set_visible(False)
        self._help.set_zorder(10)

    def _first_readable(self) -> tuple[int, Stack]:
        """The first entry that can be read; the error of the last when none can."""
        for number in range(len(self.entries)):
            try:
                return number, self._read(number)
            except LesionError as error:
                if number + 1 == len(self.entries):
                    raise
                logger.warning("%s", error)
        raise ValueError("there is nothing to show")

    def _read(self, number: int) -> Stack:
        def moved(done: int, total: int) -> None:
            if done % _TOLD_EVERY == 0:
                self._note.set_text(f"reading {self.entries[number].title}: {done} of {total} images")
                self._figure.canvas.draw_idle()
                self._figure.canvas.flush_events()

        return self.entries[number].read(moved)

    def draw(self) -> None:
        """Draws the view as it stands."""
        view, axes = self.view, self._axes
        shown = view.shown()
        rows, columns = shown.shape
        self._image.set_data(shown)
        self._image.set_extent((-0.5, columns - 0.5, rows - 0.5, -0.5))
        height, width = view.stack.layouts[view.axis].pixel_shape
        axes.set_aspect(height / width)
        for artist in self._passing:
            artist.remove()
        self._passing = [
            *self._edge_letters(),
            *self._scale_bar(columns),
            *(self._marks() if self.show_marks else ()),
        ]
        axes.set_xlim(-0.5, columns - 0.5)
        axes.set_ylim(rows - 0.5, -0.5)
        position = f"{self.number + 1} of {len(self.entries)}: " if len(self.entries) > 1 else ""
        self._title.set_text(position + view.stack.title)
        self._caption.set_text(view.caption())
        self._note.set_text(next(iter(view.stack.problems + view.stack.notes), ""))
        self._figure.canvas.draw_idle()

    def _edge_letters(self) -> Iterator[Artist]:
        letters = self.view.stack.layouts[self.view.axis].edges
        for letter, (x, y, horizontal, vertical) in zip(letters, _EDGES, strict=True):
            where = self._axes.transAxes
            yield self._axes.text(x, y, f" {letter} ", color=FAINT, ha=horizontal, va=vertical, transform=where)

    def _scale_bar(self, columns: int) -> Iterator[Artist]:
        pixel_mm = self.view.stack.layouts[self.view.axis].pixel_mm
        if pixel_mm is not None:
            length_mm = scale_bar_mm(columns * pixel_mm[1])
            where, size, label = self._axes.transData, length_mm / pixel_mm[1], f"{length_mm:g} mm"
            bar = AnchoredSizeBar(where, size, label, "lower left", color=TEXT, frameon=False, label_top=True)
            for part in (*bar.size_bar.get_children(), *bar.txt_label.get_children()):
                part.set_path_effects([withStroke(linewidth=3, foreground=BACKGROUND)])
            yield self._axes.add_artist(bar)

    def _marks(self) -> Iterator[Artist]:
        for x, y, name in self.view.marks():
            ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": MARK, "markeredgewidth": 1.5}
            yield from self._axes.plot(x, y, "o", markersize=22, **ring)
            beside: dict[str, Any] = {"textcoords": "offset points", "xytext": (14, 8), "parse_math": False}
            halo = [withStroke(linewidth=3, foreground=BACKGROUND)]
            yield self._axes.annotate(name, (x, y), color=MARK, fontsize=9, path_effects=halo, **beside)

    def show(self, view: View) -> None:
        """Goes to another view."""
        self.view = view
        self.draw()

    def open(self, number: int) -> None:
        """Shows another entry; one that cannot be read is passed over with a note."""
        number = max(0, min(number, len(self.entries) - 1))
        if number == self.number:
            return
        try:
            stack = self._read(number)
        except LesionError as error:
            logger.warning("%s", error)
            self._note.set_text(str(error))
            self._figure.canvas.draw_idle()
        else:
            self.number = number
            self.show(View.opened(stack, self._axis))

    def on_key(self, event: KeyEvent) -> None:
        """Keys: slices, time, axes, window, findings, series, help."""
        view = self.view
        moves: dict[str, Callable[[], View]] = {
            "down": lambda: view.walked(1),
            "up": lambda: view.walked(-1),
            "right": lambda: view.in_time(1),
            "left": lambda: view.in_time(-1),
            "home": lambda: view.at(0),
            "end": lambda: view.at(view.n - 1),
            "w": view.file_windowed,
            "a": view.auto_windowed,
            "m": view.at_next_mark,
            **{str(axis): lambda axis=axis: view.across(axis) for axis in (0, 1, 2)},  # type: ignore[misc]
        }
        if event.key in moves:
            self.show(moves[event.key]())
        elif event.key in {"n", "p"}:
            self.open(self.number + (1 if event.key == "n" else -1))
        elif event.key == "x":
            self.show_marks = not self.show_marks
            self.draw()
        elif event.key == "h":
            self._help.set_visible(not self._help.get_visible())
            self._figure.canvas.draw_idle()

    def on_scroll(self, event: MouseEvent) -> None:
        """The wheel: down is on, up is back."""
        self.show(self.view.walked(1 if event.button == "down" else -1))

    def on_press(self, event: MouseEvent) -> None:
        """The left button begins a drag of the window."""
        if event.button == 1:
            self._drag = (self.view, event.x, event.y)

    def on_move(self, event: MouseEvent) -> None:
        """A drag changes the window that it began with."""
        if self._drag is not None:
            began, x, y = self._drag
            width, height = self._axes.bbox.size
            dragged = began.dragged((event.x - x) / width, (event.y - y) / height)
            self.show(View(**{**vars(self.view), "window": dragged.window}))

    def on_release(self, event: MouseEvent) -> None:
        """The end of a drag."""
        self._drag = None


def open_window(entries: Sequence[Entry], axis: int | None = None) -> None:
    """Shows the entries in a window until it is closed; NoDisplayError where there is no screen."""
    instead = "Write a page for the browser instead: lesion view --html PAGE.html PATH"
    show("lesion view", lambda figure: Viewer(figure, entries, axis), instead)
