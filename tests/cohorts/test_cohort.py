"""A folder of the right form is a cohort, whoever made it; anything else is refused with a sentence."""

import json

import numpy as np
import pytest

from lesion_transfer.cohorts.cohort import CohortError, image_sha256, load_cohort

IMAGES = np.arange(2 * 1 * 7 * 7, dtype=np.float32).reshape(2, 1, 7, 7)


def test_the_least_that_is_needed(write_cohort):
    cohort = load_cohort(write_cohort(IMAGES, {"patient_id": ["007", "007"]}))
    assert list(cohort.findings["patient_id"]) == ["007", "007"]
    assert list(cohort.findings["finding_key"]) == ["007//1", "007//2"]
    assert list(cohort.findings["label"]) == [None, None]
    assert list(cohort.findings["group"]) == ["", ""]
    assert list(cohort.findings["image_sha256"]) == [image_sha256(image) for image in IMAGES]
    assert (cohort.name, cohort.channels, cohort.patch_pixels, cohort.margin_pixels) == ("foreign", ["t2"], 5, 1)
    np.testing.assert_array_equal(cohort.patches, IMAGES[:, :, 1:-1, 1:-1])


def test_images_stay_on_disk_and_cannot_be_written(write_cohort):
    cohort = load_cohort(write_cohort(IMAGES, {"patient_id": ["a", "b"]}))
    assert isinstance(cohort.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        cohort.images[0] = 0


def test_types_of_columns(write_cohort):
    table = {
        "finding_key": ["a/1/1", "NA/2/1"],
        "patient_id": ["a", "NA"],
        "finding_id": ["01", "2"],
        "label": ["TRUE", ""],
        "t2_mean": ["1.5", ""],
        "anything": ["x", "3"],
    }
    findings = load_cohort(write_cohort(IMAGES, table)).findings
    assert list(findings["patient_id"]) == ["a", "NA"]
    assert list(findings["finding_id"]) == ["01", "2"]
    assert list(findings["label"]) == [True, None]
    assert findings["t2_mean"].dtype == np.float64
    assert np.isnan(findings["t2_mean"][1])
    assert list(findings["anything"]) == ["x", "3"]


def test_info_can_stand_in_for_a_missing_cohort_json(write_cohort):
    folder = write_cohort(IMAGES, {"patient_id": ["a", "b"]}, info=False)
    with pytest.raises(CohortError, match=r"cohort\.json is missing"):
        load_cohort(folder)
    info = {"channels": ["mri"], "patch_pixels": 7, "margin_pixels": 0}
    assert load_cohort(folder, info).channels == ["mri"]


TABLE = {"patient_id": ["a", "b"]}


@pytest.mark.parametrize(
    ("images", "table", "words"),
    [
        (None, TABLE, r"images\.npy is missing"),
        (IMAGES, None, r"findings\.csv is missing"),
        (IMAGES, {"patient_id": ["a", "b", "c"]}, "2 images .* 3 rows"),
        (IMAGES.astype(np.float64), TABLE, "float32"),
        (IMAGES[:, 0], TABLE, "float32"),
        (IMAGES[:0], {"patient_id": []}, "at least one image"),
        (np.where(IMAGES == 60, np.nan, IMAGES).astype(np.float32), TABLE, r"image 1 .*nan"),
        (IMAGES, {"finding_id": ["a", "b"]}, "needs a patient_id"),
        (IMAGES, {"patient_id": ["a", ""]}, "needs a patient_id"),
        (IMAGES, {"patient_id": ["a", "a"], "finding_key": ["k", "k"]}, "more than one row"),
        (IMAGES, {"patient_id": ["a", "a"], "label": ["True", "maybe"]}, "line 3.*maybe"),
        (IMAGES, {"patient_id": ["a", "a"], "t2_std": ["1", "much"]}, "t2_std"),
    ],
)
def test_what_is_wrong_is_said(write_cohort, images, table, words):
    info = {"channels": ["t2"], "patch_pixels": 5, "margin_pixels": 1}
    with pytest.raises(CohortError, match=words):
        load_cohort(write_cohort(images, table, info))


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"channels": ["t2", "adc"], "patch_pixels": 5, "margin_pixels": 1}, "1 channel"),
        ({"channels": "t", "patch_pixels": 5, "margin_pixels": 1}, "channels"),
        ({"channels": ["t2"], "patch_pixels": 7, "margin_pixels": 1}, "do not explain"),
        ({"channels": ["t2"], "patch_pixels": 7, "margin_pixels": False}, "do not explain"),
        ({"channels": ["t2"]}, "do not explain"),
        (["t2"], "an object"),
    ],
)
def test_info_must_fit_the_images(write_cohort, info, words):
    with pytest.raises(CohortError, match=words):
        load_cohort(write_cohort(IMAGES, TABLE, info))


def test_a_pickle_is_not_opened(write_cohort):
    folder = write_cohort(IMAGES, TABLE)
    np.save(folder / "images.npy", np.array([{"code": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CohortError, match="safely"):
        load_cohort(folder)


def test_broken_json_is_said(write_cohort):
    folder = write_cohort(IMAGES, TABLE)
    (folder / "cohort.json").write_text(json.dumps({"channels": ["t2"]})[:-3])
    with pytest.raises(CohortError, match="not JSON"):
        load_cohort(folder)
