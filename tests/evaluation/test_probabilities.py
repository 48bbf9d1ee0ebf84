import json

import numpy as np
import pytest

from lesion_transfer.evaluation.compare import compare
from lesion_transfer.evaluation.phases import phases_against
from lesion_transfer.evaluation.probabilities import assess_probabilities, patient_level, subgroup_aucs


def table_of(make_table, seed=0, n=80, signal=1.5, scale=1.0):
    generator = np.random.default_rng(seed)
    labels = np.random.default_rng(99).random(n) < 0.5
    logits = signal * (labels - 0.5) + generator.normal(size=n)
    probabilities = 1 / (1 + np.exp(-scale * logits))
    return make_table([bool(label) for label in labels], probabilities, [f"P{row // 2}" for row in range(n)])


def test_temperature_and_threshold_come_from_validation_alone(make_table):
    test, validation = table_of(make_table, 0, scale=6.0), table_of(make_table, 1, scale=6.0)
    found = assess_probabilities(test, validation, seed=1, n_draws=200)
    shuffled = test.assign(label=list(reversed(test["label"])))
    other = assess_probabilities(shuffled, validation, seed=1, n_draws=200)
    assert (found["temperature"], found["operating_point"]) == (other["temperature"], other["operating_point"])
    assert found["temperature"] > 1
    for name in ("brier", "ece"):
        assert found[f"{name}_calibrated"]["value"] < found[name]["value"]
    assert found["brier"]["low"] <= found["brier"]["value"] <= found["brier"]["high"]
    counts = found["confusion_at_operating_point"]
    recall = counts["true_positive"] / (counts["true_positive"] + counts["false_negative"])
    assert found["at_operating_point"]["recall"]["value"] == pytest.approx(recall)
    json.dumps(found, allow_nan=False)


def test_a_validation_subset_of_one_class_fits_nothing_and_the_rest_stands(make_table):
    found = assess_probabilities(table_of(make_table), make_table([True, True], [0.4, 0.6]), seed=1, n_draws=100)
    assert (found["temperature"], found["operating_point"]) == (None, None)
    assert "brier_calibrated" not in found
    assert sum(found["confusion"][name] for name in found["confusion"] if name != "threshold") == 80


def test_the_calibration_error_has_no_interval_that_could_leave_it_out(make_table):
    generator = np.random.default_rng(0)
    for _ in range(20):
        probabilities = generator.uniform(size=60)
        table = make_table([bool(label) for label in generator.uniform(size=60) < probabilities], probabilities)
        found = assess_probabilities(table, table, 0, 200)
        assert (found["ece"]["low"], found["ece"]["high"]) == (None, None)
        assert "no interval" in found["ece"]["note"]
        assert found["brier"]["low"] <= found["brier"]["value"] <= found["brier"]["high"]


def test_subgroups_and_patients(make_table):
    table = table_of(make_table)
    zones = {key: "PZ" if row % 2 else "TZ" for row, key in enumerate(table["finding_key"])}
    zones[table["finding_key"][0]] = "SV"
    found = subgroup_aucs(table, zones, seed=1, n_draws=100)
    assert set(found) == {"zone PZ", "zone TZ", "zone SV", "patients"}
    assert (found["zone PZ"]["n"], found["zone TZ"]["n"], found["patients"]["n"]) == (40, 39, 40)
    assert found["zone SV"]["value"] is None
    assert "not defined" in found["zone SV"]["note"]


def test_a_patient_is_its_highest_finding_and_positive_with_any(make_table):
    table = make_table([True, False, False, False], [0.2, 0.7, 0.4, 0.1], ["B", "B", "A", "A"])
    found = patient_level(table)
    assert found[["patient_id", "label", "probability"]].values.tolist() == [["A", False, 0.4], ["B", True, 0.7]]


def test_phases_are_tested_against_the_first_and_corrected_together(make_table):
    first = table_of(make_table, 0, n=200, signal=0.5)
    later = {"better": table_of(make_table, 1, n=200, signal=3.0), "same": first}
    found = phases_against(first, later, seed=1, n_draws=500)
    single = compare(first, later["better"], np.random.default_rng(0), n_draws=500)
    assert found["better"]["difference"]["value"] == single["difference"]["auc"]["value"]
    assert found["better"]["p_value_holm"] == pytest.approx(2 * found["better"]["p_value"])
    assert found["better"]["p_value_holm"] < 0.05
    assert (found["same"]["p_value"], found["same"]["p_value_holm"], found["same"]["p_value_delong"]) == (1, 1, 1)
