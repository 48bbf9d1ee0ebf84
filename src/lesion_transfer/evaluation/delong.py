"""Variances of AUCs in closed form: DeLong et al. 1988, and Obuchowski 1997 for findings clustered in patients."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import norm, rankdata

CONFIDENCE = 0.95


@dataclass(frozen=True)
class NormalInterval:
    """A value with its normal-theory interval and the two-sided p of the value being `null`; None: not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, float | str | None]:
        """The fields by name, ready for JSON."""
        return asdict(self)


def placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How each finding stands among those of the other class, (k, n_positive) and (k, n_negative).

    labels bool (n,), scores (k, n), a row a model. For a positive: the share of negatives that score lower; for a
    negative: the share of positives that score higher; a tie counts half. The mean of either is the AUC. By midranks
    (Sun and Xu 2014), so that no pair is visited.
    """
    ranks = rankdata(scores, axis=1)
    positive, negative = scores[:, labels], scores[:, ~labels]
    above = (ranks[:, labels] - rankdata(positive, axis=1)) / negative.shape[1]
    below = 1 - (ranks[:, ~labels] - rankdata(negative, axis=1)) / positive.shape[1]
    return above, below


def auc_covariance(
    labels: np.ndarray, scores: np.ndarray, clusters: Sequence[str] | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """AUCs (k,) and their covariance (k, k) of k models that scored the same findings.

    labels bool (n,), scores (k, n); clusters (n,): the patient of each finding (Obuchowski 1997), None: every finding
    on its own (DeLong 1988). nan where a class has fewer than two members, or findings of fewer than two patients.
    """
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    labels = np.asarray(labels, dtype=bool)
    n_positive, n_negative = int(labels.sum()), int((~labels).sum())
    undefined = np.full((len(scores), len(scores)), np.nan)
    if min(n_positive, n_negative) == 0:
        return np.full(len(scores), np.nan), undefined
    above, below = placements(labels, scores)
    aucs = above.mean(axis=1)
    if clusters is None:
        if min(n_positive, n_negative) < 2:
            return aucs, undefined
        return aucs, np.atleast_2d(np.cov(above)) / n_positive + np.atleast_2d(np.cov(below)) / n_negative
    patients, patient_of_row = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    with_positive, with_negative = (len(np.unique(patient_of_row[rows])) for rows in (labels, ~labels))
    if min(with_positive, with_negative) < 2:
        return aucs, undefined
    # Each patient's sums of centred placements, (k, patients).
    first = _sums(above - aucs[:, None], patient_of_row[labels], len(patients))
    second = _sums(below - aucs[:, None], patient_of_row[~labels], len(patients))
    between = len(patients) / (len(patients) - 1) * first @ second.T
    return aucs, (
        with_positive / (with_positive - 1) * first @ first.T / n_positive**2
        + with_negative / (with_negative - 1) * second @ second.T / n_negative**2
        + (between + between.T) / (n_positive * n_negative)
    )


def _sums(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    return np.stack([np.bincount(group, row, n_groups) for row in values])


def auc_interval(
    labels: np.ndarray,
    probabilities: np.ndarray,
    clusters: Sequence[str] | np.ndarray | None = None,
    confidence: float = CONFIDENCE,
) -> NormalInterval:
    """The AUC with its interval, cut to [0, 1]; p_value is of an AUC of 0.5."""
    aucs, covariance = auc_covariance(labels, probabilities[None], clusters)
    found = _normal(float(aucs[0]), float(covariance[0, 0]), 0.5, confidence)
    if found.low is None or found.high is None:
        return found
    return NormalInterval(found.value, max(0.0, found.low), min(1.0, found.high), found.p_value, found.note)


def auc_difference(
    labels: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    clusters: Sequence[str] | np.ndarray | None = None,
    confidence: float = CONFIDENCE,
) -> NormalInterval:
    """After minus before of two AUCs on the same findings, with interval and p_value of no difference (paired)."""
    aucs, covariance = auc_covariance(labels, np.stack([before, after]), clusters)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return _normal(float(aucs[1] - aucs[0]), float(variance), 0.0, confidence)


def _normal(value: float, variance: float, null: float, confidence: float) -> NormalInterval:
    if np.isnan(value):
        return NormalInterval(None, note="not defined: one class is missing")
    if np.isnan(variance):
        return NormalInterval(value, note="no interval: fewer than two of a class")
    if variance <= 1e-15:
        # No spread between findings: equal scores of both models, or an AUC at its limit. That is no certainty.
        p_value = 1.0 if value == null else None
        return NormalInterval(value, None, None, p_value, "no interval: the findings show no spread")
    error = float(np.sqrt(variance))
    half = float(norm.isf((1 - confidence) / 2)) * error
    return NormalInterval(value, value - half, value + half, float(2 * norm.sf(abs(value - null) / error)))
