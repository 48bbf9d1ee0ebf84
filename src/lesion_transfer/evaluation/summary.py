"""Every metric of a predictions table with its intervals, group by group: what `lesion metrics` shows."""

from typing import Any

import pandas as pd

from lesion_transfer.evaluation.bootstrap import CONFIDENCE, N_DRAWS, estimates, patient_draws
from lesion_transfer.evaluation.enhanced import both_predictions, n_copies
from lesion_transfer.evaluation.independent import LABEL, independent_intervals
from lesion_transfer.evaluation.predictions import by_model, labelled
from lesion_transfer.randomness import named_generator

STREAM = ("evaluate", "bootstrap")
"""The draws of patients that every interval is made of: the same seed gives those of the stage `evaluate`."""


def summarise(
    table: pd.DataFrame,
    seed: int,
    threshold: float = 0.5,
    *,
    n_draws: int = N_DRAWS,
    confidence: float = CONFIDENCE,
) -> list[dict[str, Any]]:
    """One entry a model (baseline, cohort, subset, replicate, outer fold), plain and, with copies, enhanced, for JSON.

    `metrics` holds patient-clustered estimates, `independent` DeLong's and Wilson's intervals beside them. Findings
    without a label are counted; a group without any label has no metrics and says so in `note`.
    """
    entries = []
    for model in by_model(table):
        for name, predictions in both_predictions(model.rows).items():
            entry = {
                "baseline": model.baseline,
                "cohort": model.cohort,
                "subset": model.subset,
                "replicate": model.replicate,
                "fold": model.fold,
                "prediction": name,
                "copies": n_copies(model.rows) if name != "plain" else 0,
            }
            entries.append(entry | _metrics(predictions, seed, threshold, n_draws, confidence))
    return entries


def _metrics(table: pd.DataFrame, seed: int, threshold: float, n_draws: int, confidence: float) -> dict[str, Any]:
    known = labelled(table)
    content: dict[str, Any] = {
        "threshold": threshold,
        "confidence": confidence,
        "n_draws": n_draws,
        "n_unlabelled": len(table) - len(known),
        "metrics": {},
        "independent": {},
        "independent_label": LABEL,
        "note": None if len(known) else "no finding has a label",
    }
    if len(known):
        draws = patient_draws(known["patient_id"].to_numpy(), named_generator(seed, *STREAM), n_draws)
        found = estimates(known, draws, threshold, confidence)
        content["metrics"] = {name: estimate.to_dict() for name, estimate in found.items()}
        beside = independent_intervals(known, threshold, confidence)
        content["independent"] = {name: interval.to_dict() for name, interval in beside.items()}
    return content
