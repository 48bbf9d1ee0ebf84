"""What every phase reached on the validation subset that chose its best epoch (thesis table 6.3)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lesion_transfer.reporting.content import PhaseRow
from lesion_transfer.reporting.style import FROZEN, INK, MUTED, TRAIN, TRAINED, VALIDATION, new_figure, styled


@styled
def phase_summary_figure(phases: Sequence[PhaseRow], title: str = "Best epoch of every phase") -> Figure:
    """Validation AUC and balanced accuracy at each phase's best epoch; phases with a frozen extractor shaded blue."""
    if not phases:
        raise ValueError("There is no phase to summarise.")
    figure = new_figure(max(6.5, 1.25 * len(phases) + 1), 3.6)
    axes = figure.add_subplot()
    positions = np.arange(len(phases))
    for position, phase in zip(positions, phases, strict=True):
        axes.axvspan(position - 0.5, position + 0.5, color=FROZEN if phase.frozen else TRAINED, alpha=0.6, zorder=0)
    for values, color, marker, label, shift in (
        ([phase.validation_auc for phase in phases], VALIDATION, "o", "AUC", -0.12),
        ([phase.validation_balanced_accuracy for phase in phases], TRAIN, "s", "balanced accuracy", 0.12),
    ):
        known = np.array([np.nan if value is None else value for value in values], dtype=float)
        axes.vlines(positions + shift, 0.5, known, color=color, linewidth=2)
        axes.plot(positions + shift, known, linestyle="none", marker=marker, color=color, label=label)
        for position, value in zip(positions + shift, known, strict=True):
            if np.isfinite(value):
                above = value >= 0.5
                axes.annotate(
                    f"{value:.2f}",
                    (position, value),
                    xytext=(0, 7 if above else -7),
                    textcoords="offset points",
                    ha="center",
                    va="bottom" if above else "top",
                    fontsize=8,
                    color=INK,
                )
    axes.axhline(0.5, color=MUTED, linewidth=1)
    axes.set_xticks(positions, [f"{phase.name}\n{phase.cohort}" for phase in phases], fontsize=8)
    axes.set_xlim(-0.5, len(phases) - 0.5)
    axes.set_ylim(0, 1.1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("validation (selected on)")
    axes.set_title(title)
    fills = [Patch(color=FROZEN, label="extractor frozen"), Patch(color=TRAINED, label="everything trained")]
    figure.legend(handles=[*axes.get_legend_handles_labels()[0], *fills], loc="outside lower center", ncols=4)
    return figure
