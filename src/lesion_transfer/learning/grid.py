"""The learning rate of a phase by cross-validation inside its training rows (thesis 6: 5 folds x 4 rates)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from lesion_transfer.learning.course import TrainingResult
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.member import Member
from lesion_transfer.learning.metrics import METRICS


@dataclass(frozen=True)
class GridPoint:
    """One training of the grid: `fold` is validated on, all the others train."""

    lr: float
    fold: int
    member: Member


def grid(member: Member, folds: Tensor, lrs: Sequence[float]) -> list[GridPoint]:
    """A training for each rate and fold, rate by rate, otherwise as `member` would train.

    folds: (n,) int64, the fold of each of member.data.train_rows; the validation rows are not touched. The rates of one
    fold share their random streams, so that they differ in the rate alone.
    """
    rows = member.data.train_rows
    points = []
    for lr in lrs:
        for fold in range(int(folds.max()) + 1):
            data = replace(member.data, train_rows=rows[folds != fold], validation_rows=rows[folds == fold])
            one = replace(
                member,
                name=f"{member.name} cv fold {fold}",
                data=data,
                options=member.options.model_copy(update={"lr": lr}),
                probe=None,
                place=None,
            )
            points.append(GridPoint(lr, fold, one))
    return points


def grid_row(point: GridPoint, result: TrainingResult | None, stopped: str = "") -> dict[str, Any]:
    """What is kept of one training of the grid: its rows, its best epoch and that epoch's validation scores.

    result: None where it could not go on; `stopped` says why.
    """
    data = point.member.data
    labels = data.labels[data.validation_rows]
    best = {} if result is None else result.best_metrics
    return {
        "lr": point.lr,
        "fold": point.fold,
        "n_train": int((data.labels[data.train_rows] >= 0).sum()),
        "n_validation": int((labels >= 0).sum()),
        "n_validation_positive": int((labels == 1).sum()),
        "best_epoch": None if result is None else result.best_epoch,
        **{f"validation_{name}": best.get(f"validation_{name}", math.nan) for name in METRICS},
        "stopped": stopped,
    }


def summarise_grid(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a rate, in the order of the grid: mean and standard deviation (n - 1) over the folds of the best epochs'
    validation AUC; a fold whose AUC is undefined is left out (n_folds says how many count).

    A rate at which a fold could not go on has no mean: n_stopped says in how many.
    """
    summary = []
    for lr in dict.fromkeys(row["lr"] for row in rows):
        own = [row for row in rows if row["lr"] == lr]
        n_stopped = sum(bool(row["stopped"]) for row in own)
        aucs = np.array([row["validation_auc"] for row in own])
        aucs = aucs[np.isfinite(aucs) & (n_stopped == 0)]
        summary.append(
            {
                "lr": lr,
                "mean_auc": float(aucs.mean()) if len(aucs) else None,
                "sd_auc": float(aucs.std(ddof=1)) if len(aucs) > 1 else None,
                "n_folds": len(aucs),
                "n_stopped": n_stopped,
            }
        )
    return summary


def best_lr(summary: Sequence[dict[str, Any]]) -> float:
    """The rate with the highest mean AUC; the first of equals, an undefined mean last.

    Raises TrainingError where a fold of each rate could not go on.
    """
    whole = [row for row in summary if not row["n_stopped"]]
    if not whole:
        raise TrainingError(
            "None of the rates in cv.lrs went through its folds: see the warnings above, and name lower rates."
        )
    return float(max(whole, key=lambda row: -math.inf if row["mean_auc"] is None else row["mean_auc"])["lr"])
