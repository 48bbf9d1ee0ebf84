import numpy as np
import pytest

from lesion_transfer.evaluation.metrics import METRICS, score
from lesion_transfer.evaluation.predictions import PredictionsError


def test_closed_forms(make_table, point_metrics):
    # Called positive at 0.5: rows 0, 1, 4. TP 2, FN 1, FP 1, TN 2; 7.5 of 9 pairs are in order (one tie).
    scores = point_metrics(make_table([True, True, True, False, False, False], [0.9, 0.8, 0.3, 0.3, 0.5, 0.1]))
    expected = {
        "auc": 7.5 / 9,
        "accuracy": 4 / 6,
        "balanced_accuracy": 2 / 3,
        "precision": 2 / 3,
        "recall": 2 / 3,
        "f1score": 2 / 3,
        "specificity": 2 / 3,
    }
    assert {name: scores[name].value for name in METRICS} == pytest.approx(expected)


def test_the_thesis_test_set_gives_its_printed_numbers(make_table, point_metrics):
    # Table 6.3, after transfer: 4 positives of 19, recall 0.75, precision 0.429, F1 0.545, specificity 0.733.
    labels = [True] * 4 + [False] * 15
    called = [1, 1, 1, 0] + [1] * 4 + [0] * 11
    scores = point_metrics(make_table(labels, called))
    assert [round(scores[name].value, 3) for name in ("recall", "precision", "f1score", "specificity", "accuracy")] == [
        0.75,
        0.429,
        0.545,
        0.733,
        0.737,
    ]


@pytest.mark.parametrize(
    ("labels", "probabilities", "undefined"),
    [
        ([True, True], [0.9, 0.9], {"auc", "balanced_accuracy", "specificity"}),
        ([False, False], [0.9, 0.9], {"auc", "balanced_accuracy", "recall"}),
        ([False, False], [0.1, 0.1], {"auc", "balanced_accuracy", "recall", "precision", "f1score"}),
        ([True, False], [0.1, 0.1], {"precision"}),
        ([], [], set(METRICS)),
    ],
)
def test_undefined_is_none_with_a_reason(make_table, point_metrics, labels, probabilities, undefined):
    scores = point_metrics(make_table(labels, probabilities))
    assert {name for name, found in scores.items() if found.value is None} == undefined
    assert all(bool(found.reason) == (found.value is None) for found in scores.values())


def test_no_positive_called_is_a_true_zero_for_recall_and_f1(make_table, point_metrics):
    scores = point_metrics(make_table([True, False], [0.1, 0.1]))
    assert (scores["recall"].value, scores["f1score"].value) == (0, 0)


def test_the_threshold_itself_is_called_positive(make_table, point_metrics):
    assert point_metrics(make_table([True, False], [0.3, 0.2]), threshold=0.3)["recall"].value == 1


def test_unlabelled_rows_and_unknown_metrics_are_refused(make_table, point_metrics):
    with pytest.raises(PredictionsError, match="has no label"):
        point_metrics(make_table([True, None], [0.1, 0.2]))
    with pytest.raises(PredictionsError, match="no metric 'kappa'"):
        score("kappa", np.array([True]), np.array([0.5]))
