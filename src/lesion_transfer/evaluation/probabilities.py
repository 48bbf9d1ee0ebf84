"""What a model's probabilities are worth on the test subset: calibration, operating point, subgroups, patients."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.evaluation.bootstrap import CONFIDENCE, estimates, patient_draws, percentile_interval
from lesion_transfer.evaluation.calibration import (
    apply_temperature,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    operating_point,
)
from lesion_transfer.evaluation.metrics import labels_and_probabilities
from lesion_transfer.evaluation.predictions import labelled
from lesion_transfer.evaluation.summary import STREAM
from lesion_transfer.randomness import named_generator

Weighted = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
FITTED_ON = "validation"
NO_INTERVAL = {"low": None, "high": None, "note": "no interval: draws of patients look worse calibrated than the data"}
"""Of the calibration error: a bin holds few findings, fewer distinct ones in a draw, so that its percentiles lie above
the value (in up to a tenth of perfectly calibrated data sets wholly so)."""


def fitted_on_validation(validation: pd.DataFrame) -> dict[str, float | None]:
    """temperature and operating_point of labelled validation predictions; None where one class is missing."""
    known = labelled(validation)
    if len(known) == 0:
        return {"temperature": None, "operating_point": None}
    labels, probabilities = labels_and_probabilities(known)
    return {
        "temperature": fit_temperature(labels, probabilities),
        "operating_point": operating_point(labels, probabilities),
    }


def assess_probabilities(
    test: pd.DataFrame, validation: pd.DataFrame, seed: int, n_draws: int, confidence: float = CONFIDENCE
) -> dict[str, Any]:
    """Brier score and calibration error before and after temperature scaling, confusion at 0.5 and at the operating
    point with the metrics there. Tables: a row a finding; test must have a labelled one.
    """
    known = labelled(test)
    labels, probabilities = labels_and_probabilities(known)
    draws = patient_draws(known["patient_id"].to_numpy(), named_generator(seed, *STREAM), n_draws)
    fitted = fitted_on_validation(validation)
    temperature, threshold = fitted["temperature"], fitted["operating_point"]
    content: dict[str, Any] = {**fitted, "fitted_on": FITTED_ON, "confusion": confusion(labels, probabilities, 0.5)}
    versions = {"": probabilities}
    if temperature is not None:
        versions["_calibrated"] = apply_temperature(probabilities, temperature)
    for suffix, values in versions.items():
        content["brier" + suffix] = _interval(brier_score, labels, values, draws, confidence)
        content["ece" + suffix] = {"value": _value(expected_calibration_error, labels, values), **NO_INTERVAL}
    if threshold is not None:
        content["confusion_at_operating_point"] = confusion(labels, probabilities, threshold)
        found = estimates(known, draws, threshold, confidence)
        content["at_operating_point"] = {name: one.to_dict() for name, one in found.items() if name != "auc"}
    return content


def confusion(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, float | int]:
    """Counts of the four outcomes at a threshold."""
    called = probabilities >= threshold
    return {
        "threshold": threshold,
        "true_positive": int((labels & called).sum()),
        "false_negative": int((labels & ~called).sum()),
        "false_positive": int((~labels & called).sum()),
        "true_negative": int((~labels & ~called).sum()),
    }


def subgroup_aucs(
    test: pd.DataFrame, group_of: Mapping[str, str], seed: int, n_draws: int, confidence: float = CONFIDENCE
) -> dict[str, Any]:
    """The AUC of the findings of each group (finding_key -> name, such as the zone), and of whole patients.

    A patient is positive with any positive finding, and scores as its highest finding. Findings without a group are
    left out; a group of one class has no AUC and says why.
    """
    known = labelled(test)
    groups = known["finding_key"].map(lambda key: group_of.get(key, ""))
    tables = {f"zone {name}": known[groups == name] for name in sorted(set(groups) - {""})}
    tables["patients"] = patient_level(known)
    found = {}
    for name, table in tables.items():
        own = table.reset_index(drop=True)
        draws = patient_draws(own["patient_id"].to_numpy(), named_generator(seed, *STREAM), n_draws)
        found[name] = estimates(own, draws, confidence=confidence, names=["auc"])["auc"].to_dict()
    return found


def patient_level(known: pd.DataFrame) -> pd.DataFrame:
    """A row a patient of a labelled table: positive with any positive finding, the highest probability."""
    by_patient = known.groupby("patient_id", sort=True)
    rows = known.drop_duplicates("patient_id").sort_values("patient_id").reset_index(drop=True)
    labels = [any(label is True for label in group) for _, group in by_patient["label"]]
    return rows.assign(
        finding_key=rows["patient_id"],
        label=pd.Series(labels, dtype=object),
        probability=by_patient["probability"].max().to_numpy(),
    )


def _value(score: Weighted, labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(score(labels, probabilities, np.ones((1, len(labels))))[0])


def _interval(
    score: Weighted, labels: np.ndarray, probabilities: np.ndarray, draws: np.ndarray, confidence: float
) -> dict[str, float | None]:
    value = _value(score, labels, probabilities)
    drawn = score(labels, probabilities, draws[draws.sum(axis=1) > 0])
    low, high = percentile_interval(drawn, confidence)
    return {"value": value, "low": low, "high": high}
