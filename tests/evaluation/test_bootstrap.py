import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lesion_transfer.evaluation.bootstrap import (
    Estimate,
    estimates,
    paired,
    paired_p_value,
    patient_draws,
)
from lesion_transfer.evaluation.metrics import METRICS
from lesion_transfer.evaluation.predictions import PredictionsError


def noisy_table(make_table, seed, n_patients=30, findings=3, signal=1.0):
    """A table whose probabilities separate the classes by `signal` standard deviations."""
    generator = np.random.default_rng(seed)
    patients = [f"P-{patient:03d}" for patient in range(n_patients) for _ in range(findings)]
    labels = generator.random(len(patients)) < 0.4
    logits = generator.normal(size=len(patients)) + signal * labels
    return make_table([bool(label) for label in labels], np.round(1 / (1 + np.exp(-logits)), 2), patients)


def test_equals_a_loop_over_resampled_tables(make_table, point_metrics):
    table = noisy_table(make_table, 3)
    draws = patient_draws(table["patient_id"].to_numpy(), np.random.default_rng(5), 60)
    found = estimates(table, draws, 0.5)
    values = {name: [] for name in METRICS}
    for draw in draws:
        resampled = table.loc[np.repeat(np.arange(len(table)), draw)]
        for name, point in point_metrics(resampled).items():
            values[name].append(np.nan if point.value is None else point.value)
    for name in METRICS:
        low, high = np.nanquantile(values[name], [0.025, 0.975])
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-12), name
        assert found[name].value == pytest.approx(point_metrics(table)[name].value)
        assert found[name].n_undefined == np.isnan(values[name]).sum()


def test_a_draw_takes_as_many_patients_with_all_their_findings():
    patients = np.array(["b", "a", "b", "c", "a", "b"])
    draws = patient_draws(patients, np.random.default_rng(0), 500)
    assert draws.shape == (500, 6)
    first_of_each = draws[:, [1, 0, 3]]
    assert (first_of_each.sum(axis=1) == 3).all()
    assert (draws[:, patients == "b"] == draws[:, [0]]).all()
    assert first_of_each.mean() == pytest.approx(1, abs=0.1)


def test_the_order_of_rows_does_not_matter(make_table):
    table = noisy_table(make_table, 4)
    shuffled = table.sample(frac=1, random_state=0)
    one, other = (
        estimates(some, patient_draws(some["patient_id"].to_numpy(), np.random.default_rng(1), 200))["auc"]
        for some in (table, shuffled)
    )
    assert one.to_dict() == pytest.approx(other.to_dict())


def test_patients_widen_the_interval_when_their_findings_score_alike(make_table):
    generator = np.random.default_rng(2)
    labels = np.repeat(generator.random(40) < 0.4, 8)
    probabilities = np.repeat(np.clip(generator.normal(0.4 + 0.2 * labels[::8], 0.2), 0, 1), 8)
    patients = [f"P-{row // 8:03d}" for row in range(320)]
    clustered = make_table(labels.tolist(), probabilities, patients)
    naive = clustered.assign(patient_id=clustered["finding_key"])
    widths = []
    for table in (clustered, naive):
        draws = patient_draws(table["patient_id"].to_numpy(), np.random.default_rng(0), 1000)
        found = estimates(table, draws, names=["auc"])["auc"]
        widths.append(found.high - found.low)
    # Eight equal findings carry the evidence of one: the standard error is sqrt(8) = 2.8 times as large.
    assert 2 < widths[0] / widths[1] < 4


def test_noise_contains_one_half_in_about_95_percent(make_table):
    inside = 0
    for seed in range(150):
        table = noisy_table(make_table, seed, n_patients=60, findings=2, signal=0)
        draws = patient_draws(table["patient_id"].to_numpy(), np.random.default_rng(seed), 300)
        found = estimates(table, draws, names=["auc"])["auc"]
        inside += found.low <= 0.5 <= found.high
    assert 0.89 <= inside / 150 <= 0.99


def test_few_findings_of_a_class_are_noted_and_the_interval_still_given(make_table):
    table = make_table([True] * 4 + [False] * 15, np.linspace(0.9, 0.1, 19)[::-1])
    draws = patient_draws(table["patient_id"].to_numpy(), np.random.default_rng(0), 300)
    found = estimates(table, draws)["recall"]
    assert found.note is not None
    assert "too few positives (4 < 10)" in found.note
    assert found.low is not None
    assert (found.n, found.n_positive, found.n_patients) == (19, 4, 19)


def test_draws_without_a_positive_are_dropped_and_counted(make_table):
    table = make_table([True] + [False] * 9, [0.4] + [0.5] * 4 + [0.1] * 5)
    draws = patient_draws(table["patient_id"].to_numpy(), np.random.default_rng(0), 1000)
    found = estimates(table, draws)["auc"]
    assert found.n_undefined == (draws[:, 0] == 0).sum() > 200
    assert found.low is not None


def test_undefined_metrics_are_null_in_json(make_table):
    table = make_table([True, True, True], [0.9, 0.8, 0.2])
    draws = patient_draws(table["patient_id"].to_numpy(), np.random.default_rng(0), 10)
    found = estimates(table, draws)["auc"]
    assert found == Estimate(None, None, None, 3, 3, 3, 10, "not defined: no finding is negative")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["value"] is None


def test_one_patient_has_no_interval_and_a_value_at_its_limit_is_no_certainty(make_table):
    one = make_table([True, False], [0.9, 0.1], ["P", "P"])
    found = estimates(one, patient_draws(one["patient_id"].to_numpy(), np.random.default_rng(0), 10))["auc"]
    assert (found.value, found.low) == (1.0, None)
    assert "one patient cannot be resampled" in str(found.note)
    perfect = make_table([True] * 12 + [False] * 12, [0.9] * 12 + [0.1] * 12)
    found = estimates(perfect, patient_draws(perfect["patient_id"].to_numpy(), np.random.default_rng(0), 50))["auc"]
    assert (found.low, found.high) == (1, 1)
    assert found.note == "does not vary under resampling, which does not make it certain"


def test_paired_difference_uses_the_same_patients_on_both_sides(make_table, paired_difference):
    before = noisy_table(make_table, 6)
    after = noisy_table(make_table, 7).assign(label=before["label"])
    found = paired_difference(before, after.sample(frac=1, random_state=1), np.random.default_rng(9), n_draws=40)
    draws = patient_draws(before["patient_id"].to_numpy(), np.random.default_rng(9), 40)
    values = []
    for draw in draws:
        rows = np.repeat(np.arange(len(before)), draw)
        aucs = [
            roc_auc_score(table["label"][rows].astype(bool), table["probability"][rows]) for table in (before, after)
        ]
        values.append(aucs[1] - aucs[0])
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)


def test_paired_is_narrower_than_the_two_intervals_suggest(make_table, paired_difference):
    before = noisy_table(make_table, 8)
    after = before.assign(probability=(before["probability"] + 0.01 * before["label"].astype(float)).clip(0, 1))
    difference = paired_difference(before, after, np.random.default_rng(0), n_draws=300)
    draws = patient_draws(before["patient_id"].to_numpy(), np.random.default_rng(0), 300)
    alone = estimates(before, draws, names=["auc"])["auc"]
    assert difference.high - difference.low < (alone.high - alone.low) / 3


@pytest.mark.parametrize("n_draws", [20, 99])
def test_the_smallest_p_is_two_of_all_draws_and_the_data_and_never_zero(make_table, n_draws):
    labels = [True] * 12 + [False] * 12
    worst, best = make_table(labels, [0.1] * 12 + [0.9] * 12), make_table(labels, [0.9] * 12 + [0.1] * 12)
    draws = patient_draws(worst["patient_id"].to_numpy(), np.random.default_rng(0), n_draws)
    for before, after in ((worst, best), (best, worst)):
        assert paired_p_value(before, after, draws) == pytest.approx(2 / (n_draws + 1))
    assert paired_p_value(best, best, draws) == 1


def test_tables_that_do_not_match_are_refused(make_table):
    before = noisy_table(make_table, 1)
    with pytest.raises(PredictionsError, match=r"same findings: 2 \(P-000/0/1, P-000/1/1\) only before, 0 only after"):
        paired(before, before.iloc[2:])
    flipped = before.assign(label=[not label for label in before["label"]])
    with pytest.raises(PredictionsError, match=r"disagree about the label of finding P-000/0/1 \(90 such findings\)"):
        paired(before, flipped)
    with pytest.raises(PredictionsError, match="has several rows; select one replicate"):
        paired(pd.concat([before, before.assign(replicate=1)]), before)
    with pytest.raises(PredictionsError, match="no labelled finding"):
        patient_draws([], np.random.default_rng(0), 5)
