"""The outer folds of the ledger: everyone is tested once a repeat, and nobody is learnt from where he is tested."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesion_transfer.cohorts.splits import SplitError, assign_outer_folds


def findings(seed: int, n_patients: int = 40) -> pd.DataFrame:
    """One to three findings a patient, some unknown; two patients are joined by a group."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), generator.integers(1, 4, n_patients))
    labels = [[True, False, None][n] for n in generator.choice(3, len(patient), p=[0.4, 0.5, 0.1])]
    return pd.DataFrame(
        {
            "finding_key": [f"P{p:02d}/{n}/1" for n, p in enumerate(patient)],
            "patient_id": [f"P{p:02d}" for p in patient],
            "label": pd.Series(labels, dtype=object),
            "group": ["twins" if p < 2 else "" for p in patient],
            "image_sha256": "",
        }
    )


@given(st.integers(0, 200))
@settings(max_examples=8, deadline=None)
def test_every_unit_is_tested_once_a_repeat_and_never_straddles(seed):
    table = findings(seed)
    outer = assign_outer_folds(table, 2, 4, 0.25, seed)
    joined = outer.merge(table[["finding_key", "group", "label"]], on="finding_key")
    assert len(outer) == len(table) * 2 * 4
    tested = joined[joined["subset"] == "test"]
    assert (tested.groupby(["replicate", "finding_key"]).size() == 1).all()
    assert len(tested) == 2 * len(table)
    for _, cell in joined.groupby(["replicate", "fold"]):
        assert (cell.groupby("patient_id")["subset"].nunique() == 1).all()
        assert cell.loc[cell["group"] == "twins", "subset"].nunique() == 1
        for subset in ("train", "validation"):
            assert {True, False} <= set(cell.loc[cell["subset"] == subset, "label"].dropna())


def test_repeats_differ_and_do_not_depend_on_how_many_there_are():
    table = findings(1)
    three, one = (assign_outer_folds(table, repeats, 5, 0.2, 7) for repeats in (3, 1))
    pd.testing.assert_frame_equal(three[three["replicate"] == 0].reset_index(drop=True), one)
    tested = three[three["subset"] == "test"].pivot(index="finding_key", columns="replicate", values="fold")
    assert (tested[0] != tested[1]).any()
    assert (tested[1] != tested[2]).any()


def test_the_order_of_rows_changes_no_assignment():
    table = findings(2)
    keys = ["replicate", "fold", "finding_key"]
    one, other = (assign_outer_folds(t, 1, 5, 0.2, 7).sort_values(keys) for t in (table, table.iloc[::-1]))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


def test_too_few_patients_of_a_class_is_a_sentence():
    table = findings(3)
    table["label"] = pd.Series([n == 0 for n in range(len(table))], dtype=object)
    with pytest.raises(SplitError, match="use more data"):
        assign_outer_folds(table, 1, 5, 0.2, 7)
