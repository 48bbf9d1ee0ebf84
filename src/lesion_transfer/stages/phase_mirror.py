"""What MLflow gets of a phase: parameters, an epoch's scores in one call, figures, model, data sets, tags."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_transfer.learning.grid import GridPoint
from lesion_transfer.learning.metrics import METRICS
from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.learning.population import Stopped, Trained
from lesion_transfer.learning.training import TrainingResult
from lesion_transfer.reporting.curves import metric_figure
from lesion_transfer.reporting.pictures import to_screen_png_bytes
from lesion_transfer.settings import Settings
from lesion_transfer.stages.augmented_picture import augmented_picture
from lesion_transfer.stages.gradients import Every, gradient_figures_of
from lesion_transfer.stages.training.phase_start import Start
from lesion_transfer.stages.training.training_data import LoadedCohort
from lesion_transfer.tracking import MODEL_TAG, TrackedRun
from lesion_transfer.transfer.plan import Phase


def phase_params(settings: Settings, phase: Phase, options: TrainingOptions) -> dict[str, Any]:
    """The settings that make this phase what it is, spelled as in params.yaml."""
    hyperparameters = options.model_dump(mode="json")
    cv = settings.cross_validation(phase.name)
    if cv.lrs:
        # mirror_rates has it, once it is known
        del hyperparameters["lr"]
    return {
        **hyperparameters,
        "cv": cv.model_dump(mode="json"),
        "replicates": settings.split.replicates,
        "phase": phase.name,
        "cohort": phase.cohort,
        "start": phase.start or settings.initial_model,
        "decision_maker": phase.decision_maker,
        "frozen": phase.frozen,
        "seed": settings.seed,
        **computed_with(settings),
        "stack_members": settings.stack_members,
        "target": settings.target,
        "network": settings.network.model_dump(mode="json"),
        "augmentation": settings.augmentation.model_dump(mode="json"),
        "zscore": settings.cohorts[phase.cohort].zscore,
        "zscore_rows": settings.cohorts[phase.cohort].zscore_rows,
    }


def computed_with(settings: Settings) -> dict[str, Any]:
    """How exactly a training computes: on other of these, other last bits."""
    return {"threads": settings.threads, "device": settings.device, "deterministic": settings.deterministic}


def mirror_epoch(run: TrackedRun, row: Mapping[str, float], epochs_before: int) -> None:
    """One epoch of history.csv in one call; global_epoch counts over the phases that this one descends from."""
    run.log_history([_epoch(row, epochs_before)])


def _epoch(row: Mapping[str, float], epochs_before: int) -> tuple[int, dict[str, float]]:
    epoch = int(row["epoch"])
    values = {key: value for key, value in row.items() if key != "epoch"}
    # Parameters sort as text in the UI, metrics as numbers. A scheduler may take a rate down to 0.
    log10_lr = math.log10(row["lr"]) if row["lr"] > 0 else math.nan
    return epoch, values | {"global_epoch": epochs_before + epoch, "log10_lr": log10_lr}


def mirror_resumed(run: TrackedRun, history: Sequence[Mapping[str, float]], epochs_before: int) -> int:
    """Mirrors those epochs of an interrupted training that this run has not; returns the last epoch that it now has."""
    mirrored = run.last_step("global_epoch")
    missing = history[mirrored:]
    run.log_history([_epoch(row, epochs_before) for row in missing])
    return mirrored + len(missing)


def mirror_rates(run: TrackedRun, chosen: float, summary: Sequence[Mapping[str, Any]]) -> None:
    """The learning rate that a grid found, and the mean AUC of each rate in the order of the rates."""
    run.log_params({"lr": chosen})
    for step, row in enumerate(summary):
        values = {"cv_log10_lr": math.log10(row["lr"]), "cv_mean_auc": row["mean_auc"], "cv_sd_auc": row["sd_auc"]}
        run.log_metrics({key: value for key, value in values.items() if value is not None}, step=step)


def mirror_grid_member(run: TrackedRun, start: Start, point: GridPoint, outcome: Trained | Stopped) -> None:
    """One training of a phase's grid, as a child of the phase's run; FAILED where it could not go on."""
    name = f"cv lr {point.lr:g} fold {point.fold}" + (f" r{start.replicate:03d}" if start.replicate else "")
    _mirror_member(run, start, name, point.member.options, outcome, {"cv_fold": point.fold}, {})


def mirror_replicate(run: TrackedRun, start: Start, trained: Trained, summary: Mapping[str, Any]) -> None:
    """A replicate beyond the first, as a child of the phase's run."""
    tags = {MODEL_TAG: str(summary["model_sha256"])}
    _mirror_member(run, start, f"r{start.replicate:03d}", start.options, trained, {}, tags)


def _mirror_member(
    run: TrackedRun,
    start: Start,
    name: str,
    options: TrainingOptions,
    outcome: Trained | Stopped,
    params: Mapping[str, object],
    tags: Mapping[str, str],
) -> None:
    known = {**options.model_dump(mode="json"), "phase": start.phase.name, "replicate": start.replicate, **params}
    stopped = outcome.reason if isinstance(outcome, Stopped) else ""
    full_name = f"{start.phase.name} {name}"
    with run.child(full_name, params=known, tags=tags, seconds=outcome.seconds, stopped=stopped) as child:
        child.log_history([_epoch(row, start.epochs_before) for row in outcome.history])
        if isinstance(outcome, Trained):
            best = outcome.result.best_metrics
            child.log_metrics({f"best_{key}": best[key] for key in best if key.startswith("validation_")})
            child.log_metrics({"best_epoch": outcome.result.best_epoch})


def mirror_phase(
    run: TrackedRun,
    folder: Path,
    loaded: LoadedCohort,
    result: TrainingResult,
    summary: Mapping[str, Any],
    gradient_figures: Every,
) -> None:
    """The finished phase: best scores, figures, model folder, data sets and the model's hash as a tag."""
    selected_on = summary["validation_selected_on"]
    run.log_metrics({f"best_validation_{key}": value for key, value in selected_on.items()})
    run.log_metrics({"best_epoch": summary["best_epoch"]})
    mirror_course(run, folder.name, result, result.best_epoch, gradient_figures)
    run.log_folder(folder, "model")
    mirror_data(run, loaded, {"train": "training", "validation": "validation"})
    run.set_tags({MODEL_TAG: str(summary["model_sha256"])})


def mirror_course(
    run: TrackedRun, name: str, result: TrainingResult, best_epoch: int | None, gradient_figures: Every
) -> None:
    """The figure of each metric, and of the gradients."""
    history = pd.DataFrame(result.history)
    for metric in METRICS:
        figure = metric_figure(history, metric, f"{name}: {metric}", best_epoch)
        run.log_bytes(f"figures/{metric}.png", to_screen_png_bytes(figure))
    for artifact, figure in gradient_figures_of(name, result.gradient_flow, gradient_figures):
        run.log_bytes(f"gradient_flow/{artifact}", to_screen_png_bytes(figure))


def mirror_data(run: TrackedRun, loaded: LoadedCohort, contexts: Mapping[str, str]) -> None:
    """The cohort by subset with what each was used for, and what was checked of it: the check stage loads no MLflow."""
    for subset, context in contexts.items():
        run.log_data(
            name=f"{loaded.cohort.name}-{subset}",
            source=f"data/cohorts/{loaded.cohort.name}/images.npy",
            digest=loaded.cohort.images_sha256,
            n_rows=len(loaded.rows(subset)),
            context=context,
        )
    run.set_tags({"lesion.cohort_sha256": loaded.cohort.images_sha256})
    _mirror_checks(run, loaded)


def _mirror_checks(run: TrackedRun, loaded: LoadedCohort) -> None:
    if loaded.augmented is not None:
        run.log_bytes("checks/augmented_dots.png", augmented_picture(loaded.cohort, loaded.augmented))
        run.log_metrics({"augmented_dot_error_px": loaded.augmented.error_px})
    if loaded.check is None or not loaded.check.is_file():
        return
    run.log_bytes(f"checks/{loaded.check.name}", loaded.check.read_bytes())
    if (pictures := loaded.check.with_suffix("")).is_dir():
        run.log_folder(pictures, "checks")
