"""One phase from its start to its model on disk, mirrored to MLflow; stages `train` and `transfer` are this."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lesion_transfer.backends.backend import Backend
from lesion_transfer.files import clear_temporaries, write_csv, write_json
from lesion_transfer.learning.population import Trained, train_population
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.phase_mirror import (
    mirror_epoch,
    mirror_phase,
    mirror_rates,
    mirror_replicate,
    mirror_resumed,
    phase_params,
)
from lesion_transfer.stages.phase_watch import PhaseWatch
from lesion_transfer.stages.progress import progress_bar
from lesion_transfer.stages.training.compute import make_backend, prepare_compute
from lesion_transfer.stages.training.phase_files import write_phase
from lesion_transfer.stages.training.phase_grid import Rates, find_rates, with_rates
from lesion_transfer.stages.training.phase_start import Start, prepare_starts
from lesion_transfer.stages.training.resume import Interrupted, identity_of_starts, resuming
from lesion_transfer.tracking import TrackedRun, tracked_run

log = logging.getLogger(__name__)


def run_phase(layout: Layout, name: str, stage: str) -> None:
    """Trains every replicate of the phase `name` and writes models/NAME and reports/NAME.json."""
    settings = layout.settings()
    phase = settings.phases[name]
    device = prepare_compute(settings)
    starts: Sequence[Start] = prepare_starts(layout, settings, phase)
    params = phase_params(settings, phase, starts[0].options)
    with (
        resuming(identity_of_starts(params, starts, device)) as interrupted,
        tracked_run(name, stage=stage, params=params, tags={}, continues=interrupted.run_id) as run,
        make_backend(settings, device) as backend,
    ):
        interrupted.remember_run(run.run_id)
        _say_where_from(run, starts[0].lineage)
        rates = find_rates(run, settings, starts, backend, device, interrupted)
        starts = with_rates(starts, rates)
        if rates is not None:
            mirror_rates(run, rates[0].chosen, rates[0].summary)
        trained = _train(run, settings, starts, backend, device, interrupted)
        summaries = []
        for start, one in zip(starts, trained, strict=True):
            folder = layout.model(name, start.replicate)
            summaries.append(write_phase(folder, settings, start, one.result))
            if rates is not None:
                write_csv(folder / "cv.csv", rates[start.replicate].table)
            _mirror(run, settings, folder, start, one, summaries[-1])
        clear_temporaries(layout.metrics(name))
        write_json(layout.metrics(name), _report(starts, summaries, rates))


def _train(
    run: TrackedRun,
    settings: Settings,
    starts: Sequence[Start],
    backend: Backend,
    device: torch.device,
    interrupted: Interrupted,
) -> list[Trained]:
    """All replicates as one population; the first one's epochs go to MLflow as they come."""
    first, phase = starts[0], starts[0].phase
    mirrored = mirror_resumed(run, interrupted.history(first.training), first.epochs_before)
    with progress_bar(f"training {phase.name}", sum(start.options.epochs for start in starts)) as move:
        watch = PhaseWatch(phase.name, [start.options for start in starts], move)

        def after_epoch(number: int, row: dict[str, float]) -> None:
            if number == 0 and row["epoch"] > mirrored:
                mirror_epoch(run, row, first.epochs_before)
            watch.epoch(number, row)

        return train_population(
            [start.member(interrupted.place(start.training)) for start in starts],
            settings.augmentation,
            frozen=phase.frozen,
            patch_pixels=starts[0].loaded.cohort.patch_pixels,
            device=device,
            backend=backend,
            limits=settings.gradient_flow,
            on_epoch=after_epoch,
            on_estimate=watch.estimate,
            on_result=lambda number, _: watch.finished(number),
        )


def _mirror(
    run: TrackedRun, settings: Settings, folder: Path, start: Start, trained: Trained, summary: dict[str, Any]
) -> None:
    """The first replicate is the phase's own run, every other one a child of it."""
    if start.replicate == 0:
        mirror_phase(run, folder, start.loaded, trained.result, summary, settings.gradient_flow.every)
    else:
        mirror_replicate(run, start, trained, summary)


def _report(
    starts: Sequence[Start], summaries: Sequence[dict[str, Any]], rates: Sequence[Rates] | None
) -> dict[str, Any]:
    """reports/PHASE.json: the first replicate, the grid's table and, where there are more, a row a replicate."""
    report = dict(summaries[0])
    if rates is not None:
        report["cross_validation"] = {"chosen_lr": rates[0].chosen, "rates": rates[0].summary}
    if len(starts) > 1:
        report["replicates"] = [
            {
                "replicate": start.replicate,
                "lr": start.options.lr,
                "best_epoch": summary["best_epoch"],
                "validation_auc": summary["validation_selected_on"].get("auc"),
                "model_sha256": summary["model_sha256"],
            }
            for start, summary in zip(starts, summaries, strict=True)
        ]
    return report


def _say_where_from(run: TrackedRun, lineage: list[dict[str, Any]]) -> None:
    """Tags the run with the run that made its start; says so where that run is not in this store."""
    start = lineage[-1]
    started_from = run.find_model(start["model_sha256"])
    if started_from is None:
        log.info("the run that trained %s is not in this MLflow store (its model came from DVC)", start["phase"])
    run.set_tags(
        {
            "lesion.started_from": start["phase"],
            "lesion.started_from_sha256": start["model_sha256"],
            "lesion.started_from_run": started_from or "not in this store",
        }
    )
