"""Gradient flow (thesis figure 5.5): how large the gradients of every layer are, and where they vanish."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from lesion_transfer.reporting.style import INK, MUTED, TRAIN, new_figure_with_margins, styled

MEAN, MAX, SHARE_ZERO = 0, 1, 2
"""The last axis of a gradient array: mean of |g|, max of |g|, share of elements that are exactly zero."""
_MAX_COLUMNS = 400
_LIGHT = "#9ecae1"


@styled
def gradient_flow_figure(values: np.ndarray, layer_names: Sequence[str], title: str) -> Figure:
    """Bars a layer, input to output: max and mean of |gradient| on a log axis, zero gradients in black.

    values: (n_layers, 3) in the order MEAN, MAX, SHARE_ZERO.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(layer_names), 3):
        raise ValueError(
            f"Gradient values have shape {values.shape}; {len(layer_names)} layers need ({len(layer_names)}, 3)."
        )
    names = _short(layer_names)
    below = 0.45 + _name_inch(names)
    width = max(6.5, 1.6 + 0.32 * len(names))
    figure = new_figure_with_margins(width, 4.4 + below, top_inch=0.75, bottom_inch=below, left_inch=0.75)
    figure.subplots_adjust(hspace=0.12)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    positions = np.arange(len(layer_names))
    floor, ceiling = _log_limits(values[:, [MEAN, MAX]])
    upper.set_yscale("log")
    upper.set_ylim(floor, ceiling)
    for column, color, label, width in ((MAX, _LIGHT, "max |gradient|", 0.8), (MEAN, TRAIN, "mean |gradient|", 0.5)):
        # A bar of height 0 has no place on a log axis: it is left out, and the black marks below say why.
        shown = np.where(np.isfinite(values[:, column]) & (values[:, column] > 0), values[:, column], np.nan)
        upper.bar(positions, shown, width=width, color=color, label=label)
    for wrong in np.flatnonzero(~np.isfinite(values[:, [MEAN, MAX]]).all(axis=1)):
        upper.annotate("not finite", (float(wrong), floor), rotation=90, ha="center", va="bottom", color="#b00020")
    upper.bar(positions[values[:, MAX] == 0], ceiling, width=0.8, color="black")
    upper.set_title(title)
    upper.set_ylabel("|gradient|")
    upper.tick_params(labelbottom=False, bottom=False)
    upper.grid(axis="x", visible=False)
    lower.bar(positions, values[:, SHARE_ZERO], width=0.8, color="black", label="share exactly zero")
    lower.set_ylim(0, 1)
    lower.yaxis.set_major_formatter(PercentFormatter(1))
    lower.set_ylabel("exactly zero")
    lower.set_xticks(positions, names, rotation=90, fontsize=8)
    lower.set_xlim(-0.6, len(layer_names) - 0.4)
    lower.set_xlabel("layer, input to output")
    lower.grid(axis="x", visible=False)
    # a handle of its own: without a bar the legend would show it in another colour
    handles = [*upper.get_legend_handles_labels()[0], Patch(color="black", label="all gradients zero")]
    figure.legend(handles=handles, loc="upper right", ncols=3)
    return figure


@styled
def gradient_evolution_figure(
    array: np.ndarray, layer_names: Sequence[str], epochs: Sequence[int], title: str = "Gradient flow over the training"
) -> Figure:
    """Heat map of the mean |gradient| of every layer over all batches, log colours; black = zero or not finite.

    array: (n_batches, n_layers, 3) in the order MEAN, MAX, SHARE_ZERO; epochs: the epoch of each batch (n_batches,).
    More than 400 batches are shown as means over neighbouring batches.
    """
    array = np.asarray(array, dtype=np.float64)
    if array.ndim != 3 or array.shape[1:] != (len(layer_names), 3) or len(epochs) != len(array):
        raise ValueError(
            f"Gradients have shape {array.shape}; {len(epochs)} batches of {len(layer_names)} layers need "
            f"({len(epochs)}, {len(layer_names)}, 3)."
        )
    if len(array) == 0:
        raise ValueError("There is no batch to show gradients of.")
    starts = np.unique(np.linspace(0, len(array), min(_MAX_COLUMNS, len(array)), endpoint=False).astype(int))
    counts = np.diff(np.r_[starts, len(array)])
    means = np.add.reduceat(array[:, :, MEAN], starts, axis=0).T / counts  # (n_layers, n_columns)
    names = _short(layer_names)
    height, left = max(3.2, 1.4 + 0.19 * len(names)), 0.2 + _name_inch(names)
    figure = new_figure_with_margins(9.5, height, top_inch=0.45, bottom_inch=0.6, left_inch=left)
    axes = figure.add_subplot()
    floor, ceiling = _log_limits(means)
    image = axes.imshow(
        np.ma.masked_where(~(np.isfinite(means) & (means > 0)), means),
        aspect="auto",
        interpolation="nearest",
        extent=(0, len(array), len(layer_names) - 0.5, -0.5),
        cmap="viridis",
        norm=LogNorm(floor, ceiling),
    )
    axes.set_facecolor("black")
    axes.grid(visible=False)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    of_batch = np.asarray(epochs)
    firsts = np.flatnonzero(np.r_[True, of_batch[1:] != of_batch[:-1]])
    step = max(1, -(-len(firsts) // 12))
    axes.set_xticks(firsts[::step], [str(of_batch[first]) for first in firsts[::step]])
    axes.set_xlabel(f"epoch (first batch of it; {len(array)} batches in all)")
    axes.set_title(title)
    bar = figure.colorbar(image, ax=axes, pad=0.015)
    bar.set_label("mean |gradient|  (black: zero or not finite)", color=INK, fontsize=9)
    bar.outline.set_edgecolor(MUTED)  # type: ignore[operator]
    return figure


def _short(layer_names: Sequence[str]) -> list[str]:
    """The names without an ending that says nothing because all have it."""
    if all(name.endswith(".weight") for name in layer_names):
        return [name.removesuffix(".weight") for name in layer_names]
    return list(layer_names)


def _name_inch(names: Sequence[str]) -> float:
    """How long the longest name is as a label of 8 points."""
    return 0.066 * max((len(name) for name in names), default=0)


def _log_limits(values: np.ndarray) -> tuple[float, float]:
    """Whole decades around the positive values, at least one decade apart."""
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size == 0:
        return 1e-3, 1.0
    low, high = np.floor(np.log10(positive.min())), np.ceil(np.log10(positive.max()))
    return float(10.0**low), float(10.0 ** max(high, low + 1))
