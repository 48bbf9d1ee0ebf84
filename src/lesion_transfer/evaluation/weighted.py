"""Every metric for many weightings of the same findings at once: what a bootstrap needs."""

import numpy as np

from lesion_transfer.evaluation.metrics import METRICS
from lesion_transfer.evaluation.predictions import PredictionsError


def weighted_metric(
    name: str, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, threshold: float = 0.5
) -> np.ndarray:
    """The metric under each row of weights, float64 (n_draws,); nan where it is not defined.

    labels bool (n,), probabilities (n,), weights >= 0 (n_draws, n). Equals scikit-learn's value with
    `sample_weight=weights[draw]`.
    """
    if name not in METRICS:
        raise PredictionsError(f"There is no metric {name!r}; choose one of {', '.join(METRICS)}.")
    if name == "auc":
        return _auc(labels, probabilities, weights)
    called = probabilities >= threshold
    tp, fn = weights[:, labels & called].sum(axis=1), weights[:, labels & ~called].sum(axis=1)
    fp, tn = weights[:, ~labels & called].sum(axis=1), weights[:, ~labels & ~called].sum(axis=1)
    match name:
        case "accuracy":
            return _ratio(tp + tn, tp + tn + fp + fn)
        case "balanced_accuracy":
            return (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2
        case "precision":
            return _ratio(tp, tp + fp)
        case "recall":
            return _ratio(tp, tp + fn)
        case "specificity":
            return _ratio(tn, tn + fp)
        case _:
            return _ratio(2 * tp, 2 * tp + fp + fn)


def _auc(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted share of pairs (positive, negative) in which the positive scores higher, a tie counting half.

    This is the pairwise comparison (Mann and Whitney 1947) summed over groups of equal probability in ascending order,
    so that a draw costs n steps instead of positives times negatives.
    """
    if len(labels) == 0:
        return np.full(len(weights), np.nan)
    order = np.argsort(probabilities, kind="stable")
    ascending = probabilities[order]
    first_of_group = np.flatnonzero(np.r_[True, ascending[1:] != ascending[:-1]])
    in_order = weights[:, order].astype(np.float64)
    positive = np.add.reduceat(in_order * labels[order], first_of_group, axis=1)  # (n_draws, n_groups)
    negative = np.add.reduceat(in_order * ~labels[order], first_of_group, axis=1)
    negative_below = np.cumsum(negative, axis=1) - negative
    won = (positive * (negative_below + negative / 2)).sum(axis=1)
    return _ratio(won, positive.sum(axis=1) * negative.sum(axis=1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, nan where whole is 0."""
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
