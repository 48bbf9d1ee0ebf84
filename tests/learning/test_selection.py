"""Which epoch is kept."""

import pytest

from lesion_transfer.learning.metrics import METRICS
from lesion_transfer.learning.selection import BestEpoch

NAN = float("nan")


def kept(metric: str, rows: list[dict[str, float]]) -> list[int]:
    best = BestEpoch(metric)
    return [
        epoch for epoch, row in enumerate(rows, start=1) if best.offer(epoch, {**dict.fromkeys(METRICS, 0.0), **row})
    ]


def pairs(*values: tuple[float, float]) -> list[dict[str, float]]:
    return [{"auc": auc, "accuracy": accuracy, "balanced_accuracy": accuracy} for auc, accuracy in values]


@pytest.mark.parametrize("metric", ["auc_and_accuracy", "auc_and_balanced_accuracy"])
def test_a_pair_needs_both_at_least_as_good_as_at_the_epoch_kept_before(metric: str) -> None:
    rows = pairs((0.5, 0.5), (0.9, 0.4), (0.4, 0.9), (0.5, 0.6), (0.6, 0.6), (0.6, 0.6), (0.55, 0.9))
    assert kept(metric, rows) == [1, 4, 5, 6]


def test_the_pairs_watch_different_accuracies() -> None:
    rows = [
        {"auc": 0.5, "accuracy": 0.8, "balanced_accuracy": 0.5},
        {"auc": 0.6, "accuracy": 0.7, "balanced_accuracy": 0.6},
    ]
    assert kept("auc_and_accuracy", rows) == [1]
    assert kept("auc_and_balanced_accuracy", rows) == [1, 2]


@pytest.mark.parametrize("metric", ["auc", "accuracy", "precision", "recall", "f1score", "specificity"])
def test_one_metric_alone_decides(metric: str) -> None:
    assert kept(metric, [{metric: value} for value in (0.5, 0.4, 0.6, 0.6)]) == [1, 3, 4]


def test_nan_counts_as_worst() -> None:
    assert kept("auc", [{"auc": value} for value in (NAN, 0.1, NAN, 0.2)]) == [1, 2, 4]
    assert kept("auc_and_accuracy", pairs((NAN, 0.5), (NAN, 0.4), (NAN, 0.6))) == [1, 3]


def test_without_any_score_the_last_epoch_is_kept() -> None:
    assert kept("auc_and_accuracy", pairs((NAN, NAN), (NAN, NAN), (NAN, NAN))) == [1, 2, 3]
