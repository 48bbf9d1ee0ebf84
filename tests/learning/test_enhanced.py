"""Enhanced prediction reads augmented copies, the same ones for every network."""

import numpy as np
import pytest
import torch

from lesion_transfer.learning.augmentation import apply_affine, sample_affine
from lesion_transfer.learning.enhanced import augmented_probabilities
from lesion_transfer.learning.network import build_network
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions
from lesion_transfer.learning.scoring import predict_probabilities
from lesion_transfer.learning.streams import torch_generator

IMAGES = torch.randn(5, 1, 80, 80, generator=torch_generator(0, "images"))
ROWS = torch.tensor([3, 1])
STILL = AugmentationOptions(rotation_degrees=0, horizontal_flip_probability=0, horizontal_shift_px=0)


def network(seed: int = 0) -> torch.nn.Module:
    return build_network(NetworkOptions(filters=[4, 4, 4]), 1, 0.5, torch_generator(seed, "network"))


def test_each_copy_is_the_prediction_of_its_augmented_image() -> None:
    model, options = network(), AugmentationOptions()
    found = augmented_probabilities(model, IMAGES, ROWS, 3, options, torch_generator(1, "copies"), 65)
    parameters = sample_affine(6, options, torch_generator(1, "copies"))
    images = apply_affine(IMAGES[ROWS.repeat_interleave(3)], parameters, 65)
    expected = predict_probabilities(model, images, 65).reshape(2, 3)
    assert found == pytest.approx(expected, abs=1e-6)
    assert np.ptp(found, axis=1).min() > 0


def test_copies_that_change_nothing_are_the_plain_prediction() -> None:
    model = network()
    found = augmented_probabilities(model, IMAGES, ROWS, 2, STILL, torch_generator(1, "copies"), 65)
    plain = predict_probabilities(model, IMAGES[ROWS], 65)
    assert found == pytest.approx(np.stack([plain, plain], axis=1), abs=1e-6)


def test_no_copies_and_no_rows() -> None:
    model, options = network(), AugmentationOptions()
    assert augmented_probabilities(model, IMAGES, ROWS, 0, options, torch_generator(1, "x"), 65).shape == (2, 0)
    assert augmented_probabilities(model, IMAGES, ROWS[:0], 4, options, torch_generator(1, "x"), 65).shape == (0, 4)
