"""The window in which lesions are marked: click the centre, and it is saved."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.backend_bases import KeyEvent, MouseButton, MouseEvent
from matplotlib.figure import Figure

from lesion_transfer.errors import LesionError
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.raster import read_grey
from lesion_transfer.viewing.annotations import Annotations, next_open
from lesion_transfer.viewing.screen import BACKGROUND, FAINT, MARK, TEXT, show

logger = logging.getLogger(__name__)

KEYS = (
    "click  the lesion's centre, saved at once    u  undo    k  not usable    y / n  label positive / negative\n"
    "space  next image that is not done    → ←  next, previous image    q  close; the next call goes on here"
)


class Annotator:
    """A figure that shows one image at a time, beginning with the first that is not done."""

    def __init__(self, figure: Figure, annotations: Annotations) -> None:
        self.annotations = annotations
        self.number = next_open(annotations.read()) or 0
        self._figure = figure
        figure.set_facecolor(BACKGROUND)
        self._axes = figure.add_axes((0.04, 0.1, 0.92, 0.79))
        self._title = figure.text(0.02, 0.965, "", color=TEXT, fontsize=12, va="center", parse_math=False)
        self._caption = figure.text(0.02, 0.925, "", color=FAINT, fontsize=10, va="center", parse_math=False)
        figure.text(0.02, 0.045, KEYS, color=FAINT, fontsize=9, va="center", linespacing=1.6)
        # matplotlib holds bound methods weakly: who opens an Annotator keeps it.
        figure.canvas.mpl_connect("key_press_event", self.on_key)
        figure.canvas.mpl_connect("button_press_event", self.on_press)
        self.open(self.number)

    @property
    def image(self) -> str:
        """The image that is shown."""
        return self.annotations.images[self.number]

    def open(self, number: int) -> None:
        """Shows the image of this number, at most the last."""
        self.number = max(0, min(number, len(self.annotations.images) - 1))
        self._axes.clear()
        self._axes.set_axis_off()
        self._shape: tuple[int, ...] | None = None
        try:
            pixels = read_grey(self.annotations.folder / self.image)
        except UnreadableFileError as error:
            logger.warning("%s", error)
        else:
            self._shape = pixels.shape
            self._axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        self._tell()

    def _tell(self) -> None:
        """Writes what the table says of the image, and marks its centre."""
        everything, images = self.annotations.read(), self.annotations.images
        annotation = everything[self.number]
        label = {None: "no label", True: "positive", False: "negative"}[annotation.label]
        state = "not done"
        for line in list(self._axes.lines):
            line.remove()
        if not annotation.keep:
            state = "not usable"
        elif annotation.centre_xy:
            x, y = annotation.centre_xy
            state = f"centre {x:g}, {y:g}"
            limits = self._axes.axis()
            self._axes.plot(x, y, "o", markersize=22, markerfacecolor="none", markeredgecolor=MARK, markeredgewidth=1.5)
            self._axes.plot(x, y, "+", markersize=6, markeredgecolor=MARK)
            self._axes.axis(limits)
        n_done = sum(one.is_done for one in everything)
        readable = "cannot be read · " if self._shape is None else ""
        self._title.set_text(f"{self.number + 1} of {len(images)}: {self.image}")
        self._caption.set(text=f"{readable}{label} · {state} · {n_done} of {len(images)} done", color=FAINT)
        self._figure.canvas.draw_idle()

    @contextmanager
    def _saying_errors(self) -> Iterator[None]:
        """Shows why the table could not be read or written, in place of what it says of the image; work goes on."""
        try:
            yield
        except LesionError as error:
            logger.warning("%s", error)
            self._caption.set(text=str(error), color=MARK)
            self._figure.canvas.draw_idle()

    def on_press(self, event: MouseEvent) -> None:
        """The left button marks the centre; in the outer half of an edge pixel, the middle of that pixel."""
        inside = event.inaxes is self._axes and event.xdata is not None and event.ydata is not None
        if event.button == MouseButton.LEFT and inside and self._shape is not None:
            rows, columns = self._shape
            x, y = (min(max(part or 0.0, 0.0), n - 1.0) for part, n in ((event.xdata, columns), (event.ydata, rows)))
            with self._saying_errors():
                self.annotations.mark(self.image, x, y)
                self._tell()

    def on_key(self, event: KeyEvent) -> None:
        """Keys: undo, not usable, label, and from image to image."""
        with self._saying_errors():
            self._act(event.key)

    def _act(self, key: str | None) -> None:
        annotations = self.annotations
        if key in {" ", "enter"}:
            following = next_open(annotations.read(), self.number)
            self.open(self.number if following is None else following)
        elif key in {"left", "right"}:
            self.open(self.number + (1 if key == "right" else -1))
        elif key == "u":
            image = annotations.undo()
            if image is not None:
                self.open(annotations.images.index(image))
        elif key == "k":
            annotations.set_unusable(self.image)
            self._tell()
        elif key in {"y", "n"}:
            annotations.set_label(self.image, key == "y")
            self._tell()


def annotate(annotations: Annotations) -> None:
    """Shows the images in a window until it is closed; NoDisplayError where there is no screen."""
    show("lesion annotate", lambda figure: Annotator(figure, annotations), "Marking lesions needs one.")
