import json

import numpy as np
import pytest

from lesion_transfer.evaluation.compare import CANNOT_BE_TOLD, HARMED, HELPED, compare, conclusion, verdict
from lesion_transfer.evaluation.metrics import METRICS
from lesion_transfer.evaluation.predictions import PredictionsError


def tables(make_table, gain, n=400):
    """Before with an AUC of about 0.64; after with `gain` standard deviations more between the classes."""
    generator = np.random.default_rng(0)
    labels = generator.random(n) < 0.3
    noise = generator.normal(size=n)
    patients = [f"P-{row // 2:03d}" for row in range(n)]
    return [
        make_table(labels.tolist(), 1 / (1 + np.exp(-(noise + (0.5 + more) * labels))), patients) for more in (0, gain)
    ]


def test_content_of_evaluation_json(make_table, point_metrics):
    before, after = tables(make_table, 0.5)
    content = json.loads(json.dumps(compare(before, after, np.random.default_rng(0), n_draws=200), allow_nan=False))
    for side, table in (("before", before), ("after", after)):
        assert set(content[side]) == set(METRICS)
        for name, point in point_metrics(table).items():
            assert content[side][name]["value"] == pytest.approx(point.value)
            assert content[side][name]["low"] <= point.value <= content[side][name]["high"]
    for name in METRICS:
        found = content["difference"][name]
        assert found["value"] == pytest.approx(content["after"][name]["value"] - content["before"][name]["value"])
        assert {"value", "low", "high", "n", "n_positive", "n_patients"} <= set(found)
    assert content["difference"]["auc"]["n"] == 400
    assert content["difference"]["auc"]["n_patients"] == 200
    assert content["verdict"].endswith("the ledger and its control arms tell.")
    assert content["verdict"].startswith("Transfer helped: the AUC changed by +0.")


def test_same_generator_same_content(make_table):
    before, after = tables(make_table, 0.5)
    one, other = (compare(before, after, np.random.default_rng(3), n_draws=50) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(("gain", "expected"), [(0.6, HELPED), (-0.6, HARMED), (0, CANNOT_BE_TOLD)])
def test_the_verdict_follows_the_interval(make_table, gain, expected):
    before, after = tables(make_table, gain)
    content = compare(before, after, np.random.default_rng(0), n_draws=300)
    assert conclusion(content["difference"]["auc"]) == expected
    assert expected in content["verdict"]
    assert "400 findings" in content["verdict"]


def test_unlabelled_findings_are_left_out_and_counted(make_table):
    before, after = (make_table([True, False, None], [0.9, 0.1, 0.5]) for _ in range(2))
    content = compare(before, after, np.random.default_rng(0), n_draws=20)
    assert content["n_unlabelled"] == 1
    assert content["before"]["auc"]["n"] == 2
    with pytest.raises(PredictionsError, match="No finding has a label"):
        compare(before[2:], after[2:], np.random.default_rng(0))


def test_one_class_only_cannot_be_told(make_table):
    before, after = (make_table([False, False], [0.9, 0.1]) for _ in range(2))
    content = compare(before, after, np.random.default_rng(0), n_draws=20)
    assert content["difference"]["auc"]["value"] is None
    assert content["verdict"] == (
        "Whether transfer helped cannot be told with these data: the AUC is not defined on both sides "
        "(2 findings, 0 positive, 2 patients; note: not defined: no finding is positive)."
    )


@pytest.mark.parametrize(("n_positive", "n_negative"), [(9, 30), (30, 9), (10, 10)])
def test_fewer_than_ten_findings_of_either_class_cannot_be_told(n_positive, n_negative):
    counts = {"n": n_positive + n_negative, "n_positive": n_positive}
    enough = min(n_positive, n_negative) >= 10
    assert conclusion(counts | {"low": 0.1, "high": 0.3}) == (HELPED if enough else CANNOT_BE_TOLD)
    assert conclusion(counts | {"low": -0.3, "high": -0.1}) == (HARMED if enough else CANNOT_BE_TOLD)


def test_the_sentence_carries_the_numbers_and_the_note():
    found = {"value": 0.084, "low": -0.201, "high": 0.377, "n": 19, "n_positive": 4, "n_patients": 18}
    assert verdict(found | {"note": "too few positives (4 < 10)"}) == (
        "Whether transfer helped cannot be told with these data: the AUC changed by +0.084 (95% interval -0.201 to "
        "+0.377; 19 findings, 4 positive, 18 patients; note: too few positives (4 < 10))."
    )
