"""Before against after on the same findings: the content of reports/evaluation.json, and what it says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.evaluation.bootstrap import (
    CONFIDENCE,
    FEW,
    N_DRAWS,
    Estimate,
    estimates,
    paired,
    paired_differences,
    paired_p_value,
    patient_draws,
    some_keys,
)
from lesion_transfer.evaluation.delong import NormalInterval
from lesion_transfer.evaluation.independent import LABEL, independent_difference, independent_intervals
from lesion_transfer.evaluation.predictions import PredictionsError, labelled

HELPED, HARMED, CANNOT_BE_TOLD = "helped", "harmed", "cannot be told with these data"


def compare(
    before: pd.DataFrame,
    after: pd.DataFrame,
    generator: np.random.Generator,
    threshold: float = 0.5,
    *,
    n_draws: int = N_DRAWS,
    confidence: float = CONFIDENCE,
) -> dict[str, Any]:
    """Every metric before, after and their difference, each with its patient-clustered interval, ready for JSON.

    The tables hold a row a finding (one subset, one replicate, copy 0); findings without label are left out and
    counted. All intervals come from the same draws of patients, but for `independent`: DeLong's and Wilson's, which
    take every lesion for a patient of its own. The caller adds `before.phase` and `after.phase`.
    """
    _require_labels_in_both(before, after)
    known_before, known_after = labelled(before), labelled(after)
    if len(known_before) == 0:
        raise PredictionsError("No finding has a label, so before and after cannot be compared; predict labelled ones.")
    first, second = paired(known_before, known_after)
    draws = patient_draws(first["patient_id"].to_numpy(), generator, n_draws)
    difference = paired_differences(first, second, draws, threshold, confidence)
    summary = verdict(difference["auc"].to_dict(), confidence)
    return {
        "before": _as_dicts(estimates(first, draws, threshold, confidence)),
        "after": _as_dicts(estimates(second, draws, threshold, confidence)),
        "difference": _as_dicts(difference),
        "p_value_auc": paired_p_value(first, second, draws),
        "independent": {
            "label": LABEL,
            "before": _as_dicts(independent_intervals(first, threshold, confidence)),
            "after": _as_dicts(independent_intervals(second, threshold, confidence)),
            "difference": {"auc": independent_difference(first, second, confidence).to_dict()},
        },
        "verdict": summary,
        "threshold": threshold,
        "confidence": confidence,
        "n_draws": n_draws,
        "n_unlabelled": len(before) - len(known_before),
    }


def _require_labels_in_both(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Raises PredictionsError where a finding has its label in one table alone: it would seem to be there only."""
    for name, one, other in (("before", before, after), ("after", after, before)):
        unlabelled = set(one["finding_key"]) - set(labelled(one)["finding_key"])
        if keys := sorted(unlabelled & set(labelled(other)["finding_key"])):
            raise PredictionsError(
                f"The two tables do not label the same findings: {some_keys(keys)} of both have no label {name}; "
                "predict with both models from the same cohort."
            )


def conclusion(difference_auc: Mapping[str, Any]) -> str:
    """HELPED when the whole interval is above 0, HARMED when below, CANNOT_BE_TOLD otherwise.

    Also CANNOT_BE_TOLD with fewer than FEW findings of a class: the interval is known to be too narrow there.
    """
    low, high = difference_auc["low"], difference_auc["high"]
    if min(difference_auc["n_positive"], difference_auc["n"] - difference_auc["n_positive"]) < FEW:
        return CANNOT_BE_TOLD
    if low is not None and low > 0:
        return HELPED
    return HARMED if high is not None and high < 0 else CANNOT_BE_TOLD


def verdict(difference_auc: Mapping[str, Any], confidence: float = CONFIDENCE) -> str:
    """One sentence with the numbers and n; `difference_auc` is `Estimate.to_dict()` of after minus before.

    A second one says of a difference that is told what its interval, over patients alone, cannot know.
    """
    positives = difference_auc["n_positive"]
    counts = (
        f"{_counted(difference_auc['n'], 'finding')}, {positives} positive, "
        f"{_counted(difference_auc['n_patients'], 'patient')}"
    )
    note = f"; note: {difference_auc['note']}" if difference_auc.get("note") else ""
    found = conclusion(difference_auc)
    start = f"Whether transfer helped {found}" if found == CANNOT_BE_TOLD else f"Transfer {found}"
    if difference_auc["value"] is None:
        return f"{start}: the AUC is not defined on both sides ({counts}{note})."
    if difference_auc["low"] is None:
        return f"{start}: the AUC changed by {difference_auc['value']:+.3f} without an interval ({counts}{note})."
    of_two = (
        ""
        if found == CANNOT_BE_TOLD
        else " These are two models; whether other trainings agree, and whether the other body parts did it or the "
        "further training on the target, the ledger and its control arms tell."
    )
    return (
        f"{start}: the AUC changed by {difference_auc['value']:+.3f} ({confidence:.0%} interval "
        f"{difference_auc['low']:+.3f} to {difference_auc['high']:+.3f}; {counts}{note}).{of_two}"
    )


def _as_dicts(by_name: Mapping[str, Estimate | NormalInterval]) -> dict[str, dict[str, Any]]:
    return {name: estimate.to_dict() for name, estimate in by_name.items()}


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
