"""What MLflow gets of a phase: parameters, an epoch's scores in one call, figures, model, data sets, tags."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.learning.metrics import METRICS
from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.learning.training import TrainingResult
from lesion_transfer.reporting.curves import metric_figure
from lesion_transfer.reporting.gradients import gradient_evolution_figure, gradient_flow_figure
from lesion_transfer.reporting.pictures import to_png_bytes
from lesion_transfer.settings import Settings
from lesion_transfer.stages.training_data import LoadedCohort
from lesion_transfer.tracking import MODEL_TAG, TrackedRun
from lesion_transfer.transfer.plan import Phase

GRADIENT_FIGURES = 5
"""Pictures of single epochs' gradient flow, spread over the phase; the heat map shows every batch."""


def phase_params(settings: Settings, phase: Phase, options: TrainingOptions) -> dict[str, Any]:
    """The settings that make this phase what it is, spelled as in params.yaml."""
    return {
        **options.model_dump(mode="json"),
        "phase": phase.name,
        "cohort": phase.cohort,
        "start": phase.start or "roulette",
        "decision_maker": phase.decision_maker,
        "frozen": phase.frozen,
        "seed": settings.seed,
        "threads": settings.threads,
        "device": settings.device,
        "target": settings.target,
        "network": settings.network.model_dump(mode="json"),
        "augmentation": settings.augmentation.model_dump(mode="json"),
        "zscore": settings.cohorts[phase.cohort].zscore,
        "zscore_rows": settings.cohorts[phase.cohort].zscore_rows,
    }


def mirror_epoch(run: TrackedRun, row: Mapping[str, float], epochs_before: int) -> None:
    """One epoch of history.csv in one call; global_epoch counts over the phases that this one descends from."""
    epoch = int(row["epoch"])
    values = {key: value for key, value in row.items() if key != "epoch"}
    # Parameters sort as text in the UI, metrics as numbers.
    values |= {"global_epoch": epochs_before + epoch, "log10_lr": math.log10(row["lr"])}
    run.log_metrics(values, step=epoch)


def mirror_phase(
    run: TrackedRun, folder: Path, loaded: LoadedCohort, result: TrainingResult, summary: Mapping[str, Any]
) -> None:
    """The finished phase: best scores, figures, model folder, data sets and the model's hash as a tag."""
    selected_on = summary["validation_selected_on"]
    run.log_metrics({f"best_validation_{key}": value for key, value in selected_on.items()})
    run.log_metrics({"best_epoch": summary["best_epoch"]})
    history = pd.DataFrame(result.history)
    for metric in METRICS:
        figure = metric_figure(history, metric, f"{folder.name}: {metric}", result.best_epoch)
        run.log_bytes(f"figures/{metric}.png", to_png_bytes(figure))
    _gradient_figures(run, folder.name, result)
    run.log_folder(folder, "model")
    for subset, context in (("train", "training"), ("validation", "validation")):
        run.log_data(
            name=f"{loaded.cohort.name}-{subset}",
            source=f"data/cohorts/{loaded.cohort.name}/images.npy",
            digest=loaded.sha256,
            n_rows=len(loaded.rows(subset)),
            context=context,
        )
    run.set_tags({MODEL_TAG: str(summary["model_sha256"]), "lesion.cohort_sha256": loaded.sha256})


def _gradient_figures(run: TrackedRun, phase: str, result: TrainingResult) -> None:
    flow = result.gradient_flow
    last = int(flow.epochs.max())
    for epoch in sorted({int(e) for e in np.linspace(1, last, min(last, GRADIENT_FIGURES)).round()}):
        batches = flow.values[flow.epochs == epoch]
        # Over an epoch's batches: the mean of the means, the largest of the maxima, the mean share of zeros.
        values = np.stack([batches[..., 0].mean(0), batches[..., 1].max(0), batches[..., 2].mean(0)], axis=1)
        figure = gradient_flow_figure(values, flow.layers, f"{phase}: gradient flow, epoch {epoch}")
        run.log_bytes(f"gradient_flow/epoch_{epoch:04d}.png", to_png_bytes(figure))
    run.log_bytes(
        "gradient_flow/evolution.png",
        to_png_bytes(gradient_evolution_figure(flow.values, flow.layers, flow.epochs.tolist())),
    )
