"""Scores against counts made by hand, losses against their formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from lesion_transfer.learning.losses import loss_function, sample_losses
from lesion_transfer.learning.metrics import METRICS, classification_metrics

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.25]])
LABELS = torch.tensor([0, 1])


def test_metrics_equal_the_counts_of_a_confusion_matrix() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    probabilities = np.array([0.9, 0.6, 0.2, 0.7, 0.4, 0.3, 0.1, 0.05])
    scores = classification_metrics(labels, probabilities, 0.25)
    # true positives 2, false negatives 1, false positives 1, true negatives 4
    assert list(scores) == list(METRICS)
    assert scores["loss"] == 0.25
    assert scores["accuracy"] == 6 / 8
    assert scores["recall"] == pytest.approx(2 / 3)
    assert scores["specificity"] == pytest.approx(4 / 5)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["f1score"] == pytest.approx(2 / 3)
    # pairs ranked rightly: 0.9 beats 5, 0.6 beats 4, 0.2 beats 2, of 15
    assert scores["auc"] == pytest.approx(11 / 15)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=1, max_size=40))
def test_metrics_are_scikit_learns_ties_included(rows: list[tuple[int, int]]) -> None:
    labels, probabilities = np.array([label for label, _ in rows]), np.array([tenths / 10 for _, tenths in rows])
    predicted = (probabilities >= 0.5).astype(int)
    scores = classification_metrics(labels, probabilities, 0.0)
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": np.mean([np.mean(predicted[labels == label] == label) for label in set(labels.tolist())]),
        "precision": sk.precision_score(labels, predicted, zero_division=0),
        "recall": sk.recall_score(labels, predicted, zero_division=0),
        "f1score": sk.f1_score(labels, predicted, zero_division=0),
        "specificity": sk.recall_score(labels, predicted, pos_label=0, zero_division=0),
    }
    if len(set(labels.tolist())) == 2:
        expected["auc"] = sk.roc_auc_score(labels, probabilities)
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert all(type(value) is float for value in scores.values())


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_on_softmax", "l1", "mse"])
def test_a_loss_is_the_mean_of_its_samples_losses(name: str) -> None:
    logits, labels = torch.randn(9, 2, dtype=torch.float64), torch.arange(9) % 2
    each = sample_losses(name)(logits, labels)
    assert each.shape == (9,)
    assert each.mean().item() == pytest.approx(loss_function(name)(logits, labels).item(), rel=1e-12)


def test_nothing_predicted_positive_is_zero_and_no_warning() -> None:
    scores = classification_metrics(np.array([0, 1]), np.array([0.1, 0.2]), 1.0)
    assert (scores["precision"], scores["recall"], scores["f1score"], scores["specificity"]) == (0, 0, 0, 1)


def test_one_class_only_has_no_auc() -> None:
    scores = classification_metrics(np.array([1, 1]), np.array([0.1, 0.9]), 1.0)
    assert math.isnan(scores["auc"])
    assert scores["balanced_accuracy"] == 0.5


def test_without_labels_every_score_is_nan() -> None:
    scores = classification_metrics(np.array([], dtype=np.int64), np.array([]), 0.0)
    assert list(scores) == list(METRICS)
    assert all(math.isnan(value) for value in scores.values())


def test_losses_are_their_formulas() -> None:
    softmax = torch.tensor([[1, math.exp(-3)], [1, math.exp(-0.25)]])
    softmax = softmax / softmax.sum(1, keepdim=True)
    right = [softmax[0, 0], softmax[1, 1]]
    expected = {
        "cross_entropy": sum(-math.log(p) for p in right) / 2,
        "cross_entropy_on_softmax": sum(math.log(1 + math.exp(1 - 2 * p)) for p in right) / 2,
        "l1": sum(1 - p for p in right) / 2,
        "mse": sum((1 - p) ** 2 for p in right) / 2,
    }
    found = {name: loss_function(name)(LOGITS, LABELS).item() for name in expected}
    assert found == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-6)


def test_the_double_softmax_never_falls_below_0_313() -> None:
    certain = torch.tensor([[100.0, -100.0]])
    target = torch.tensor([0])
    assert loss_function("cross_entropy")(certain, target).item() == pytest.approx(0, abs=1e-6)
    assert loss_function("cross_entropy_on_softmax")(certain, target).item() == pytest.approx(
        math.log(1 + math.exp(-1)), rel=1e-6
    )
