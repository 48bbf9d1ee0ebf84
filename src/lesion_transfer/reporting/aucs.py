"""AUCs with their intervals, one below the other: the network beside its baselines, and subgroups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from lesion_transfer.reporting.style import INK, MUTED, TRAIN, new_figure, styled


@dataclass(frozen=True)
class AucRow:
    """One line; `found` has value, low, high, n, n_positive (None: not available, and `note` says why)."""

    label: str
    found: dict[str, Any] | None
    strong: bool = False
    note: str = ""


@styled
def auc_figure(rows: Sequence[AucRow], title: str) -> Figure:
    """AUCs with intervals; the number of findings and positives stands at the right, (!) where the table warns."""
    figure = new_figure(9.0, 1.3 + 0.36 * len(rows))
    axes = figure.add_subplot()
    for number, row in enumerate(rows):
        color = TRAIN if row.strong else MUTED
        if row.found is None or row.found["value"] is None:
            note = row.note or (row.found or {}).get("note") or "not defined"
            axes.text(0.02, number, str(note), va="center", fontsize=8, color=MUTED)
            continue
        if row.found["low"] is not None:
            axes.plot([row.found["low"], row.found["high"]], [number] * 2, color=color, linewidth=2.2)
        axes.plot([row.found["value"]], [number], "o" if row.strong else "s", color=color, markersize=6)
        counts = f"{row.found['value']:.3f}   n {row.found['n']}, {row.found['n_positive']} positive"
        counts += "  (!)" if row.found.get("note") else ""
        axes.annotate(counts, (1.02, number), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=INK)
    axes.axvline(0.5, color=INK, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(rows)), [row.label for row in rows], color=INK)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.5, -0.5), xlabel="AUC, 95% interval over patients")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title)
    return figure
