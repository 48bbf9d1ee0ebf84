"""Point metrics of a labelled table; what is not defined is said, not invented."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from lesion_transfer.evaluation.predictions import PredictionsError

METRICS = ("auc", "accuracy", "balanced_accuracy", "precision", "recall", "f1score", "specificity")
"""In the order of the thesis's tables; all but auc depend on the threshold."""

_ONE_CLASS = {
    (False, False): "no finding has a label",
    (False, True): "no finding is positive",
    (True, False): "no finding is negative",
}
Weights = np.ndarray | None


@dataclass(frozen=True)
class Score:
    """A metric's value in [0, 1]; None where it is not defined, and then the reason."""

    value: float | None
    reason: str | None = None


def labels_and_probabilities(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Labels, bool (n,), and probabilities, float64 (n,), of a table whose every row has a label."""
    if any(label is None for label in table["label"]):
        raise PredictionsError("A finding has no label; keep the labelled rows only (predictions.labelled).")
    return table["label"].to_numpy(dtype=bool), table["probability"].to_numpy(dtype=np.float64)


def score(
    name: str, labels: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5, weights: Weights = None
) -> Score:
    """One metric by scikit-learn.

    labels bool (n,), probabilities (n,), weights (n,) or None = 1 each; a finding is called positive when its
    probability is at least `threshold`. The auc counts a tie of a positive and a negative as one half.
    """
    reason = undefined_because(name, labels, probabilities, threshold)
    if reason is not None:
        return Score(None, reason)
    if name == "auc":
        return Score(float(sk.roc_auc_score(labels, probabilities, sample_weight=weights)))
    with warnings.catch_warnings():
        # scikit-learn warns when no label of a class was predicted, which is a finding's fate and no error.
        warnings.simplefilter("ignore", category=UserWarning)
        return Score(float(_THRESHOLDED[name](labels, probabilities >= threshold, weights)))


def undefined_because(name: str, labels: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5) -> str | None:
    """Why the metric cannot be computed of these findings; None when it can."""
    if name not in METRICS:
        raise PredictionsError(f"There is no metric {name!r}; choose one of {', '.join(METRICS)}.")
    classes = (bool(labels.any()), bool((~labels).any()))
    called_positive = bool((probabilities >= threshold).any())
    match name:
        case "accuracy":
            needed, reason = any(classes), _ONE_CLASS[False, False]
        case "auc" | "balanced_accuracy":
            needed, reason = all(classes), _ONE_CLASS.get(classes, "")
        case "recall":
            needed, reason = classes[0], _ONE_CLASS.get(classes, "")
        case "specificity":
            needed, reason = classes[1], _ONE_CLASS.get(classes, "")
        case "precision":
            needed, reason = called_positive, f"no finding is called positive (probability at least {threshold:g})"
        case _:
            needed, reason = classes[0] or called_positive, "no finding is positive and none is called positive"
    return None if needed else reason


_THRESHOLDED: dict[str, Callable[[np.ndarray, np.ndarray, Weights], float]] = {
    "accuracy": lambda true, called, w: sk.accuracy_score(true, called, sample_weight=w),
    "balanced_accuracy": lambda true, called, w: sk.balanced_accuracy_score(true, called, sample_weight=w),
    "precision": lambda true, called, w: sk.precision_score(true, called, sample_weight=w),
    "recall": lambda true, called, w: sk.recall_score(true, called, sample_weight=w),
    "f1score": lambda true, called, w: sk.f1_score(true, called, sample_weight=w),
    "specificity": lambda true, called, w: sk.recall_score(~true, ~called, sample_weight=w),
}
