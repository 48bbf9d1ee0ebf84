"""A baseline: features of every finding and a classifier that is fitted on training findings alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC


@dataclass(frozen=True)
class Baseline:
    """features: a row a finding, columns of numbers or text; None where not available, and then `reason` says why.

    leak: the features say how the data were collected, not what a lesion looks like: shown, never to be used.
    """

    name: str
    description: str
    features: pd.DataFrame | None
    classifier: Callable[[], Any]
    leak: bool = False
    reason: str | None = None


def logistic() -> LogisticRegression:
    """Logistic regression with scikit-learn's default ridge penalty."""
    return LogisticRegression(max_iter=2000)


def support_vectors() -> SVC:
    """A support vector machine with a Gaussian kernel, the classes weighted to balance."""
    return SVC(class_weight="balanced")


def fitted_probabilities(baseline: Baseline, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Probabilities (n_test,) of the rows `test` by the classifier fitted on the rows `train` (row numbers).

    Categories, means and scales come from the training rows too. A classifier without probabilities gives the logistic
    function of its decision value: the order is right, the calibration is not. One class to learn from: its share.
    """
    assert baseline.features is not None
    known = labels[train]
    if known.all() or not known.any():
        return np.full(len(test), float(known.all()))
    model = _pipeline(baseline).fit(baseline.features.iloc[train], known)
    rows = baseline.features.iloc[test]
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(rows)[:, 1], dtype=np.float64)
    return np.asarray(expit(model.decision_function(rows)), dtype=np.float64)


def _pipeline(baseline: Baseline) -> Pipeline:
    assert baseline.features is not None
    numbers = baseline.features.select_dtypes("number").columns
    texts = baseline.features.columns.difference(numbers, sort=False)
    if not len(texts):
        return make_pipeline(StandardScaler(), baseline.classifier())
    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(texts)),
            ("numbers", "passthrough", list(numbers)),
        ]
    )
    return make_pipeline(columns, StandardScaler(), baseline.classifier())
