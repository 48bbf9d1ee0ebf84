"""Tool `lesion metrics`: every metric of any predictions.csv again, from the table alone."""

from pathlib import Path
from typing import Any

from lesion_transfer.evaluation.bootstrap import N_DRAWS
from lesion_transfer.evaluation.predictions import read_predictions
from lesion_transfer.evaluation.summary import summarise


def metrics(path: Path, seed: int, threshold: float = 0.5, n_draws: int = N_DRAWS) -> list[dict[str, Any]]:
    """One entry a cohort, subset and replicate of the table, plain and enhanced."""
    return summarise(read_predictions(path), seed, threshold, n_draws=n_draws)
