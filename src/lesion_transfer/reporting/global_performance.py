"""Global performance (thesis 6.4.3): how the target task fares over every epoch of every phase, in one curve."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from lesion_transfer.reporting.curves import SELECTED_ON
from lesion_transfer.reporting.style import (
    FROZEN,
    MUTED,
    TRAIN,
    TRAINED,
    VALIDATION,
    limit_to_metric,
    metric_label,
    new_figure,
    styled,
)

_FROZEN_HATCH = "#a9c3d8"


@styled
def global_performance_figure(
    histories: Mapping[str, pd.DataFrame], metric: str, frozen: Collection[str] = (), title: str | None = None
) -> Figure:
    """The target's train and validation metric over the whole pipeline; frozen phases are hatched.

    histories: history.csv by phase, in the order of the pipeline. A phase's curve is `target_{train,validation}_METRIC`
    (DS1's best decision maker on the current extractor); the first phase, which trains on the target itself, has
    none of these and shows its own.
    """
    if not histories:
        raise ValueError("There is no history to draw the global performance of.")
    figure = new_figure(10.5, 4.4)
    axes = figure.add_subplot()
    limit_to_metric(axes, metric)
    start = 0
    for number, (phase, rows) in enumerate(histories.items()):
        end = start + len(rows)
        is_frozen = phase in frozen
        axes.axvspan(
            start,
            end,
            facecolor=FROZEN if is_frozen else TRAINED,
            edgecolor=_FROZEN_HATCH if is_frozen else "none",
            hatch="///" if is_frozen else None,
            alpha=0.75,
            linewidth=0,
            zorder=0,
        )
        axes.axvline(end, color="white", linewidth=2, zorder=0.5)
        axes.text(
            (start + end) / 2,
            1.015,
            phase.replace("_", "\n"),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=9,
            color=MUTED,
        )
        for subset, color, label in (
            ("train", TRAIN, "target train"),
            ("validation", VALIDATION, f"target {SELECTED_ON}"),
        ):
            column = _target_column(rows, subset, metric, is_first=number == 0)
            if column is not None:
                epochs = np.arange(start, end) + 0.5
                marker = "o" if len(rows) == 1 else None
                axes.plot(epochs, rows[column], color=color, marker=marker, label=label if number == 0 else None)
        start = end
    axes.set_xlim(0, start)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("global epoch (all phases one after the other)")
    axes.set_ylabel(f"{metric_label(metric)} on the target")
    axes.set_title(title or f"Global performance: {metric_label(metric)}", pad=36)
    fills = [
        Patch(facecolor=TRAINED, label="everything trained"),
        Patch(facecolor=FROZEN, edgecolor=_FROZEN_HATCH, hatch="////", label="extractor frozen"),
    ]
    figure.legend(handles=[*axes.get_legend_handles_labels()[0], *fills], loc="outside lower center", ncols=4)
    return figure


def _target_column(rows: pd.DataFrame, subset: str, metric: str, *, is_first: bool) -> str | None:
    candidates = [f"target_{subset}_{metric}"] + ([f"{subset}_{metric}"] if is_first else [])
    return next((name for name in candidates if name in rows), None)
