"""One phase from its start to its model on disk, mirrored to MLflow; stages `train` and `transfer` are this."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lesion_transfer.backends.backend import Backend
from lesion_transfer.files import write_csv, write_json
from lesion_transfer.learning.population import Trained, train_population
from lesion_transfer.settings import Settings
from lesion_transfer.stages.compute import make_backend, prepare_compute
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.phase_files import write_phase
from lesion_transfer.stages.phase_grid import Rates, find_rates, with_rates
from lesion_transfer.stages.phase_mirror import (
    mirror_epoch,
    mirror_phase,
    mirror_rates,
    mirror_replicate,
    phase_params,
)
from lesion_transfer.stages.phase_start import Start, prepare_starts
from lesion_transfer.stages.progress import progress_bar
from lesion_transfer.tracking import TrackedRun, tracked_run

log = logging.getLogger(__name__)


def run_phase(layout: Layout, name: str, stage: str) -> None:
    """Trains every replicate of the phase `name` and writes models/NAME and reports/NAME.json."""
    settings = layout.settings()
    phase = settings.phases[name]
    device = prepare_compute(settings)
    starts: Sequence[Start] = prepare_starts(layout, settings, phase)
    params = phase_params(settings, phase, starts[0].options)
    with tracked_run(name, stage=stage, params=params, tags={}) as run, make_backend(settings, device) as backend:
        _say_where_from(run, starts[0].lineage)
        rates = find_rates(run, settings, starts, backend, device)
        starts = with_rates(starts, rates)
        if rates is not None:
            mirror_rates(run, rates[0].chosen, rates[0].summary)
        trained = _train(run, settings, starts, backend, device)
        summaries = []
        for start, one in zip(starts, trained, strict=True):
            folder = layout.model(name, start.replicate)
            summaries.append(write_phase(folder, settings, start, one.result))
            if rates is not None:
                write_csv(folder / "cv.csv", rates[start.replicate].table)
            _mirror(run, folder, start, one, summaries[-1])
        write_json(layout.metrics(name), _report(starts, summaries, rates))


def _train(
    run: TrackedRun, settings: Settings, starts: Sequence[Start], backend: Backend, device: torch.device
) -> list[Trained]:
    """All replicates as one population; the first one's epochs go to MLflow as they come."""
    phase = starts[0].phase
    with progress_bar(f"training {phase.name}", sum(start.options.epochs for start in starts)) as move:
        n_epochs = 0

        def after_epoch(number: int, row: dict[str, float]) -> None:
            nonlocal n_epochs
            n_epochs += 1
            if number == 0:
                mirror_epoch(run, row, starts[0].epochs_before)
            move(n_epochs, note=f"validation AUC {row['validation_auc']:.3f}")

        return train_population(
            [start.member() for start in starts],
            settings.augmentation,
            frozen=phase.frozen,
            patch_pixels=starts[0].loaded.cohort.patch_pixels,
            device=device,
            backend=backend,
            on_epoch=after_epoch,
        )


def _mirror(run: TrackedRun, folder: Path, start: Start, trained: Trained, summary: dict[str, Any]) -> None:
    """The first replicate is the phase's own run, every other one a child of it."""
    if start.replicate == 0:
        mirror_phase(run, folder, start.loaded, trained.result, summary)
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
