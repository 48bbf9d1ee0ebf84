"""Predictions tables made in the tests."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from lesion_transfer.evaluation.bootstrap import Estimate, paired, paired_differences, patient_draws
from lesion_transfer.evaluation.metrics import METRICS, Score, labels_and_probabilities, score

MakeTable = Callable[..., pd.DataFrame]


def make_table(
    labels: Sequence[bool | None], probabilities: Sequence[float], patients: Sequence[str] | None = None
) -> pd.DataFrame:
    n = len(labels)
    ids = list(patients) if patients is not None else [f"P-{row:04d}" for row in range(n)]
    return pd.DataFrame(
        {
            "cohort": "prostatex_dwi",
            "finding_key": [f"{patient}/{row}/1" for row, patient in enumerate(ids)],
            "patient_id": pd.Series(ids, dtype=object),
            "finding_id": [str(row) for row in range(n)],
            "label": pd.Series(list(labels), dtype=object),
            "subset": "test",
            "fold": pd.array([None] * n, dtype="Int64"),
            "replicate": 0,
            "copy": 0,
            "probability": [float(probability) for probability in probabilities],
        }
    )


@pytest.fixture(name="make_table")
def _make_table() -> MakeTable:
    return make_table


@pytest.fixture
def point_metrics() -> Callable[..., dict[str, Score]]:
    """Every metric of METRICS of a labelled table, by name."""

    def of(table: pd.DataFrame, threshold: float = 0.5) -> dict[str, Score]:
        labels, probabilities = labels_and_probabilities(table)
        return {name: score(name, labels, probabilities, threshold) for name in METRICS}

    return of


@pytest.fixture
def paired_difference() -> Callable[..., Estimate]:
    """After minus before of the AUC of two labelled tables, in any order."""

    def of(before: pd.DataFrame, after: pd.DataFrame, generator: np.random.Generator, n_draws: int) -> Estimate:
        first, second = paired(before, after)
        draws = patient_draws(first["patient_id"].to_numpy(), generator, n_draws)
        return paired_differences(first, second, draws, names=["auc"])["auc"]

    return of
