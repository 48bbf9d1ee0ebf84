"""The z-score: a patient's own, or the training rows'; nothing else leaks in."""

import json

import numpy as np
import pytest

from lesion_transfer.cohorts.cohort import CohortError, load_cohort
from lesion_transfer.cohorts.normalise import ZScore, fit_zscore
from lesion_transfer.cohorts.options import CohortOptions

RNG = np.random.default_rng(5)
IMAGES = RNG.uniform(0, 255, (6, 2, 7, 7)).astype(np.float32)
INFO = {"channels": ["a", "b"], "patch_pixels": 5, "margin_pixels": 1}
PATIENTS = {"patient_id": ["p", "q", "p", "r", "r", "s"]}


def cohort_options(**changes: object) -> CohortOptions:
    return CohortOptions(dataset="d", channels=["a", "b"], crop_mm=5.0, patch_pixels=5, margin_pixels=1, **changes)


def test_dataset_scope_is_the_training_rows_central_patches(write_cohort):
    cohort = load_cohort(write_cohort(IMAGES, PATIENTS, INFO))
    zscore = fit_zscore(cohort, [0, 2, 3], cohort_options(zscore="dataset"))
    seen = IMAGES[[0, 2, 3], :, 1:-1, 1:-1].astype(float)
    np.testing.assert_allclose(zscore.mean, seen.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(zscore.std, seen.std(axis=(0, 2, 3)), rtol=1e-12)
    normalised = zscore.apply(cohort)
    assert normalised.dtype == np.float32
    assert normalised.shape == IMAGES.shape
    inner = normalised[[0, 2, 3], :, 1:-1, 1:-1]
    np.testing.assert_allclose(inner.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(inner.std(axis=(0, 2, 3)), 1, atol=1e-6)


def test_other_rows_cannot_change_the_fit(write_cohort):
    changed = IMAGES.copy()
    changed[[1, 4, 5]] = 0
    options = cohort_options(zscore="dataset")
    first, second = (
        fit_zscore(load_cohort(write_cohort(images, PATIENTS, INFO, name)), [0, 2, 3], options)
        for name, images in (("one", IMAGES), ("two", changed))
    )
    assert first == second
    leaky = cohort_options(zscore="dataset", zscore_rows="all_rows")
    folder = load_cohort(write_cohort(changed, PATIENTS, INFO, "three"))
    assert fit_zscore(folder, [0, 2, 3], leaky) != second


def test_rows_may_be_a_mask_or_come_in_any_order(write_cohort):
    cohort = load_cohort(write_cohort(IMAGES, PATIENTS, INFO))
    options = cohort_options(zscore="dataset")
    expected = fit_zscore(cohort, [0, 2, 3], options)
    assert fit_zscore(cohort, [3, 0, 2, 0], options) == expected
    assert fit_zscore(cohort, np.array([1, 0, 1, 1, 0, 0], dtype=bool), options) == expected
    for nothing in ([], np.zeros(6, dtype=bool)):
        with pytest.raises(CohortError, match="no training row"):
            fit_zscore(cohort, nothing, options)
    with pytest.raises(CohortError, match="does not fit"):
        fit_zscore(cohort, np.ones(5, dtype=bool), options)


def test_patient_scope_uses_the_patients_columns(write_cohort):
    table = {**PATIENTS, "a_mean": [10.0] * 6, "a_std": [2.0] * 6, "b_mean": [20.0] * 6, "b_std": [4.0] * 6}
    cohort = load_cohort(write_cohort(IMAGES, table, INFO))
    normalised = fit_zscore(cohort, [0], cohort_options()).apply(cohort)
    np.testing.assert_allclose(normalised[:, 0], (IMAGES[:, 0] - 10) / 2, rtol=1e-5)
    np.testing.assert_allclose(normalised[:, 1], (IMAGES[:, 1] - 20) / 4, rtol=1e-5)


def test_patient_scope_falls_back_on_the_patients_own_images(write_cohort):
    cohort = load_cohort(write_cohort(IMAGES, PATIENTS, INFO))
    normalised = fit_zscore(cohort, [0], cohort_options()).apply(cohort)
    for rows in ([0, 2], [1], [3, 4], [5]):
        np.testing.assert_allclose(normalised[rows].mean(axis=(0, 2, 3)), 0, atol=1e-6)
        np.testing.assert_allclose(normalised[rows].std(axis=(0, 2, 3)), 1, atol=1e-6)


@pytest.mark.parametrize("scope", ["patient", "dataset"])
def test_a_constant_image_does_not_divide_by_zero(write_cohort, scope):
    cohort = load_cohort(write_cohort(np.full((6, 2, 7, 7), 77.7, dtype=np.float32), PATIENTS, INFO))
    normalised = fit_zscore(cohort, [0, 1], cohort_options(zscore=scope)).apply(cohort)
    np.testing.assert_allclose(normalised, 0, atol=1e-4)


@pytest.mark.parametrize("scope", ["patient", "dataset"])
def test_json_gives_back_an_equal_object(write_cohort, scope):
    cohort = load_cohort(write_cohort(IMAGES, PATIENTS, INFO))
    zscore = fit_zscore(cohort, [0, 1, 5], cohort_options(zscore=scope))
    assert ZScore.from_dict(json.loads(json.dumps(zscore.to_dict(), allow_nan=False))) == zscore


@pytest.mark.parametrize("changes", [{"scope": "image"}, {"mean": [1.0]}, {"std": [1.0, float("nan")]}])
def test_a_broken_normalisation_is_refused(changes):
    whole = {"scope": "dataset", "channels": ["a", "b"], "mean": [1.0, 2.0], "std": [1.0, 2.0]}
    with pytest.raises(ValueError, match="no normalisation"):
        ZScore.from_dict({**whole, **changes})


def test_other_channels_are_refused(write_cohort):
    cohort = load_cohort(write_cohort(IMAGES, PATIENTS, INFO))
    with pytest.raises(CohortError, match="in this order"):
        ZScore("patient", ("b", "a")).apply(cohort)
