"""ROC and precision-recall curves with bands over patients; calibration and decision curves; confusion matrices."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesion_transfer.evaluation.calibration import reliability
from lesion_transfer.evaluation.curve_bands import (
    THRESHOLDS,
    Curve,
    decision_curve,
    precision_recall_curve,
    roc_curve,
    treat_all,
)
from lesion_transfer.reporting.style import INK, MUTED, TEST, TRAIN, new_figure, styled

COLORS = (MUTED, TRAIN, TEST)


@dataclass(frozen=True)
class ScoredFindings:
    """Labels bool (n,), probabilities (n,), and draws (n_draws, n) of their patients."""

    labels: np.ndarray
    probabilities: np.ndarray
    draws: np.ndarray

    @property
    def has_both_classes(self) -> bool:
        return bool(self.labels.any()) and not bool(self.labels.all())


@styled
def discrimination_figure(models: Mapping[str, ScoredFindings], title: str) -> Figure:
    """ROC and precision-recall curve of each model, by name; bands are pointwise 95 % over patients."""
    figure = new_figure(10.0, 4.6)
    left, right = figure.subplots(1, 2)
    for (name, scored), color in zip(models.items(), COLORS, strict=False):
        _band(left, roc_curve(scored.labels, scored.probabilities, scored.draws), color, name)
        _band(right, precision_recall_curve(scored.labels, scored.probabilities, scored.draws), color, name)
        prevalence = float(scored.labels.mean())
    left.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":", label="chance")
    right.axhline(prevalence, color=INK, linewidth=1, linestyle=":")
    for axes, x, y, name in (
        (left, "1 - specificity", "recall", f"ROC, {title}"),
        (right, "recall", "precision", "Precision and recall"),
    ):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y, title=name)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def calibration_figure(models: Mapping[str, ScoredFindings], title: str) -> Figure:
    """Share of positives over probability with Wilson's intervals, and net benefit over the threshold."""
    figure = new_figure(10.0, 4.6)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
    labels = next(iter(models.values())).labels
    top = max(float(labels.mean()), 0.05)
    for (name, scored), color in zip(models.items(), COLORS, strict=False):
        bins = reliability(scored.labels, scored.probabilities)
        x = [one.mean_probability for one in bins]
        y = np.array([one.observed for one in bins])
        reach = [y - [one.observed_low for one in bins], [one.observed_high for one in bins] - y]
        left.errorbar(x, y, yerr=np.abs(reach), color=color, marker="o", markersize=4, linewidth=1.4, label=name)
        curve = decision_curve(scored.labels, scored.probabilities, scored.draws)
        _band(right, curve, color, name)
        top = max(top, float(np.nanmax(curve.high)) if np.isfinite(curve.high).any() else top)
    right.plot(
        THRESHOLDS, treat_all(labels), color=INK, linewidth=1, linestyle=":", label="call every finding positive"
    )
    right.axhline(0, color=INK, linewidth=1)
    left.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability", ylabel="share of positives")
    left.set_title(f"Calibration, {title}")
    right.set(xlim=(0, 1), ylim=(-0.5 * top, 1.1 * top), xlabel="threshold probability", ylabel="net benefit")
    right.set_title("Decision curve")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def confusion_figure(matrices: Mapping[str, Mapping[str, Any]], title: str) -> Figure:
    """Counts of the four outcomes by name of model and threshold, shaded by the share of their true class."""
    figure = new_figure(2.6 * len(matrices) + 0.6, 3.2)
    for axes, (name, counts) in zip(figure.subplots(1, len(matrices), squeeze=False)[0], matrices.items(), strict=True):
        values = np.array(
            [
                [counts["true_negative"], counts["false_positive"]],
                [counts["false_negative"], counts["true_positive"]],
            ]
        )
        shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(2, 2):
            dark = shares[row, column] > 0.6
            axes.text(
                column,
                row,
                str(values[row, column]),
                ha="center",
                va="center",
                fontsize=14,
                color="white" if dark else INK,
            )
        axes.set_xticks([0, 1], ["called\nnegative", "called\npositive"])
        axes.set_yticks([0, 1], ["negative", "positive"])
        axes.grid(visible=False)
        axes.set_title(f"{name}\nfrom {counts['threshold']:.3g} on", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def _band(axes: Axes, curve: Curve, color: str, name: str) -> None:
    axes.plot(curve.x, curve.y, color=color, label=name)
    axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
