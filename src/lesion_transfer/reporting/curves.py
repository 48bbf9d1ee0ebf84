"""Curves of one training: a figure a metric, and all metrics as small multiples.

`history` is a phase's history.csv: a row an epoch, columns `epoch, lr, train_METRIC, validation_METRIC`.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lesion_transfer.reporting.style import (
    INK,
    MUTED,
    TRAIN,
    VALIDATION,
    limit_to_metric,
    metric_label,
    new_figure_with_margins,
    styled,
)

CURVE_METRICS = ("loss", "auc", "accuracy", "balanced_accuracy", "precision", "recall", "f1score", "specificity")
SELECTED_ON = "validation (selected on)"


@styled
def metric_figure(history: pd.DataFrame, metric: str, title: str, best_epoch: int | None = None) -> Figure:
    """Train and validation curve of one metric; the best epoch and every drop of the learning rate are marked."""
    figure = new_figure_with_margins(7.2, 4.0, top_inch=0.45, bottom_inch=0.9)
    axes = figure.add_subplot()
    _draw(axes, history, metric, best_epoch)
    _mark_lr_drops(axes, history)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric_label(metric))
    figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=3)
    return figure


@styled
def metric_grid(history: pd.DataFrame, title: str = "", best_epoch: int | None = None) -> Figure:
    """All metrics of CURVE_METRICS that the history has, four in a row, under one legend."""
    metrics = [metric for metric in CURVE_METRICS if f"train_{metric}" in history or f"validation_{metric}" in history]
    if not metrics:
        raise ValueError(
            f"The history has no train_ or validation_ metric; its columns are {', '.join(map(str, history))}."
        )
    n_columns = min(4, len(metrics))
    n_rows = -(-len(metrics) // n_columns)
    figure = new_figure_with_margins(
        2.9 * n_columns, 2.1 * n_rows + 0.8, top_inch=0.7 if title else 0.35, bottom_inch=0.85, left_inch=0.5
    )
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True)
    for axes in grid.flat[len(metrics) :]:
        axes.set_axis_off()
    for axes, metric in zip(grid.flat, metrics, strict=False):
        _draw(axes, history, metric, best_epoch)
        _mark_lr_drops(axes, history)
        axes.set_title(metric_label(metric), fontsize=10)
        axes.tick_params(labelbottom=True)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="lower center", ncols=4)
    return figure


def _draw(axes: Axes, history: pd.DataFrame, metric: str, best_epoch: int | None) -> None:
    for subset, color, label in (("train", TRAIN, "train"), ("validation", VALIDATION, SELECTED_ON)):
        column = f"{subset}_{metric}"
        if column not in history:
            continue
        # A single epoch is a point, which a line alone would not show.
        marker = "o" if len(history) == 1 else None
        axes.plot(history["epoch"], history[column], color=color, linewidth=1.8, marker=marker, label=label)
    _mark_best(axes, history, metric, best_epoch)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
    limit_to_metric(axes, metric)


def _mark_best(axes: Axes, history: pd.DataFrame, metric: str, best_epoch: int | None) -> None:
    if best_epoch is None:
        return
    axes.axvline(best_epoch, color=INK, linewidth=1, linestyle="--", label=f"best epoch ({best_epoch})")
    column = f"validation_{metric}"
    if column in history:
        at_best = history.loc[history["epoch"] == best_epoch, column]
        axes.plot([best_epoch] * len(at_best), at_best, "o", color=VALIDATION, markeredgecolor=INK, zorder=4)


def _mark_lr_drops(axes: Axes, history: pd.DataFrame) -> None:
    if "lr" not in history:
        return
    rates = history["lr"].to_numpy(dtype=float)
    drops = np.flatnonzero(rates[1:] < rates[:-1]) + 1
    label = "learning rate dropped (plateau)"
    for number, row in enumerate(drops):
        epoch = float(history["epoch"].iloc[row])
        axes.axvline(epoch, color=MUTED, linewidth=1, linestyle=":", label=label if number == 0 else None)
        axes.annotate(
            f"{rates[row]:.0e}",
            (epoch, 0.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=7,
            color=MUTED,
        )
