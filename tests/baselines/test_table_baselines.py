"""Baselines without a pixel: against the published table, and on tables whose answer is known."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lesion_transfer.cli import app
from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.evaluation.baselines.assess import OUT_OF_FOLD, assess_all
from lesion_transfer.evaluation.baselines.repeated import repeated_folds
from lesion_transfer.evaluation.baselines.tables import POSITION, image_free_baselines
from lesion_transfer.evaluation.predictions import PredictionsError, checked_predictions


def findings_table(n_patients=60, seed=0, zone_tells=True):
    """Two findings a patient; the zone (or nothing) tells the label apart, position and number are noise."""
    generator = np.random.default_rng(seed)
    n = 2 * n_patients
    labels = generator.random(n) < 0.4
    tell = np.where(generator.random(n) < 0.8, labels, ~labels) if zone_tells else generator.random(n) < 0.5
    patients = [f"P{row // 2:03d}" for row in range(n)]
    return pd.DataFrame(
        {
            "finding_key": [f"{patient}/{row % 2 + 1}/1" for row, patient in enumerate(patients)],
            "patient_id": patients,
            "finding_id": [str(row % 2 + 1) for row in range(n)],
            "label": pd.Series([bool(label) for label in labels], dtype=object),
            "zone": np.where(tell, "PZ", "TZ"),
            **{name: generator.normal(size=n) for name in POSITION},
        }
    )


def assessed(findings, repeats=1, **changes):
    baselines = image_free_baselines(findings.assign(**changes))
    return assess_all(baselines, repeated_folds(findings, repeats, 5, seed=1), "cohort", seed=1, n_draws=200)


def test_a_zone_that_tells_is_found_and_one_that_does_not_scores_one_half():
    tells, _ = assessed(findings_table())
    assert tells["zone"]["cross_validated"]["value"] == pytest.approx(0.8, abs=0.08)
    silent, _ = assessed(findings_table(200, zone_tells=False), repeats=2)
    assert silent["zone"]["cross_validated"]["value"] == pytest.approx(0.5, abs=0.08)
    assert silent["zone"]["cross_validated"]["low"] < 0.5 < silent["zone"]["cross_validated"]["high"]


def test_predictions_are_a_predictions_table_and_no_model_saw_the_patient_that_it_predicts():
    findings = findings_table(zone_tells=False)
    folds = repeated_folds(findings, 2, 5, seed=3)
    # The label is known of a patient's other finding: who trains on it would be right every time.
    leaky = findings.assign(zone=findings["patient_id"])
    _, table = assess_all(image_free_baselines(leaky), folds, "cohort", seed=1, n_draws=100)
    checked = checked_predictions(table[table["baseline"] == "zone"])
    assert set(checked["subset"]) == {OUT_OF_FOLD}
    assert len(checked) == 2 * len(findings)
    merged = folds.merge(table, on=["finding_key", "replicate"], suffixes=("", "_predicted"))
    assert (merged["fold"] == merged["fold_predicted"]).all()
    for _, repeat in folds.groupby("replicate"):
        assert (repeat.groupby("patient_id")["fold"].nunique() == 1).all()
    # Patients as categories are unknown in every other fold: all of a fold get one probability.
    assert (checked.groupby(["replicate", "fold"])["probability"].nunique() == 1).all()


def test_the_test_subset_is_predicted_by_a_model_of_everything_else():
    findings = findings_table()
    split = repeated_folds(findings, 1, 5, seed=0)
    test = split["fold"] == 0
    split.loc[test, "subset"] = "test"
    split.loc[test, "fold"] = pd.NA
    content, table = assess_all(image_free_baselines(findings), split, "cohort", seed=1, n_draws=100)
    rows = table[(table["baseline"] == "zone") & (table["subset"] == "test")]
    assert set(rows["finding_key"]) == set(split["finding_key"][test])
    rest = findings[~test.to_numpy()]
    share = rest.groupby("zone")["label"].mean().astype(float)
    zones = findings.set_index("finding_key")["zone"]
    by_zone = rows.groupby(rows["finding_key"].map(zones))["probability"]
    assert (by_zone.nunique() == 1).all()
    # One binary feature: the penalised fit lies between the class share and each zone's own share of positives.
    assert by_zone.first().to_dict() == pytest.approx(share.to_dict(), abs=0.05)
    assert content["zone"]["test"]["n"] == int(test.sum())
    assert content["zone"]["cross_validated"]["n_folds"] == 4


def test_what_a_cohort_does_not_know_is_said_and_the_leak_is_marked():
    content, table = assessed(findings_table(), zone="")
    assert content["zone"]["reason"] == "no finding has a zone"
    assert content["zone"]["cross_validated"] is None
    assert table.empty
    lacking = findings_table()
    lacking.loc[3, POSITION[1]] = np.nan
    content, _ = assessed(lacking)
    assert content["zone_position"]["reason"] == "1 of 120 findings have no position"
    assert content["zone"]["available"]
    assert [name for name, entry in content.items() if entry["leak"]] == ["zone_position_count_number"]


def test_a_cohort_without_labels_has_no_baseline_and_says_so():
    findings = findings_table(4)
    unknown = findings.assign(label=None, subset="test", fold=pd.NA, replicate=0)
    content, table = assess_all(image_free_baselines(findings), unknown, "cohort", seed=1, n_draws=100)
    assert {entry["reason"] for entry in content.values()} == {"no labelled finding to learn from and to be tested on"}
    assert not any(entry["available"] for entry in content.values())
    assert table.empty


def test_more_folds_than_patients_of_a_class_are_refused():
    with pytest.raises(PredictionsError, match="5 folds need as many patients of each class; there are 1 of one"):
        repeated_folds(findings_table(8).assign(label=[True] + [False] * 15), 1, 5, seed=0)


def test_a_folder_without_the_table_is_a_sentence(tmp_path):
    done = CliRunner().invoke(app, ["baselines", str(tmp_path)])
    assert isinstance(done.exception, DatasetError)
    assert "ProstateX-Findings-Train.csv not found" in str(done.exception)


@pytest.mark.real
def test_the_published_table_gives_the_measured_numbers(real_data):
    """THESIS 8: zone 0.656, with position 0.683 +- 0.009, with number and count 0.758 +- 0.005, pooled over folds."""
    done = CliRunner().invoke(app, ["baselines", str(real_data / "prostatex"), "--json", "--draws", "200"])
    content = json.loads(done.stdout)
    found = {name: entry["cross_validated"]["pooled_auc"] for name, entry in content.items()}
    expected = {"zone": 0.656, "zone_position": 0.683, "zone_position_count_number": 0.758}
    assert found == pytest.approx(expected, abs=0.015)
    counts = content["zone"]["cross_validated"]
    assert (counts["n"], counts["n_positive"], counts["n_patients"], counts["n_folds"]) == (330, 76, 204, 50)
