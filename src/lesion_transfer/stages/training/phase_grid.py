"""The learning rate of a phase, found by cross-validation inside its training rows where params.yaml asks for it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch

from lesion_transfer.backends.backend import Backend
from lesion_transfer.cohorts.near_duplicates import near_duplicate_groups
from lesion_transfer.cohorts.splits import inner_folds
from lesion_transfer.cohorts.units import joining_rows
from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.grid import GridPoint, best_lr, grid, grid_row, summarise_grid
from lesion_transfer.learning.population import Stopped, Trained, train_population
from lesion_transfer.settings import Settings
from lesion_transfer.stages.phase_mirror import mirror_grid_member
from lesion_transfer.stages.phase_watch import PhaseWatch
from lesion_transfer.stages.progress import progress_bar
from lesion_transfer.stages.training.phase_start import Start
from lesion_transfer.stages.training.resume import Interrupted
from lesion_transfer.tracking import TrackedRun
from lesion_transfer.transfer.plan import ancestors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rates:
    """What the grid of one replicate found; `table`: a row a training, `summary`: a row a rate."""

    table: pd.DataFrame
    summary: list[dict[str, Any]]

    @property
    def chosen(self) -> float:
        """The rate with the best mean AUC."""
        return best_lr(self.summary)


def find_rates(
    run: TrackedRun,
    settings: Settings,
    starts: Sequence[Start],
    backend: Backend,
    device: torch.device,
    interrupted: Interrupted,
) -> list[Rates] | None:
    """Trains the grid of every replicate in one population; None where the phase has no rates to try."""
    phase = starts[0].phase
    asked = settings.cross_validation(phase.name)
    if not asked.lrs:
        return None
    before = ancestors(phase.name, settings.phases)
    if knew := [name for name in before if settings.phases[name].cohort == phase.cohort]:
        log.warning(
            "%s starts from weights that have learnt its training rows (%s), those that its folds validate on among "
            "them: the grid compares rates, and its AUCs are no estimate",
            *(phase.name, ", ".join(knew)),
        )
    points = [
        (start, point)
        for start in starts
        for point in grid(start.member(), _folds(settings, start, asked.folds), asked.lrs)
    ]
    rows: list[dict[str, Any]] = [{} for _ in points]
    epochs = sum(start.options.epochs for start, _ in points)
    with progress_bar(f"{phase.name}: {asked.folds} folds x {len(asked.lrs)} rates", epochs) as move:
        watch = PhaseWatch(f"{phase.name} grid", [point.member.options for _, point in points], move)

        def after_member(number: int, trained: Trained) -> None:
            watch.finished(number)
            start, point = points[number]
            rows[number] = grid_row(point, trained.result)
            mirror_grid_member(run, start, point, trained)

        def after_stop(number: int, stopped: Stopped) -> None:
            watch.finished(number)
            start, point = points[number]
            mirror_grid_member(run, start, point, stopped)
            if not any(row.get("stopped") for row in rows if row.get("lr") == point.lr):
                log.warning("the rate %g is out of the grid: %s", point.lr, stopped.reason)
            rows[number] = grid_row(point, None, stopped.reason)

        train_population(
            [
                replace(
                    point.member,
                    place=interrupted.place(f"{start.key}_lr{point.lr!r}_fold{point.fold}", _rows_sha256(point)),
                    stack=start.key if settings.stack_members else None,
                )
                for start, point in points
            ],
            settings.augmentation,
            frozen=phase.frozen,
            patch_pixels=starts[0].loaded.cohort.patch_pixels,
            device=device,
            backend=backend,
            limits=settings.gradient_flow,
            on_epoch=watch.epoch,
            on_estimate=watch.estimate,
            on_result=after_member,
            on_stopped=after_stop,
        )
    return [_rates([row for row, (own, _) in zip(rows, points, strict=True) if own is start]) for start in starts]


def with_rates(starts: Sequence[Start], rates: Sequence[Rates] | None) -> list[Start]:
    """The starts with the learning rates that were found for them."""
    if rates is None:
        return list(starts)
    return [
        replace(start, options=start.options.model_copy(update={"lr": found.chosen}))
        for start, found in zip(starts, rates, strict=True)
    ]


def _rows_sha256(point: GridPoint) -> str:
    data = point.member.data
    return state_sha256({"train": data.train_rows, "validation": data.validation_rows})


def _rates(rows: list[dict[str, Any]]) -> Rates:
    return Rates(pd.DataFrame(rows).astype({"best_epoch": "Int64"}), summarise_grid(rows))


def _folds(settings: Settings, start: Start, n_folds: int) -> torch.Tensor:
    """(n,) int64, the fold of each training row; patients whom no split may part stay together."""
    cohort = start.loaded.cohort
    joined = joining_rows(cohort)
    joined["near_duplicate"] = near_duplicate_groups(joined["phash"], settings.split.near_duplicate_bits)
    rows = cohort.findings.iloc[start.loaded.data.train_rows.numpy()]
    return torch.from_numpy(inner_folds(rows, joined, n_folds, start.seed, start.phase.name, "cv"))
