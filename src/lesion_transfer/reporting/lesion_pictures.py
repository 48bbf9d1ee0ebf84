"""Test lesions as the network saw them, with what it looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from lesion_transfer.reporting.style import INK, MUTED, new_figure, styled


@dataclass(frozen=True)
class LesionPicture:
    """image: (rows, columns) display values in [0, 255]; occlusion: (rows, columns), the fall of the probability."""

    finding_key: str
    label: bool
    probability: float
    image: np.ndarray
    occlusion: np.ndarray


@styled
def lesions_figure(lesions: Sequence[LesionPicture], title: str) -> Figure:
    """A column a lesion: its patch above, and below it where hiding pixels changes the probability.

    Red: hiding it lowers the probability of a positive; blue: raises it. One scale for all maps.
    """
    n = len(lesions)
    figure = new_figure(max(1.75 * n, 4.0), 4.2)
    grid = figure.subplots(2, n, squeeze=False)
    reach = max(max((float(np.abs(one.occlusion).max()) for one in lesions), default=0.0), 1e-6)
    for (above, below), one in zip(grid.T, lesions, strict=True):
        above.imshow(one.image, cmap="gray", vmin=0, vmax=255)
        shown = below.imshow(one.occlusion, cmap="RdBu_r", vmin=-reach, vmax=reach)
        above.set_title(one.finding_key.replace("/", "\n", 1), fontsize=8, fontweight="normal")
        below.set_xlabel(f"{'positive' if one.label else 'negative'}\np = {one.probability:.3f}", fontsize=9, color=INK)
        for axes in (above, below):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
    bar = figure.colorbar(shown, ax=list(grid[1]), shrink=0.8)
    bar.set_label("fall of p when hidden", fontsize=8, color=MUTED)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure
