import numpy as np
import pandas as pd
import pytest

from lesion_transfer.evaluation.enhanced import both_predictions, enhanced, n_copies


def with_copies(table, probabilities):
    """The table and copies 1.. of it; probabilities (n, copies)."""
    copies = [
        table.assign(copy=number + 1, probability=probabilities[:, number]) for number in range(probabilities.shape[1])
    ]
    return pd.concat([table, *copies], ignore_index=True).sample(frac=1, random_state=1).reset_index(drop=True)


def test_a_findings_enhanced_probability_is_the_mean_over_its_copies_and_not_its_plain_one(make_table):
    plain = make_table([True, False, None], [0.9, 0.1, 0.5])
    table = with_copies(plain, np.array([[0.2, 0.4], [0.6, 0.8], [0.0, 1.0]]))
    found = enhanced(table).set_index("finding_key")["probability"]
    assert found[plain["finding_key"]].tolist() == pytest.approx([0.3, 0.7, 0.5])
    assert (enhanced(table)["copy"] == 0).all()
    assert n_copies(table) == 2


def test_replicates_are_kept_apart(make_table):
    table = pd.concat(
        [
            with_copies(make_table([True], [0.5]), np.array([[0.2]])),
            with_copies(make_table([True], [0.5]).assign(replicate=1), np.array([[0.8]])),
        ]
    )
    assert enhanced(table).sort_values("replicate")["probability"].tolist() == [0.2, 0.8]


def test_without_copies_there_are_plain_predictions_only(make_table):
    table = make_table([True, False], [0.9, 0.1])
    assert list(both_predictions(table)) == ["plain"]
    assert enhanced(table).empty
