"""ROC, precision-recall and decision curves, with pointwise bands from draws of patients."""

from dataclasses import dataclass

import numpy as np

GRID = np.linspace(0, 1, 101)
THRESHOLDS = np.linspace(0.01, 0.99, 99)
BAND_DRAWS = 500


@dataclass(frozen=True)
class Curve:
    """y over x with a pointwise band; nan where not defined."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


def roc_curve(labels: np.ndarray, probabilities: np.ndarray, draws: np.ndarray, confidence: float = 0.95) -> Curve:
    """Recall over 1 - specificity, linear between thresholds. draws: (n_draws, n) of patients."""
    weights, order = _with_the_data(draws), np.argsort(-probabilities, kind="stable")
    positive, negative = _cumulated(labels, probabilities, weights, order)
    rows = [_interpolated(n, p) for n, p in zip(negative, positive, strict=True)]
    return _banded(GRID, np.stack(rows), confidence)


def precision_recall_curve(
    labels: np.ndarray, probabilities: np.ndarray, draws: np.ndarray, confidence: float = 0.95
) -> Curve:
    """Precision at the highest threshold that reaches each recall. draws: (n_draws, n) of patients."""
    weights, order = _with_the_data(draws), np.argsort(-probabilities, kind="stable")
    positive, negative = _cumulated(labels, probabilities, weights, order)
    rows = []
    for found, wrong in zip(positive[:, 1:], negative[:, 1:], strict=True):
        if found[-1] == 0:
            rows.append(np.full(len(GRID), np.nan))
            continue
        first = np.searchsorted(found / found[-1], np.maximum(GRID, 1e-9) - 1e-12)
        rows.append(found[first] / (found[first] + wrong[first]))
    return _banded(GRID, np.stack(rows), confidence)


def decision_curve(labels: np.ndarray, probabilities: np.ndarray, draws: np.ndarray, confidence: float = 0.95) -> Curve:
    """Net benefit over the threshold: hits - false alarms * t / (1 - t), per finding (Vickers and Elkin 2006)."""
    weights = _with_the_data(draws)
    odds = THRESHOLDS / (1 - THRESHOLDS)
    called = probabilities[None, :] >= THRESHOLDS[:, None]  # (thresholds, n)
    value = np.where(labels[None, :], 1.0, -odds[:, None]) * called
    return _banded(THRESHOLDS, weights @ value.T / weights.sum(axis=1, keepdims=True), confidence)


def treat_all(labels: np.ndarray) -> np.ndarray:
    """Net benefit of calling every finding positive, over THRESHOLDS."""
    share = float(labels.mean())
    return share - (1 - share) * THRESHOLDS / (1 - THRESHOLDS)


def _with_the_data(draws: np.ndarray) -> np.ndarray:
    """(1 + n_draws, n): the data as they are first."""
    return np.vstack([np.ones(draws.shape[1]), draws[:BAND_DRAWS]])


def _cumulated(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives called at each threshold from above, 0 first: (n_draws, 1 + thresholds) each."""
    descending = probabilities[order]
    last = np.flatnonzero(np.r_[descending[1:] != descending[:-1], True])
    start = np.zeros((len(weights), 1))
    return (
        np.hstack([start, np.cumsum(weights[:, order] * labels[order], axis=1)[:, last]]),
        np.hstack([start, np.cumsum(weights[:, order] * ~labels[order], axis=1)[:, last]]),
    )


def _interpolated(negative: np.ndarray, positive: np.ndarray) -> np.ndarray:
    if positive[-1] == 0 or negative[-1] == 0:
        return np.full(len(GRID), np.nan)
    x, y = negative / negative[-1], positive / positive[-1]
    found = np.interp(GRID, x, y)
    # Where the curve rises straight up, its upper end counts: the best recall at this specificity.
    highest = np.flatnonzero(np.r_[x[1:] != x[:-1], True])
    exact = np.searchsorted(x[highest], GRID)
    inside = exact < len(highest)
    hits = inside & (x[highest][np.minimum(exact, len(highest) - 1)] == GRID)
    found[hits] = y[highest][exact[hits]]
    return found


def _banded(x: np.ndarray, rows: np.ndarray, confidence: float) -> Curve:
    """The first row is the curve, the others make the band."""
    drawn = rows[1:][~np.isnan(rows[1:]).all(axis=1)]
    tail = (1 - confidence) / 2
    if len(drawn) == 0:
        nothing = np.full(len(x), np.nan)
        return Curve(x, rows[0], nothing, nothing)
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return Curve(x, rows[0], low, high)
