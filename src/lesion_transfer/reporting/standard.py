"""A report with its usual pictures, drawn of the tables that every pipeline has."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from lesion_transfer.reporting.before_after import before_after_figure
from lesion_transfer.reporting.content import PhaseRow, ReportContent
from lesion_transfer.reporting.curves import CURVE_METRICS, metric_grid
from lesion_transfer.reporting.forest import forest_figure
from lesion_transfer.reporting.global_performance import global_performance_figure
from lesion_transfer.reporting.phase_summary import phase_summary_figure
from lesion_transfer.reporting.pictures import Picture, to_png_bytes
from lesion_transfer.reporting.pipeline_picture import pipeline_figure
from lesion_transfer.reporting.style import metric_label

GLOBAL_METRICS = ("auc", *(metric for metric in CURVE_METRICS if metric != "auc"))


def with_pictures(content: ReportContent, histories: Mapping[str, pd.DataFrame]) -> ReportContent:
    """The content with every picture that can be drawn of it and of the tables.

    histories: history.csv by phase, in the order of the pipeline.
    """
    frozen = [phase.name for phase in content.phases if phase.frozen]
    by_name = {phase.name: phase for phase in content.phases}
    return replace(
        content,
        forest=_forest(content.ledger) if content.ledger else None,
        pipeline=_pipeline(content),
        before_after=_before_after(content),
        phase_summary=_phase_summary(content),
        global_performance=tuple(
            Picture(
                to_png_bytes(global_performance_figure(histories, metric, frozen)),
                f"Curves of the target's train and validation {metric_label(metric)} over all epochs of "
                f"{len(histories)} phases, in order: {', '.join(histories)}.",
                f"{metric_label(metric)} of the target over the whole pipeline.",
            )
            for metric in GLOBAL_METRICS
        ),
        phase_curves={
            phase: _phase_curves(history, by_name[phase]) for phase, history in histories.items() if phase in by_name
        },
    )


def _forest(ledger: Mapping[str, Any]) -> Picture:
    return Picture(
        to_png_bytes(forest_figure(ledger)),
        f"Forest plot of the ledger's differences of AUC; {ledger['verdict']} The tables below have the numbers.",
        "Diamonds: means over folds and repeats; thick lines: intervals over patients; thin lines: over trainings too; "
        "dots: single repeats. Blue is the comparison that the verdict is about.",
    )


def _pipeline(content: ReportContent) -> Picture:
    compared = content.evaluation["before"]["phase"], content.evaluation["after"]["phase"]
    figure = pipeline_figure(content.phases, content.cohorts, content.phantoms, compared)
    steps = "; ".join(
        f"{phase.name} on {phase.cohort}, from {phase.start}{', extractor frozen' if phase.frozen else ''}"
        for phase in content.phases
    )
    return Picture(
        to_png_bytes(figure),
        f"The phases from left to right: {steps}.",
        "A lane a cohort, a column a phase. Solid arrows carry a whole model on, dashed arrows attach the decision "
        "maker of an earlier phase; blue and hatched parts are frozen.",
    )


def _before_after(content: ReportContent) -> Picture:
    return Picture(
        to_png_bytes(before_after_figure(content.evaluation)),
        "Every metric before and after transfer with its interval, and the differences beside them; the table above "
        "has the numbers.",
        "Bars with squares: before; with circles: after; diamonds: after minus before. Lines are intervals; where the "
        "difference's line crosses zero, these data cannot tell, and nowhere where the table notes too few findings.",
    )


def _phase_summary(content: ReportContent) -> Picture:
    scores = "; ".join(
        f"{phase.name} {phase.validation_auc:.2f}" for phase in content.phases if phase.validation_auc is not None
    )
    return Picture(
        to_png_bytes(phase_summary_figure(content.phases)),
        f"Validation AUC at the best epoch of every phase: {scores}.",
        "Scores on the validation subset that chose the epoch: too good by the choosing, and each on its own cohort.",
    )


def _phase_curves(history: pd.DataFrame, phase: PhaseRow) -> tuple[Picture, ...]:
    grid = metric_grid(history, best_epoch=phase.best_epoch)
    chosen = "the best epoch" if phase.best_epoch is None else f"epoch {phase.best_epoch}"
    return (
        Picture(
            to_png_bytes(grid),
            f"Curves of all metrics of {phase.name} by epoch, on the train and validation subsets of {phase.cohort}.",
            f"{phase.name} on {phase.cohort}, {len(history)} epochs; validation chose {chosen}.",
        ),
    )
