import pandas as pd
import pytest

from lesion_transfer.evaluation.predictions import (
    COLUMNS,
    PredictionsError,
    by_model,
    checked_predictions,
    labelled,
    read_predictions,
    select,
)
from lesion_transfer.files import write_csv

HEADER = ",".join(COLUMNS)


def write(tmp_path, *rows):
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join((HEADER, *rows)) + "\n", encoding="utf-8")
    return path


def test_types_of_a_read_table(tmp_path):
    path = write(
        tmp_path,
        "lung,0012/01/1,0012,01,True,test,,0,0,0.1",
        "lung,0012/NA/1,0012,NA,False,train,3,0,0,1",
        "lung,7/1/1,7,1,,train,0,1,2,0",
    )
    table = read_predictions(path)
    assert table["patient_id"].tolist() == ["0012", "0012", "7"]
    assert table["finding_id"].tolist() == ["01", "NA", "1"]
    assert table["label"].tolist() == [True, False, None]
    assert table["fold"].isna().tolist() == [True, False, False]
    assert table["fold"][1] == 3
    assert table["replicate"].tolist() == [0, 0, 1]
    assert table["copy"].tolist() == [0, 0, 2]
    assert table["probability"].tolist() == [0.1, 1.0, 0.0]


def test_written_and_read_again_is_the_same(tmp_path, make_table):
    table = make_table([True, False, None], [0.1, 1 / 3, 5e-324])
    write_csv(tmp_path / "predictions.csv", table)
    pd.testing.assert_frame_equal(
        read_predictions(tmp_path / "predictions.csv"), checked_predictions(table), check_dtype=False
    )


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text("finding_key,label\na,True\n")
    with pytest.raises(PredictionsError, match=r"has no column cohort, patient_id, .*probability"):
        read_predictions(path)


def test_what_is_no_predictions_table_at_all_is_said_as_such(tmp_path):
    (tmp_path / "findings.csv").write_text("ProxID,fid\na,1\n")
    with pytest.raises(PredictionsError, match=r"findings\.csv is no predictions table, whose columns are cohort, "):
        read_predictions(tmp_path / "findings.csv")
    with pytest.raises(PredictionsError, match=r"is a folder: name a table, as .*predictions\.csv"):
        read_predictions(tmp_path)


@pytest.mark.parametrize("probability", ["nan", "", "1.2", "-0.1", "inf", "high"])
def test_a_probability_outside_0_to_1_is_named_with_its_line(tmp_path, probability):
    path = write(tmp_path, "lung,a,p,1,True,test,,0,0,0.5", f"lung,b,p,1,True,test,,0,0,{probability}")
    with pytest.raises(PredictionsError, match="line 3: probability"):
        read_predictions(path)


def test_a_repeated_finding_is_named(tmp_path):
    row = "lung,a/1/1,a,1,True,test,,0,0,0.5"
    with pytest.raises(PredictionsError, match="line 3: finding a/1/1 stands twice under replicate 0, copy 0"):
        read_predictions(write(tmp_path, row, row))


def test_baselines_of_one_table_are_models_of_their_own(tmp_path):
    """reports/baselines.csv: a finding stands there once a baseline and cohort."""
    rows = [f"{cohort},a/1/1,a,1,True,test,,0,0,0.5,{name}" for cohort in ("t2", "dwi") for name in ("zone", "border")]
    path = tmp_path / "baselines.csv"
    path.write_text("\n".join((f"{HEADER},baseline", *rows)) + "\n", encoding="utf-8")
    models = list(by_model(read_predictions(path)))
    expected = [("border", "dwi"), ("border", "t2"), ("zone", "dwi"), ("zone", "t2")]
    assert [(model.baseline, model.cohort) for model in models] == expected
    assert all(len(model.rows) == 1 for model in models)
    path.write_text("\n".join((f"{HEADER},baseline", rows[0], rows[0])) + "\n", encoding="utf-8")
    with pytest.raises(PredictionsError, match="stands twice"):
        read_predictions(path)


def test_the_same_finding_in_another_replicate_or_copy_is_no_repetition(tmp_path):
    rows = [f"lung,a/1/1,a,1,True,test,,{replicate},{copy},0.5" for replicate in (0, 1) for copy in (0, 1)]
    assert len(read_predictions(write(tmp_path, *rows))) == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("lung,a,p,1,yes,test,,0,0,0.5", "label 'yes' is neither"),
        ("lung,a,p,1,True,test,x,0,0,0.5", "fold 'x' is not a whole number"),
        ("lung,a,p,1,True,test,,-1,0,0.5", "replicate '-1' is not a whole number"),
        ("lung,a,p,1,True,test,,0,0.5,0.5", "copy '0.5' is not a whole number"),
        ("lung,a,p,1,True,test,,0,inf,0.5", "copy 'inf' is not a whole number"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path, row, message):
    with pytest.raises(PredictionsError, match=message):
        read_predictions(write(tmp_path, row))


def test_no_file_and_an_empty_file_are_sentences(tmp_path):
    with pytest.raises(PredictionsError, match="There is no predictions table"):
        read_predictions(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(PredictionsError, match="is not a CSV table"):
        read_predictions(tmp_path / "empty.csv")


def test_select_by_subset_replicate_and_copy(tmp_path):
    rows = [
        f"lung,{subset}/1/1,{subset},1,True,{subset},,{replicate},{copy},0.5"
        for subset in ("train", "test")
        for replicate in (0, 1)
        for copy in (0, 1)
    ]
    table = read_predictions(write(tmp_path, *rows))
    chosen = select(table, subset="test", replicate=1)
    assert chosen[["subset", "replicate", "copy"]].values.tolist() == [["test", 1, 0]]
    assert len(select(table, copy=None)) == 8
    with pytest.raises(PredictionsError, match=r"subset validation, replicate any, copy 0; .*subset: test, train"):
        select(table, subset="validation")


def test_labelled_keeps_known_labels(make_table):
    assert labelled(make_table([True, None, False], [0, 0, 0]))["label"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("rows", "words"), [([], "has no row"), (["lung,7/1/1,7,1,,tset,0,1,2,0"], "there is no subset 'tset'")]
)
def test_a_table_that_says_nothing_or_misspells_a_subset_is_refused(tmp_path, rows, words):
    with pytest.raises(PredictionsError, match=words):
        read_predictions(write(tmp_path, *rows))
