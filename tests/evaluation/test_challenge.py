"""The challenge's file: every published finding once, the prior where there is no image, nothing else."""

import pandas as pd
import pytest

from lesion_transfer.evaluation.challenge import ChallengeError, submission

PUBLISHED = pd.DataFrame(
    {
        "finding_key": ["P2/1/1", "P1/1/1", "P1/2/1"],
        "patient_id": ["P2", "P1", "P1"],
        "finding_id": ["1", "1", "2"],
    }
)


def test_every_published_finding_stands_once_in_the_published_order() -> None:
    table = submission(PUBLISHED, {"P1/1/1": 0.25, "P2/1/1": 1.0}, prior=0.23)
    assert list(table.columns) == ["ProxID", "fid", "ClinSig"]
    assert table.to_numpy().tolist() == [["P2", "1", 1.0], ["P1", "1", 0.25], ["P1", "2", 0.23]]


@pytest.mark.parametrize("probability", [-0.01, 1.01, float("nan")])
def test_a_probability_is_between_0_and_1(probability: float) -> None:
    with pytest.raises(ChallengeError, match="P1/1/1: a probability"):
        submission(PUBLISHED, {"P1/1/1": probability}, prior=0.23)


def test_a_finding_that_was_not_published_is_refused() -> None:
    with pytest.raises(ChallengeError, match="P9/1/1 has a prediction but"):
        submission(PUBLISHED, {"P9/1/1": 0.5}, prior=0.23)


def test_two_findings_that_the_challenge_cannot_tell_apart_are_refused() -> None:
    twice = pd.concat([PUBLISHED, pd.DataFrame([["P1/2/2", "P1", "2"]], columns=PUBLISHED.columns)])
    with pytest.raises(ChallengeError, match="P1/2 more than once"):
        submission(twice.reset_index(drop=True), {}, prior=0.23)
