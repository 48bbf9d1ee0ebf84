"""The sections on what the numbers are worth say what the tables say, and what is not available."""

import numpy as np
import pandas as pd
import pytest

from lesion_transfer.evaluation.compare import compare
from lesion_transfer.evaluation.phases import phases_against
from lesion_transfer.evaluation.probabilities import assess_probabilities, subgroup_aucs
from lesion_transfer.reporting.discrimination import ScoredFindings
from lesion_transfer.reporting.lesion_pictures import LesionPicture
from lesion_transfer.reporting.sections import (
    baselines_section,
    lesions_section,
    other_questions_section,
    probabilities_section,
    subgroups_section,
)

N = 60


def table_of(seed):
    generator = np.random.default_rng(seed)
    labels = np.random.default_rng(9).random(N) < 0.5
    patients = [f"P{row // 2:02d}" for row in range(N)]
    return pd.DataFrame(
        {
            "finding_key": [f"{patient}/{row % 2}/1" for row, patient in enumerate(patients)],
            "patient_id": patients,
            "label": pd.Series([bool(label) for label in labels], dtype=object),
            "probability": 1 / (1 + np.exp(-generator.normal(size=N) - labels)),
        }
    )


@pytest.fixture(scope="module")
def tables():
    return {"before": table_of(0), "after": table_of(1)}


@pytest.fixture(scope="module")
def evaluation(tables):
    content = compare(tables["before"], tables["after"], np.random.default_rng(0), n_draws=100)
    content["before"]["phase"], content["after"]["phase"] = "ds1_full", "ds4_full"
    zones = {key: "PZ" if row % 3 else "AS" for row, key in enumerate(tables["before"]["finding_key"])}
    return content | {
        "enhanced": {**content, "copies": 11},
        "probabilities": {side: assess_probabilities(one, table_of(2), 1, 100) for side, one in tables.items()},
        "subgroups": {side: subgroup_aucs(one, zones, 1, 100) for side, one in tables.items()},
        "phases": phases_against(tables["before"], {"ds4_full": tables["after"]}, 1, 100),
    }


def entry(value, **changes):
    found = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": N, "n_positive": 30, "note": None}
    known = {"available": True, "reason": None, "leak": False, "description": "what it is"}
    return {"test": found, "cross_validated": found, **known, **changes}


@pytest.fixture
def baselines():
    missing = {"available": False, "reason": "no finding has a zone", "test": None, "cross_validated": None}
    return {
        "zone": entry(0.6, **missing),
        "zone_position": entry(0.6, **missing),
        "zone_position_count_number": entry(0.76, leak=True),
        "svm_patch": entry(0.7),
        "intensity": entry(0.65),
        "shortcuts": {"brain": {"image_size": entry(0.9, leak=True, test=None)}},
        "cohort": "prostatex_dwi",
    }


def cells(section):
    return {row[0]: row[1:] for row in section.table}


def test_baselines_stand_beside_the_network_and_absent_ones_say_why(baselines, evaluation):
    section = baselines_section(baselines, evaluation)
    rows = cells(section)
    assert rows["zone"][-1] == "not available: no finding has a zone"
    assert rows["support vectors, 5 mm"][0] == "0.700 (0.600 to 0.800)"
    assert "zone, position, number, count (leak)" in rows
    assert rows["brain: image size"] == ("–", "0.900 (0.800 to 1.000)", "shortcut, what it is")
    auc = evaluation["after"]["auc"]["value"]
    assert f"network, ds4_full {auc:.3f}" in section.pictures[0].alt


def test_probabilities(tables, evaluation):
    scored = {
        side: ScoredFindings(
            table["label"].to_numpy(dtype=bool), table["probability"].to_numpy(), np.ones((20, N), dtype=np.int64)
        )
        for side, table in tables.items()
    }
    section = probabilities_section(evaluation, scored)
    found = evaluation["probabilities"]["after"]
    assert cells(section)["temperature, fitted on validation"][1] == f"{found['temperature']:.3f}"
    assert f"{found['brier']['value']:.3f}" in cells(section)["Brier score"][1]
    assert len(section.pictures) == 3
    counts = found["confusion"]
    assert f"after: {counts['true_positive']} true positive" in section.pictures[2].alt
    again = probabilities_section(evaluation, scored)
    assert [one.data for one in again.pictures] == [one.data for one in section.pictures]
    one_class = {side: ScoredFindings(np.ones(N, bool), one.probabilities, one.draws) for side, one in scored.items()}
    assert len(probabilities_section(evaluation, one_class).pictures) == 2


def test_the_other_questions_are_in_one_table(evaluation):
    rows = cells(other_questions_section(evaluation))
    assert list(rows)[1:] == [
        "after minus before, patients",
        "the same by DeLong, lesions treated as independent",
        "the same, mean of 11 augmented copies of a finding",
        "ds4_full minus ds1_full",
    ]
    assert rows["after minus before, patients"][1] == f"{evaluation['p_value_auc']:.3f}"
    assert rows["ds4_full minus ds1_full"][2] == f"{evaluation['phases']['ds4_full']['p_value_holm']:.3f}"
    without = cells(other_questions_section({**evaluation, "enhanced": None}))
    assert len(without) == len(rows) - 1


def test_subgroups_and_single_lesions(evaluation):
    section = subgroups_section(evaluation)
    assert "zone PZ, after" in section.pictures[0].alt
    lesion = LesionPicture("P1/1/1", True, 0.1234, np.full((9, 9), 100.0), np.zeros((9, 9)))
    shown = lesions_section([lesion], [], "ds4_full")
    assert [picture.alt for picture in shown.pictures] == ["The most confident mistakes: P1/1/1, positive, p 0.12."]
    assert shown.pictures[0].data.startswith(b"\x89PNG")
