import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lesion_transfer.cli import app
from lesion_transfer.evaluation.bootstrap import estimates, patient_draws
from lesion_transfer.evaluation.compare import compare
from lesion_transfer.evaluation.predictions import PredictionsError
from lesion_transfer.files import write_csv
from lesion_transfer.randomness import named_generator
from lesion_transfer.stages.layout import StageError
from lesion_transfer.stages.metrics import metric_figures


def predictions(make_table, seed, noise=1.0, copies=2):
    """40 patients with two findings: 20 patients to test, 20 to validate, plain and augmented."""
    generator = np.random.default_rng(seed)
    labels = np.random.default_rng(99).random(80) < 0.5
    logits = labels + noise * generator.normal(size=(copies + 1, 80))
    table = make_table([bool(label) for label in labels], [0] * 80, [f"P{row // 2}" for row in range(80)])
    table["subset"] = ["test"] * 40 + ["validation"] * 40
    return pd.concat(
        [table.assign(copy=copy, probability=1 / (1 + np.exp(-row))) for copy, row in enumerate(logits)],
        ignore_index=True,
    )


def run(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def shown(*arguments):
    """What a terminal shows, whatever its width."""
    return " ".join(run(*arguments).split())


def test_metrics_of_every_subset_plain_and_enhanced_beside_each_other(tmp_path, make_table):
    write_csv(tmp_path / "predictions.csv", predictions(make_table, 1))
    found = json.loads(run("metrics", tmp_path / "predictions.csv", "--json", "--draws", 200))
    assert [(entry["subset"], entry["prediction"], entry["copies"]) for entry in found] == [
        ("test", "plain", 0),
        ("test", "enhanced", 2),
        ("validation", "plain", 0),
        ("validation", "enhanced", 2),
    ]
    auc = found[0]["metrics"]["auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert found[0]["independent"]["auc"]["value"] == pytest.approx(auc["value"])
    assert found[1]["metrics"]["auc"]["value"] != auc["value"]
    text = shown("metrics", tmp_path / "predictions.csv", "--draws", 200)
    for words in ("mean of 2 augmented copies", "validation (selected on)", "lesions treated", f"{auc['value']:.3f}"):
        assert words in text


def test_pictures_stay_in_their_folder_whatever_names_a_table_has(tmp_path, make_table):
    table = make_table([False, True] * 8, [0.1, 0.9] * 8, [f"P{row}" for row in range(16)])
    write_csv(tmp_path / "own.csv", table.assign(subset="test", cohort="../../outside/x"))
    drawn = list(metric_figures(tmp_path / "own.csv", tmp_path / "in" / "figures", 0.5, 1))
    assert drawn
    assert {path.resolve().parent for path in drawn} == {(tmp_path / "in" / "figures").resolve()}


def test_scores_of_different_models_are_never_ranked_together(tmp_path, make_table):
    """A table of the ledger: two outer folds, each read perfectly by a model of its own, on scales that do not meet."""
    table = make_table([False, True] * 8, [0.1, 0.2] * 4 + [0.8, 0.9] * 4, [f"P{row}" for row in range(16)])
    table = table.assign(subset="test", fold=[0] * 8 + [1] * 8)
    write_csv(tmp_path / "ledger.csv", table)
    found = json.loads(run("metrics", tmp_path / "ledger.csv", "--json", "--draws", 200))
    assert [(entry["fold"], entry["metrics"]["auc"]["value"]) for entry in found] == [(0, 1.0), (1, 1.0)]
    assert "replicate 0, fold 1" in shown("metrics", tmp_path / "ledger.csv", "--draws", 200)
    with pytest.raises(StageError, match="several models, one a fold"):
        run("compare", tmp_path / "ledger.csv", tmp_path / "ledger.csv")
    # an inner fold of training rows is no other model
    write_csv(tmp_path / "trained.csv", table.assign(subset="train"))
    (entry,) = json.loads(run("metrics", tmp_path / "trained.csv", "--json", "--draws", 200))
    assert entry["fold"] is None


def test_metrics_of_findings_without_labels_is_said(tmp_path, make_table):
    write_csv(tmp_path / "predictions.csv", make_table([None, None], [0.2, 0.7]))
    assert "no finding has a label (2 findings)" in shown("metrics", tmp_path / "predictions.csv")


def test_compare_equals_what_the_stage_evaluate_computes_of_the_same_seed(tmp_path, make_table):
    tables = {name: predictions(make_table, seed) for name, seed in (("before", 1), ("after", 2))}
    for name, table in tables.items():
        write_csv(tmp_path / f"{name}.csv", table)
    found = json.loads(
        run("compare", tmp_path / "before.csv", tmp_path / "after.csv", "--json", "--draws", 300, "--seed", 7)
    )
    test_rows = {name: table[(table["subset"] == "test") & (table["copy"] == 0)] for name, table in tables.items()}
    expected = compare(**test_rows, generator=named_generator(7, "evaluate", "bootstrap"), n_draws=300)
    assert found["plain"]["difference"] == json.loads(json.dumps(expected["difference"]))
    assert found["enhanced"]["difference"]["auc"] != found["plain"]["difference"]["auc"]
    text = shown("compare", tmp_path / "before.csv", tmp_path / "after.csv", "--draws", 300)
    for words in ("paired DeLong, lesions treated as independent", "paired bootstrap of patients: p = "):
        assert words in text


def test_the_p_value_agrees_with_the_interval(make_table, paired_difference):
    """p < 0.05 exactly where the 95 % interval leaves out 0, but for the draw that the data count as."""
    for seed in range(6):
        before, after = (predictions(make_table, 2 * seed + side, noise) for side, noise in ((0, 2.0), (1, 1.2)))
        before, after = (table[table["copy"] == 0] for table in (before, after))
        found = compare(before, after, np.random.default_rng(seed), n_draws=499)
        low, high = (found["difference"]["auc"][bound] for bound in ("low", "high"))
        if min(abs(low), abs(high)) > 0.01:
            assert (found["p_value_auc"] < 0.05) == (low > 0 or high < 0), seed
        single = paired_difference(before, after, np.random.default_rng(seed), n_draws=499)
        assert (single.low, single.high) == (low, high)


def test_copies_of_other_findings_do_not_hide_the_plain_predictions(tmp_path, make_table, caplog):
    before, after = (predictions(make_table, seed) for seed in (1, 2))
    write_csv(tmp_path / "before.csv", before)
    write_csv(tmp_path / "after.csv", after[(after["copy"] == 0) | (after["patient_id"] != after["patient_id"][0])])
    asked = ("compare", tmp_path / "before.csv", tmp_path / "after.csv", "--subset", before["subset"][0], "--json")
    found = json.loads(run(*asked, "--draws", 200))
    assert set(found) == {"plain"}
    assert "augmented copies of different findings" in caplog.text


def test_draws_in_which_a_metric_is_not_defined_are_told(make_table):
    """One positive call, of one patient: about a third of the draws leave it out."""
    table = make_table([True] * 12 + [False] * 12, [0.9] + [0.1] * 23)
    draws = patient_draws(table["patient_id"].to_numpy(), np.random.default_rng(0), 500)
    found = estimates(table, draws, names=["precision", "accuracy"])
    assert found["precision"].n_undefined > 100
    assert f"not defined in {found['precision'].n_undefined} of 500 draws" in found["precision"].note
    assert found["accuracy"].note is None


def test_two_tables_of_other_findings_are_refused(tmp_path, make_table):
    write_csv(tmp_path / "one.csv", make_table([True, False], [0.2, 0.4]))
    write_csv(tmp_path / "other.csv", make_table([True, False], [0.2, 0.4], ["Q", "R"]))
    with pytest.raises(PredictionsError, match="do not cover the same findings: 2 "):
        run("compare", tmp_path / "one.csv", tmp_path / "other.csv")


@pytest.mark.parametrize("unlabelled", ["before", "after"])
def test_findings_with_a_label_in_one_table_alone_are_told(tmp_path, make_table, unlabelled):
    labels = {"before": [True, False, True], "after": [True, False, True]} | {unlabelled: [None, False, None]}
    for name, column in labels.items():
        write_csv(tmp_path / f"{name}.csv", make_table(column, [0.2, 0.4, 0.6]))
    with pytest.raises(PredictionsError, match=rf"2 \(P-0000/0/1, P-0002/2/1\) of both have no label {unlabelled};"):
        run("compare", tmp_path / "before.csv", tmp_path / "after.csv")
