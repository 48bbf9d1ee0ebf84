"""Dots through the augmentation land where the parameters say; a wrong augmentation is found."""

import pytest
import torch

from lesion_transfer.learning import augmented_dots as module
from lesion_transfer.learning.augmentation import AffineParameters, apply_affine
from lesion_transfer.learning.augmented_dots import augmented_dots, dot_centroids, moved_points
from lesion_transfer.learning.options import AugmentationOptions

WIDE = AugmentationOptions(
    rotation_degrees=20.0, horizontal_shift_px=3, vertical_shift_px=2, stretch_min=0.9, stretch_max=1.1
)


def dots(options=WIDE, n_channels=3, size=65, seed=0):
    margin = options.required_margin(size)
    return augmented_dots(n_channels, size, margin, options, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("options", [AugmentationOptions(), WIDE, AugmentationOptions(rotation_degrees=180.0)])
@pytest.mark.parametrize("size", [33, 64, 65])
def test_dots_land_where_the_parameters_say_in_every_channel(options, size):
    found = dots(options, size=size)
    assert found.landed_xy.shape == (64, 3, 2)
    assert found.error_px < 0.05
    assert found.between_channels_px < 0.05
    assert found.expected_xy.norm(dim=1).max() > size / 8, "some dots lie beside the centre"


def one(angle=0.0, flip=False, shift_x=0.0, shift_y=0.0, stretch=1.0) -> AffineParameters:
    values = (torch.tensor([value], dtype=torch.float64) for value in (angle, shift_x, shift_y, stretch))
    angle_degrees, x, y, wide = values
    return AffineParameters(angle_degrees, torch.tensor([flip]), x, y, wide)


@pytest.mark.parametrize(
    ("parameters", "lands"),
    [
        (one(), (3.0, 1.0)),
        (one(flip=True), (-3.0, 1.0)),
        (one(angle=90.0), (1.0, -3.0)),  # anticlockwise as seen: what was at the right is at the top
        (one(stretch=1.1), (3.3, 1.0)),
        (one(shift_x=2.0, shift_y=-1.0), (5.0, 0.0)),
        (one(angle=180.0, flip=True, stretch=2.0, shift_x=1.0), (7.0, -1.0)),
    ],
)
def test_points_move_as_the_words_of_the_parameters_say(parameters, lands):
    point = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(moved_points(point, parameters), torch.tensor([lands], dtype=torch.float64))


def test_the_centroid_of_a_pixel_is_its_place():
    images = torch.zeros(1, 2, 7, 9)
    images[0, 0, 3, 4] = 5
    images[0, 1, 1, 8] = 0.1
    torch.testing.assert_close(dot_centroids(images), torch.tensor([[[0.0, 0.0], [4.0, -2.0]]], dtype=torch.float64))


def changed(parameters, **changes):
    return AffineParameters(**{**vars(parameters), **changes})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda images, p, size: apply_affine(images, changed(p, angle_degrees=-p.angle_degrees), size),
        lambda images, p, size: apply_affine(images, changed(p, flip=~p.flip), size),
        lambda images, p, size: apply_affine(images, changed(p, shift_x_px=-p.shift_x_px), size),
        lambda images, p, size: apply_affine(images, p, size).roll(1, dims=3),
        lambda images, p, size: apply_affine(images, p, size).transpose(2, 3),
    ],
    ids=["angle", "flip", "shift", "rolled", "transposed"],
)
def test_a_wrong_augmentation_is_found(monkeypatch, wrong):
    monkeypatch.setattr(module, "apply_affine", wrong)
    assert dots().error_px > 0.9


def test_channels_that_move_differently_are_found(monkeypatch):
    def second_channel_late(images, parameters, size):
        moved = apply_affine(images, parameters, size)
        return torch.cat([moved[:, :1], moved[:, 1:].roll(1, dims=2)], dim=1)

    monkeypatch.setattr(module, "apply_affine", second_channel_late)
    assert dots().between_channels_px == pytest.approx(1, abs=0.05)
