"""Predictions tables made in the tests."""

from collections.abc import Callable, Sequence

import pandas as pd
import pytest

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
