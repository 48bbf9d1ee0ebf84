"""Mode separate: each sequence of a lesion is an image of its own, under the lesion's key."""

import numpy as np
import pandas as pd
import pytest

from lesion_transfer.cohorts.build import build_cohort
from lesion_transfer.cohorts.cohort import CohortError, load_cohort
from lesion_transfer.cohorts.crop import crop_patch
from lesion_transfer.cohorts.normalise import fit_zscore
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets.finding import Exclusion
from lesion_transfer.datasets.reasons import Reason


@pytest.fixture
def separate(options):
    return CohortOptions(**{**options.model_dump(), "channels": ["t2", "dwi"], "mode": "separate"})


def test_each_sequence_is_an_image_with_its_own_provenance(tmp_path, make_finding, make_slice, separate, hashes):
    findings = [
        make_finding("P1", "1", slices={"t2": make_slice(1, series_uid="a"), "dwi": make_slice(2, series_uid="b")}),
        make_finding("P1", "2", False, slices={"t2": make_slice(3), "dwi": make_slice(4)}),
    ]
    cohort = build_cohort(findings, separate, tmp_path / "c", hashes)
    assert cohort.images.shape == (4, 1, 13, 13)
    assert cohort.channels == ["image"]
    assert list(cohort.findings["finding_key"]) == ["P1/1/1", "P1/1/1", "P1/2/1", "P1/2/1"]
    assert list(cohort.findings["sequence"]) == ["t2", "dwi", "t2", "dwi"]
    assert list(cohort.findings["image_series_uid"][:2]) == ["a", "b"]
    for image, seed in zip(cohort.images, (1, 2, 3, 4), strict=True):
        np.testing.assert_array_equal(image[0], crop_patch(make_slice(seed), separate)[0])


def test_each_image_is_normalised_with_its_own_sequence_of_the_patient(
    tmp_path, make_finding, make_slice, separate, hashes
):
    findings = [make_finding("P1", str(n), slices={"t2": make_slice(n), "dwi": make_slice(5 + n)}) for n in (1, 2)]
    cohort = build_cohort(findings, separate, tmp_path / "c", hashes)
    for sequence, seeds in (("t2", (1, 2)), ("dwi", (6, 7))):
        pixels = np.stack([make_slice(seed).pixels for seed in seeds]).astype(float)
        own = cohort.findings[cohort.findings["sequence"] == sequence]
        np.testing.assert_allclose(own["image_mean"], pixels.mean(), rtol=1e-12)
        np.testing.assert_allclose(own["image_std"], pixels.std(), rtol=1e-12)
    normalised = fit_zscore(cohort, [0], separate).apply(cohort)
    expected = (cohort.images[1] - cohort.findings["image_mean"][1]) / cohort.findings["image_std"][1]
    np.testing.assert_allclose(normalised[1], expected, rtol=1e-5, atol=1e-6)


def test_a_repeated_image_is_one_of_the_same_sequence(tmp_path, make_finding, make_slice, separate, hashes):
    findings = [
        make_finding("P1", "1", slices={"t2": make_slice(1), "dwi": make_slice(1)}),
        make_finding("P1", "2", slices={"t2": make_slice(2), "dwi": make_slice(1)}),
    ]
    cohort = build_cohort(findings, separate, tmp_path / "c", hashes)
    assert list(cohort.findings["concern"]) == ["", "", "", "shows the same image as P1/1/1"]


def test_a_lesion_keeps_the_sequences_that_it_has(tmp_path, make_finding, make_slice, separate, hashes):
    lacking = {"t2": Exclusion("P1/1/1", "P1", "1", Reason.MISSING_SERIES, "No T2.")}
    findings = [make_finding("P1", slices={"dwi": make_slice(1)}, lacking=lacking)]
    lenient = separate.model_copy(update={"max_excluded_share": 1.0})
    cohort = build_cohort(findings, lenient, tmp_path / "c", hashes)
    assert list(cohort.findings["sequence"]) == ["dwi"]
    (excluded,) = pd.read_csv(tmp_path / "c" / "excluded.csv").to_dict("records")
    assert (excluded["sequence"], excluded["reason"], excluded["detail"]) == ("t2", "missing_series", "No T2.")


def test_stacked_names_the_reason_of_the_channel_that_is_lacking(tmp_path, make_finding, make_slice, options, hashes):
    lacking = {"t2": Exclusion("P1/1/1", "P1", "1", Reason.MISSING_SLICE, "A gap.")}
    findings = [make_finding("P1", slices={"dwi": make_slice(1)}, lacking=lacking), make_finding("P2", seed=2)]
    lenient = options.model_copy(update={"max_excluded_share": 1.0})
    build_cohort(findings, lenient, tmp_path / "c", hashes)
    (excluded,) = pd.read_csv(tmp_path / "c" / "excluded.csv").to_dict("records")
    assert (excluded["patient_id"], excluded["reason"], excluded["detail"]) == ("P1", "missing_slice", "A gap.")


def test_a_sequence_that_comes_twice_is_refused(write_cohort):
    rows = {"patient_id": ["p"] * 3, "finding_key": ["k"] * 3, "sequence": ["t2", "dwi", "t2"]}
    folder = write_cohort(np.zeros((3, 1, 5, 5), np.float32), rows)
    with pytest.raises(CohortError, match="'k' stands in more than one row"):
        load_cohort(folder)


def test_single_has_one_channel(options):
    single = {**options.model_dump(), "mode": "single"}
    assert CohortOptions(**single).image_channels == ["t2"]
    with pytest.raises(ValueError, match="mode single has one channel"):
        CohortOptions(**{**single, "channels": ["t2", "adc"]})
