"""The forest plot of the transfer ledger: what the target gained in every arm, phase and against every control."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesion_transfer.evaluation.ledger_content import BEFORE
from lesion_transfer.reporting.style import INK, MUTED, TEST, TRAIN, new_figure, styled

_ROW_INCH = 0.36


@styled
def forest_figure(ledger: Mapping[str, Any], title: str = "What the target gained, within outer folds") -> Figure:
    """A row a difference of AUC, from the content of reports/ledger.json.

    Diamond: the mean over folds and repeats; thick line: its interval over patients; thin line: over trainings too;
    dots: the mean of each repeat.
    """
    groups = _groups(ledger)
    n_rows = sum(len(rows) + 1 for _, rows in groups)
    figure = new_figure(9.0, 1.7 + _ROW_INCH * n_rows)
    axes = figure.add_subplot()
    first, reference = ledger["arm_order"][0], ledger["reference"]
    primary = (groups[0][0], first) if reference == BEFORE else (groups[1][0], reference)
    position, ticks, names = 0.0, [], []
    for heading, rows in groups:
        axes.text(0.0, position, heading, transform=axes.get_yaxis_transform(), color=MUTED, fontsize=9, va="center")
        position += 1
        for name, found in rows:
            _row(axes, position, found, TRAIN if (heading, name) == primary else TEST)
            ticks.append(position)
            names.append(name)
            position += 1
    axes.axvline(0, color=INK, linewidth=1.2)
    axes.set_yticks(ticks, names, color=INK)
    axes.set_ylim(position - 0.4, -0.6)
    reach = max(0.05, *(abs(bound) for bound in axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(
        f"difference of AUC      \u2190 harmed      helped \u2192\n{ledger['confidence']:.0%} intervals; "
        f"{ledger['n']} findings, {ledger['n_positive']} positive, {ledger['n_patients']} patients; "
        f"{ledger['n_folds']} folds x {ledger['n_repeats']} repeats"
    )
    axes.set_title(title)
    axes.plot([], [], color=TEST, linewidth=3.2, label="over patients")
    axes.plot([], [], color=TEST, linewidth=1.0, label="over trainings too")
    axes.plot([], [], color=MUTED, marker="o", markersize=3.5, linestyle="none", label="each repeat")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _groups(ledger: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, Mapping[str, Any]]]]]:
    first = ledger["arm_order"][0]
    arms, phases = ledger["arms"], ledger["arms"][first]["phases"]
    groups = [
        (
            f"after minus {arms[first]['before']['phase']}",
            [(arm, arms[arm]["difference"]) for arm in ledger["arm_order"]],
        ),
        (
            f"{first} minus control",
            [(arm, ledger["controls"][arm]) for arm in ledger["arm_order"] if arm in ledger["controls"]],
        ),
        (
            f"phases of {first}, minus {phases[0]}",
            [(phase, ledger["phases"][phase]) for phase in phases if phase in ledger["phases"]],
        ),
    ]
    return [(heading, rows) for heading, rows in groups if rows]


def _row(axes: Axes, position: float, found: Mapping[str, Any], color: str) -> None:
    if found["value"] is None:
        axes.annotate(
            "not defined",
            (0, position),
            color=MUTED,
            fontsize=8,
            va="center",
            xytext=(6, 0),
            textcoords="offset points",
        )
        return
    for low, high, width in (("low_trainings", "high_trainings", 1.0), ("low", "high", 3.2)):
        if found[low] is not None:
            axes.plot(
                [found[low], found[high]], [position, position], color=color, linewidth=width, solid_capstyle="butt"
            )
    repeats = np.array([np.nan if value is None else value for value in found["by_repeat"]], dtype=float)
    axes.plot(
        repeats, np.full(len(repeats), position + 0.22), linestyle="none", marker="o", markersize=3.5, color=MUTED
    )
    axes.plot([found["value"]], [position], marker="D", markersize=6, color=color, markeredgecolor="white")
