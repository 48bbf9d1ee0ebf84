"""predictions.csv: a row a finding and copy, whether a finding is one image or one image a sequence."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lesion_transfer.cohorts.cohort import Cohort
from lesion_transfer.cohorts.normalise import ZScore
from lesion_transfer.evaluation.predictions import COLUMNS, checked_predictions, predictions_of_images
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.enhanced import augmented_probabilities
from lesion_transfer.learning.network import build_network
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions
from lesion_transfer.learning.scoring import predict_probabilities
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.stages.training.predictions import enhanced_predictions, predictions
from lesion_transfer.stages.training.training_data import LoadedCohort

SETTINGS = SimpleNamespace(seed=3, augmentation=AugmentationOptions(), evaluation=SimpleNamespace(enhanced_copies=2))


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    return build_network(NetworkOptions(filters=[2, 2, 4], dense=[8, 4, 4]), 1, 0.1, torch_generator(0, "network"))


def loaded_cohort(keys, subsets):
    images = torch.randn(len(keys), 1, 69, 69, generator=torch_generator(0, "images"))
    findings = pd.DataFrame(
        {"finding_key": keys, "patient_id": [key[:2] for key in keys], "finding_id": "1", "label": True}
    ).astype({"label": object})
    assigned = findings[["finding_key"]].assign(subset=subsets, fold=[None if s == "test" else 0 for s in subsets])
    cohort = Cohort(Path("cohort"), images.numpy(), findings, {"patch_pixels": 65, "margin_pixels": 2})
    rows = torch.arange(0)
    data = TrainingData(images, torch.ones(len(keys), dtype=torch.int64), rows, rows)
    return LoadedCohort(cohort, assigned.assign(replicate=0), ZScore("patient", ("dwi",)), data, "")


def test_copies_are_of_validation_and_test_findings_only(network):
    loaded = loaded_cohort(["P1/1/1", "P2/1/1", "P3/1/1", "P4/1/1"], ["train", "test", "validation", "test"])
    plain, copies = predictions(network, loaded), enhanced_predictions(network, loaded, SETTINGS)
    checked_predictions(pd.concat([plain, copies]))
    assert plain["finding_key"].tolist() == ["P1/1/1", "P2/1/1", "P3/1/1", "P4/1/1"]
    assert plain["probability"].to_numpy() == pytest.approx(predict_probabilities(network, loaded.data.images, 65))
    assert copies[["finding_key", "copy"]].to_numpy().tolist() == [
        [f"P{patient}/1/1", copy] for patient in (2, 3, 4) for copy in (1, 2)
    ]
    assert copies["subset"].tolist() == ["test"] * 2 + ["validation"] * 2 + ["test"] * 2
    assert copies["fold"].isna().tolist() == [True, True, False, False, True, True]
    again = enhanced_predictions(network, loaded, SETTINGS)
    pd.testing.assert_frame_equal(copies, again)


def test_a_finding_of_several_images_has_their_mean(network):
    loaded = loaded_cohort(["P1/1/1", "P1/1/1", "P2/1/1"], ["test", "test", "validation"])
    plain, copies = predictions(network, loaded), enhanced_predictions(network, loaded, SETTINGS)
    images = predict_probabilities(network, loaded.data.images, 65)
    assert plain["probability"].to_numpy() == pytest.approx([np.mean(images[:2]), images[2]])
    assert copies[["finding_key", "copy"]].to_numpy().tolist() == [
        ["P1/1/1", 1],
        ["P1/1/1", 2],
        ["P2/1/1", 1],
        ["P2/1/1", 2],
    ]
    checked_predictions(pd.concat([plain, copies]))


def test_each_copy_is_the_findings_own(network):
    keys = ["P1/1/1", "P2/1/1", "P3/1/1"]
    loaded = loaded_cohort(keys, ["test", "train", "validation"])
    copies = enhanced_predictions(network, loaded, SETTINGS)
    rows, generator = torch.tensor([0, 2]), torch_generator(3, "enhanced prediction", "cohort")
    expected = augmented_probabilities(network, loaded.data.images, rows, 2, SETTINGS.augmentation, generator, 65)
    found = copies.pivot(index="finding_key", columns="copy", values="probability").loc[["P1/1/1", "P3/1/1"]]
    np.testing.assert_array_equal(found.to_numpy(), expected)
    assert len(np.unique(expected)) == 4


def test_copies_of_several_images_have_their_mean_copy_by_copy():
    images = pd.DataFrame({name: ["x"] * 3 for name in COLUMNS if name not in {"copy", "probability"}})
    images["finding_key"] = ["a", "b", "a"]
    images.index = [7, 3, 5]
    table = predictions_of_images(images, np.array([[0.0, 0.25], [0.5, 0.75], [1.0, 0.5]]), first_copy=1)
    assert table[["finding_key", "copy", "probability"]].to_numpy().tolist() == [
        ["a", 1, 0.5],
        ["a", 2, 0.375],
        ["b", 1, 0.5],
        ["b", 2, 0.75],
    ]
