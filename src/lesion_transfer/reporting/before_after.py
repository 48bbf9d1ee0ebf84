"""Before against after: every metric with its interval, and the differences beside them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lesion_transfer.evaluation.metrics import METRICS
from lesion_transfer.reporting.style import INK, MUTED, TEST, TRAIN, metric_label, new_figure, styled

_OFFSET = 0.16


@styled
def before_after_figure(evaluation: Mapping[str, Any], title: str = "Before and after transfer, test subset") -> Figure:
    """Bars and points with intervals, from reports/evaluation.json (figure 6.12); what is undefined is said to be."""
    metrics = [metric for metric in METRICS if metric in evaluation["before"]]
    figure = new_figure(10.0, 1.5 + 0.48 * len(metrics))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    rows = np.arange(len(metrics), dtype=float)
    for side, color, marker, shift in (("before", MUTED, "s", -_OFFSET), ("after", TRAIN, "o", _OFFSET)):
        label = f"{side} ({evaluation[side]['phase']})" if "phase" in evaluation[side] else side
        found = [evaluation[side][metric] for metric in metrics]
        _bars(left, rows + shift, found, color)
        _points(left, rows + shift, found, color, marker, label)
    _points(right, rows, [evaluation["difference"][metric] for metric in metrics], TEST, "D", "after minus before")
    left.set_yticks(rows, [metric_label(metric) for metric in metrics], color=INK)
    left.set_ylim(len(metrics) - 0.5, -0.5)
    left.set_xlim(-0.02, 1.02)
    left.set_title(title)
    right.axvline(0, color=INK, linewidth=1.2)
    reach = max((abs(bound) for bound in right.get_xlim()), default=0.1)
    right.set_xlim(-max(reach, 0.05), max(reach, 0.05))
    right.xaxis.set_major_locator(MaxNLocator(5))
    right.set_title("Difference")
    right.set_xlabel("\u2190 harmed      helped \u2192")
    confidence = evaluation.get("confidence", 0.95)
    counted = evaluation["difference"][metrics[0]]
    left.set_xlabel(
        f"{confidence:.0%} intervals over patients; {counted['n']} findings, {counted['n_positive']} positive, "
        f"{counted['n_patients']} patients"
    )
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    handles = left.get_legend_handles_labels()[0] + right.get_legend_handles_labels()[0]
    names = left.get_legend_handles_labels()[1] + right.get_legend_handles_labels()[1]
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def _bars(axes: Axes, rows: np.ndarray, found: list[Mapping[str, Any]], color: str) -> None:
    values = [one["value"] or 0.0 for one in found]
    axes.barh(rows, values, height=1.7 * _OFFSET, color=color, alpha=0.22, linewidth=0, zorder=0)


def _points(axes: Axes, rows: np.ndarray, found: list[Mapping[str, Any]], color: str, marker: str, label: str) -> None:
    for row, one in zip(rows, found, strict=True):
        if one["low"] is not None:
            axes.plot([one["low"], one["high"]], [row, row], color=color, linewidth=2.2, solid_capstyle="round")
        if one["value"] is None:
            axes.annotate(
                "not defined", (0, row), color=color, fontsize=8, va="center", xytext=(6, 0), textcoords="offset points"
            )
    values = np.array([np.nan if one["value"] is None else one["value"] for one in found], dtype=float)
    axes.plot(values, rows, linestyle="none", marker=marker, markersize=6, color=color, label=label)
