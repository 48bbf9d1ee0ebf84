"""Intervals by resampling patients (Efron and Tibshirani 1993, chapter 13: percentiles), never single findings.

Findings of one patient resemble each other; drawing them one by one would count the same evidence several times.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from lesion_transfer.evaluation.metrics import METRICS, labels_and_probabilities, score
from lesion_transfer.evaluation.predictions import PredictionsError
from lesion_transfer.evaluation.weighted import weighted_metric

N_DRAWS = 2000
CONFIDENCE = 0.95
WORTH_TELLING = 0.01
"""Of the draws, those in which a value is not defined: its interval is made of the others."""
FEW = 10
"""With fewer findings of a class the interval is reported with a note: it is known to be too narrow there."""


@dataclass(frozen=True)
class Estimate:
    """A value with its percentile interval; None stands for what is not defined, and `note` says why or warns."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_positive: int
    n_patients: int
    n_undefined: int = 0
    """Draws in which the metric was not defined; the interval is of the others."""
    note: str | None = None

    def to_dict(self) -> dict[str, float | int | str | None]:
        """The fields by name, ready for JSON."""
        return asdict(self)


def patient_draws(patient_ids: Sequence[str] | np.ndarray, generator: np.random.Generator, n_draws: int) -> np.ndarray:
    """How often each finding counts in each draw, int64 (n_draws, n).

    As many patients as there are, drawn with replacement, all findings of a patient with them. Depends on the set of
    patients, not on the order of the rows.
    """
    patients, patient_of_row = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    if len(patients) == 0:
        raise PredictionsError("There is no labelled finding to compute an interval of.")
    counts = generator.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=n_draws)
    return counts[:, patient_of_row]


def estimates(
    table: pd.DataFrame,
    draws: np.ndarray,
    threshold: float = 0.5,
    confidence: float = CONFIDENCE,
    names: Sequence[str] = METRICS,
) -> dict[str, Estimate]:
    """Metrics of a labelled table, a finding a row, by name; `draws` (n_draws, n) comes from `patient_draws`."""
    labels, probabilities = _one_row_a_finding(table)
    found = {}
    for name in names:
        point = score(name, labels, probabilities, threshold)
        drawn = weighted_metric(name, labels, probabilities, draws, threshold)
        found[name] = _estimate(table, labels, point.value, point.reason, drawn, confidence)
    return found


def paired(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both labelled tables in the order of `before`, row i being the same finding in both.

    Raises PredictionsError when they do not cover the same findings, or disagree about a label or a patient.
    """
    for table in (before, after):
        _one_row_a_finding(table)
    missing, extra = (
        sorted(set(one["finding_key"]) - set(other["finding_key"])) for one, other in ((before, after), (after, before))
    )
    if missing or extra:
        raise PredictionsError(
            f"The two tables do not cover the same findings: {some_keys(missing)} only before, {some_keys(extra)} "
            "only after; predict the same findings with both models."
        )
    aligned = after.set_index("finding_key").loc[before["finding_key"]].reset_index()
    first = before.reset_index(drop=True)
    for column in ("label", "patient_id"):
        differ = np.flatnonzero(first[column].to_numpy() != aligned[column].to_numpy())
        if len(differ):
            raise PredictionsError(
                f"The two tables disagree about the {column} of finding {first['finding_key'][differ[0]]} "
                f"({len(differ)} such findings); predict with both models from the same cohort."
            )
    return first, aligned


def paired_differences(
    before: pd.DataFrame,
    after: pd.DataFrame,
    draws: np.ndarray,
    threshold: float = 0.5,
    confidence: float = CONFIDENCE,
    names: Sequence[str] = METRICS,
) -> dict[str, Estimate]:
    """After minus before of every metric, both computed of the same patients in each draw.

    before, after: from `paired`; draws (n_draws, n) of `before["patient_id"]`. A draw in which either is not defined
    is dropped and counted.
    """
    labels, first = _one_row_a_finding(before)
    _, second = _one_row_a_finding(after)
    found = {}
    for name in names:
        points = [score(name, labels, probabilities, threshold) for probabilities in (first, second)]
        reason = next((point.reason for point in points if point.reason is not None), None)
        value = None if reason is not None else float(points[1].value or 0) - float(points[0].value or 0)
        drawn = [weighted_metric(name, labels, probabilities, draws, threshold) for probabilities in (first, second)]
        found[name] = _estimate(before, labels, value, reason, drawn[1] - drawn[0], confidence)
    return found


def paired_p_value(
    before: pd.DataFrame, after: pd.DataFrame, draws: np.ndarray, metric: str = "auc", threshold: float = 0.5
) -> float | None:
    """Two-sided p of no difference, by inverting the percentile interval: below 0.05 where the 95 % one leaves out 0.

    Arguments as of `paired_differences`; None where no draw defines the metric on both sides. With B draws the
    smallest p is 2 / (B + 1) (Davison and Hinkley 1997, 4.2: the data count as one draw).
    """
    labels, first = _one_row_a_finding(before)
    _, second = _one_row_a_finding(after)
    drawn = weighted_metric(metric, labels, second, draws, threshold) - weighted_metric(
        metric, labels, first, draws, threshold
    )
    return two_sided_p(drawn[~np.isnan(drawn)])


def percentile_interval(drawn: np.ndarray, confidence: float) -> tuple[float | None, float | None]:
    """Low and high of defined draws (n,); None for both where there is none."""
    if len(drawn) == 0:
        return None, None
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def two_sided_p(drawn: np.ndarray) -> float | None:
    """Twice the smaller share of defined draws (n,) on one side of 0, the data counted as a draw; None where n = 0."""
    if len(drawn) == 0:
        return None
    smaller = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (1 + smaller) / (1 + len(drawn)))


def too_few(n_positive: int, n_negative: int) -> list[str]:
    """A warning for each class with fewer than FEW findings."""
    counts = ((n_positive, "positives"), (n_negative, "negatives"))
    return [f"too few {name} ({n} < {FEW})" for n, name in counts if n < FEW]


def _one_row_a_finding(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    repeated = table["finding_key"].duplicated()
    if repeated.any():
        key = table["finding_key"][repeated].iloc[0]
        raise PredictionsError(f"Finding {key} has several rows; select one replicate and one copy first.")
    return labels_and_probabilities(table)


def _estimate(
    table: pd.DataFrame,
    labels: np.ndarray,
    value: float | None,
    reason: str | None,
    drawn: np.ndarray,
    confidence: float,
) -> Estimate:
    n_positive, n_negative = int(labels.sum()), int((~labels).sum())
    n_patients = int(table["patient_id"].nunique())
    defined = drawn[~np.isnan(drawn)]
    low = high = None
    notes = [] if reason is None else [f"not defined: {reason}"]
    if value is not None:
        notes += too_few(n_positive, n_negative)
        if n_patients < 2:
            notes.append("no interval: one patient cannot be resampled")
        elif len(defined) == 0:
            notes.append("no interval: not defined in any draw")
        else:
            low, high = percentile_interval(defined, confidence)
            if low == high:
                # A value at its limit (such as an AUC of 1) does not vary under resampling; that is no certainty.
                notes.append("does not vary under resampling, which does not make it certain")
    n_undefined = int(np.isnan(drawn).sum())
    if low is not None and n_undefined >= WORTH_TELLING * len(drawn):
        notes.append(f"not defined in {n_undefined:,} of {len(drawn):,} draws")
    return Estimate(value, low, high, len(labels), n_positive, n_patients, n_undefined, "; ".join(notes) or None)


def some_keys(keys: list[str]) -> str:
    """How many keys, and the first three of them, for messages."""
    shown = f" ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})" if keys else ""
    return f"{len(keys)}{shown}"
