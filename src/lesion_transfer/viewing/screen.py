"""A figure on the screen: one look, no keys but ours, and a sentence where there is no screen."""

from collections.abc import Callable
from typing import Any, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure

from lesion_transfer.errors import LesionError

BACKGROUND, TEXT, FAINT, MARK = "#101418", "#e8edf2", "#8fa1b3", "#ffb000"
_WITHOUT_WINDOWS = {"agg", "pdf", "pgf", "ps", "svg", "cairo", "template"}

Kept = TypeVar("Kept")


class NoDisplayError(LesionError):
    """There is no screen, or no window system that matplotlib can use."""


def show(title: str, build: Callable[[Figure], Kept], instead: str) -> Kept:
    """Builds something on a new window of this title and gives it back when the window is closed.

    `instead` says what can be done without a screen. Raises NoDisplayError where there is none.
    """
    no_display = NoDisplayError(
        f"There is no display here, or no window system that matplotlib can use (python3-tk, PyQt). {instead}"
    )
    ours: dict[Any, Any] = {key: [] for key in mpl.rcParams if key.startswith("keymap.")}
    ours |= {"keymap.quit": ["q", "ctrl+w", "cmd+w"], "toolbar": "None"}
    with mpl.rc_context(ours):
        from matplotlib import pyplot

        if pyplot.get_backend().casefold() in _WITHOUT_WINDOWS:
            raise no_display
        try:
            # at 100 dots an inch it fits a screen of 768 lines; it can be made larger
            figure = pyplot.figure(title, figsize=(6.6, 7.0))
        except Exception as error:  # each window system has its own kind of error for a missing screen
            raise no_display from error
        built = build(figure)  # matplotlib holds bound methods weakly: `built` keeps them while the window is open
        pyplot.show(block=True)
        return built
