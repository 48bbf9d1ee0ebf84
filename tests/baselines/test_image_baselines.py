"""Baselines of few pixels see what they are said to see, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from lesion_transfer.evaluation.baselines.assess import assess_all
from lesion_transfer.evaluation.baselines.images import image_baselines, shortcut_baselines
from lesion_transfer.evaluation.baselines.repeated import repeated_folds

N, SIDE = 80, 21
CENTRE = slice(SIDE // 2 - 2, SIDE // 2 + 3)


@pytest.fixture
def labels():
    return np.random.default_rng(0).random(N) < 0.5


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(100, 10, (N, 1, SIDE, SIDE)).astype(np.float32)


def aucs(baselines, labels):
    findings = pd.DataFrame(
        {
            "finding_key": [f"P{row}/1/1" for row in range(N)],
            "patient_id": [f"P{row}" for row in range(N)],
            "finding_id": "1",
            "label": pd.Series([bool(label) for label in labels], dtype=object),
        }
    )
    content, _ = assess_all(baselines, repeated_folds(findings, 1, 5, seed=0), "cohort", seed=0, n_draws=100)
    return {name: entry["cross_validated"] and entry["cross_validated"]["value"] for name, entry in content.items()}


def test_the_small_patch_is_five_millimetres(images):
    for pitch_mm, side in ((1.0, 5), (0.5, 9), (0.3, 17), (5.0, 1), (20.0, 1)):
        svm = image_baselines(images, ["dwi"], pitch_mm)[0]
        assert svm.features.shape == (N, side**2)
    assert image_baselines(images, ["dwi"], None)[0].reason == "the size of a pixel in mm is not known"


def test_the_small_patch_sees_the_centre_and_not_the_rest(images, labels):
    pattern = np.where(np.indices((5, 5)).sum(axis=0) % 2, 15, -15)
    images[labels, :, CENTRE, CENTRE] += pattern
    found = aucs(image_baselines(images, ["dwi"], 1.0), labels)
    assert found["svm_patch"] > 0.9
    outside = np.random.default_rng(1).normal(100, 10, images.shape).astype(np.float32)
    outside[labels, :, :6] += 40
    assert aucs(image_baselines(outside, ["dwi"], 1.0), labels)["svm_patch"] == pytest.approx(0.5, abs=0.2)


def test_intensity_sees_a_bright_lesion(images, labels):
    images[labels, :, CENTRE, CENTRE] += 20
    assert aucs(image_baselines(images, ["dwi"], None), labels)["intensity"] > 0.9


def test_each_shortcut_sees_its_own(images, labels):
    findings = pd.DataFrame({"grey_image_rows": np.where(labels, 200.0, 220.0), "grey_image_columns": 180.0})
    found = aucs(shortcut_baselines(images, findings, ["grey"]), labels)
    assert found["image_size"] == 1.0
    assert found["mean_intensity"] == pytest.approx(0.5, abs=0.2)
    framed = images.copy()
    framed[labels, :, 0] = 0
    found = aucs(shortcut_baselines(framed, findings.assign(grey_mean=np.where(labels, 3.0, 9.0)), ["grey"]), labels)
    assert found["border"] == 1.0
    assert found["mean_intensity"] == 1.0


def test_a_cohort_that_does_not_know_its_images_sizes_says_so(images):
    size = shortcut_baselines(images, pd.DataFrame({"patient_id": ["P"] * N}), ["grey"])[0]
    assert (size.features, size.reason) == (None, "the cohort does not say how large the images were")
