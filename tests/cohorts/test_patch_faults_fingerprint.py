"""Patches that show nothing are named, and a cohort's fingerprint counts what it is made of."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.cohorts.fingerprint import fingerprint
from lesion_transfer.cohorts.patch_faults import PatchFault, faults_in_words, patch_faults


def test_nan_black_and_constant_patches_are_named_by_finding_and_channel():
    patches = np.random.default_rng(0).uniform(0, 255, (5, 2, 9, 9)).astype(np.float32)
    patches[1, 0, 3, 3] = np.nan
    patches[2, 1] = 0.5
    patches[3, 0] = 128
    patches[4, 0] = 0
    patches[4, 0, 4, 4] = 200  # one bright pixel is something to see
    keys = [f"P{n}/1/1" for n in range(5)]
    assert patch_faults(patches, keys, ["t2", "adc"]) == [
        PatchFault("P1/1/1", "t2", "nan"),
        PatchFault("P2/1/1", "adc", "black"),
        PatchFault("P3/1/1", "t2", "constant"),
    ]


def test_faults_are_counted_by_kind_and_the_first_findings_named():
    faults = [PatchFault(f"P{n}/1/1", channel, "black") for n in range(4) for channel in ("t2", "adc")]
    said = faults_in_words([*faults, PatchFault("Q/1/1", "t2", "nan")])
    assert said == "nan 1 (Q/1/1), black 8 (P0/1/1, P1/1/1, P2/1/1, ...)"


@pytest.fixture
def made(write_cohort):
    """Four findings of two patients, one channel; and what an examination says of its slices."""
    images = np.random.default_rng(1).integers(0, 256, (4, 1, 11, 11)).astype(np.float32)
    findings = {
        "finding_key": ["A/1/1", "A/2/1", "A/3/1", "B/1/1"],
        "patient_id": ["A", "A", "A", "B"],
        "label": ["True", "False", "", "False"],
        "zone": ["PZ", "PZ", "TZ", ""],
        "group": ["", "", "", "g1"],
        "t2_spacing_row_mm": [0.5, 0.5, 0.625, ""],
        "t2_spacing_column_mm": [0.5, 0.5, 0.625, ""],
        "t2_distance_mm": [0.0, 1.5, 0.25, ""],
        "t2_padded_share": [0.0, 0.0, 0.0, 0.125],
    }
    cohort = load_cohort(write_cohort(images, findings))
    table = pd.DataFrame(
        {"channel": "t2", "size_px": ["384 x 380"] * 3 + ["64 x 512"], "kind": ["MR SE"] * 3 + ["jpg"]}
    )
    return cohort, table


def test_of_a_cohort_with_an_image_a_sequence_findings_are_counted_once(made):
    cohort, table = made
    twice = replace(
        cohort,
        images=np.concatenate([cohort.images] * 2),
        findings=pd.concat([cohort.findings] * 2, ignore_index=True),
    )
    one, two = (fingerprint(each, pd.DataFrame({"reason": []}), table) for each in (cohort, twice))
    assert two["n_images"] == 8
    for name in ("n_findings", "findings_per_patient", "labels", "zones", "n_in_groups_of_duplicates"):
        assert two[name] == one[name]


def test_the_fingerprint_counts_what_is_there(made):
    cohort, table = made
    excluded = pd.DataFrame({"reason": ["not_in_source", "missing_series", "not_in_source"]})
    found = fingerprint(cohort, excluded, table)
    assert (found["n_images"], found["n_findings"], found["n_patients"]) == (4, 4, 2)
    assert found["findings_per_patient"] == {"1": 1, "3": 1}
    assert found["labels"] == {"negative": 2, "positive": 1, "unknown": 1}
    assert found["zones"] == {"PZ": 2, "TZ": 1, "not given": 1}
    assert list(found["excluded"].items()) == [("not_in_source", 2), ("missing_series", 1)]
    assert found["concerns"] == {}
    assert found["n_in_groups_of_duplicates"] == 1
    channel = found["channels"]["t2"]
    assert channel["series_kinds"] == {"MR SE": 3, "jpg": 1}
    assert channel["size_px"] == {
        "n_kinds": 2,
        "rows": [64, 384],
        "columns": [380, 512],
        "most_frequent": {"384 x 380": 3, "64 x 512": 1},
    }
    assert channel["spacing_mm"] == {"0.5 x 0.5": 2, "0.625 x 0.625": 1, "unknown": 1}
    assert channel["distance_mm"] == {"n": 3, "median": 0.25, "max": 1.5}
    assert (channel["n_padded"], channel["padded_share_max"]) == (1, 0.125)


def test_findings_that_look_wrong_are_named(made):
    cohort, table = made
    keys = list(cohort.findings["finding_key"])
    cohort.findings["concern"] = ["", "air_at_centre", "", "air_at_centre"]
    found = fingerprint(cohort, pd.DataFrame({"reason": []}), table)
    assert found["concerns"] == {"air_at_centre": [keys[1], keys[3]]}


def test_intensity_is_that_of_the_final_patches(made):
    cohort, table = made
    tone = fingerprint(cohort, pd.DataFrame({"reason": []}), table)["channels"]["t2"]["intensity"]
    pixels = cohort.patches[:, 0].astype(float)
    assert tone["mean"] == pytest.approx(pixels.mean(), abs=0.01)
    assert tone["std"] == pytest.approx(pixels.std(), abs=0.01)
    for share in (1, 50, 99):
        assert tone[f"p{share:02d}"] == np.percentile(pixels, share, method="inverted_cdf")
