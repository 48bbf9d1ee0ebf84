"""Intervals and tests that take every lesion for a patient of its own: shown beside the clustered ones, never alone."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from lesion_transfer.evaluation.delong import CONFIDENCE, NormalInterval, auc_difference, auc_interval
from lesion_transfer.evaluation.metrics import labels_and_probabilities

LABEL = "lesions treated as independent"


def wilson(n_hits: int, n: int, confidence: float = CONFIDENCE) -> NormalInterval:
    """A proportion with Wilson's score interval (1927)."""
    if n == 0:
        return NormalInterval(None, note="not defined: nothing to count")
    interval = binomtest(n_hits, n).proportion_ci(confidence, method="wilson")
    return NormalInterval(n_hits / n, float(interval.low), float(interval.high))


def independent_intervals(
    table: pd.DataFrame, threshold: float = 0.5, confidence: float = CONFIDENCE
) -> dict[str, NormalInterval]:
    """DeLong's interval of the auc, Wilson's of the metrics that are proportions (not balanced accuracy and F1)."""
    labels, probabilities = labels_and_probabilities(table)
    called = probabilities >= threshold
    hits: Mapping[str, np.ndarray] = {
        "accuracy": called == labels,
        "precision": labels[called],
        "recall": called[labels],
        "specificity": ~called[~labels],
    }
    found = {"auc": auc_interval(labels, probabilities, confidence=confidence)}
    return found | {name: wilson(int(hit.sum()), len(hit), confidence) for name, hit in hits.items()}


def independent_difference(before: pd.DataFrame, after: pd.DataFrame, confidence: float = CONFIDENCE) -> NormalInterval:
    """Paired DeLong of the auc, after minus before; the tables come from `bootstrap.paired`."""
    labels, first = labels_and_probabilities(before)
    _, second = labels_and_probabilities(after)
    return auc_difference(labels, first, second, confidence=confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that the chance of any false rejection stays below the level (Holm 1979), in their order."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * (len(order) - np.arange(len(order)))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]
