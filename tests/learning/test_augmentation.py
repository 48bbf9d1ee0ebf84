"""Where a dot lands: the drawn parameters say it, and the applied map does it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesion_transfer.learning.augmentation import (
    AffineParameters,
    apply_affine,
    centre_crop,
    sample_affine,
)
from lesion_transfer.learning.options import AugmentationOptions
from lesion_transfer.learning.streams import torch_generator

ALL_ON = AugmentationOptions(vertical_shift_px=2, stretch_min=0.9, stretch_max=1.1)


def parameters(
    angle: float = 0.0, flip: bool = False, shift_x: float = 0.0, shift_y: float = 0.0, stretch: float = 1.0
) -> AffineParameters:
    numbers = [torch.tensor([value], dtype=torch.float64) for value in (angle, shift_x, shift_y, stretch)]
    return AffineParameters(numbers[0], torch.tensor([flip]), numbers[1], numbers[2], numbers[3])


def blob(size: int, x: float, y: float, channels: int = 1) -> torch.Tensor:
    """(1, channels, size, size) with a smooth dot at offset x, y (right, down) from the centre."""
    place = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    dot = torch.exp(-((place[None, :] - x) ** 2 + (place[:, None] - y) ** 2) / (2 * 2.0**2))
    return dot.expand(1, channels, size, size)


def dot_offset(image: torch.Tensor) -> tuple[float, float]:
    """Centre of mass (x right, y down) from the centre of an image (size, size)."""
    place = torch.arange(image.shape[-1], dtype=torch.float64) - (image.shape[-1] - 1) / 2
    mass = image.sum()
    return float((image.sum(0) * place).sum() / mass), float((image.sum(1) * place).sum() / mass)


@pytest.mark.parametrize(
    ("drawn", "lands"),
    [
        (parameters(angle=90), (0, -10)),  # anticlockwise as seen: from the right to the top
        (parameters(angle=-90), (0, 10)),
        (parameters(flip=True), (-10, 0)),
        (parameters(shift_x=3), (13, 0)),
        (parameters(shift_y=3), (10, 3)),
        (parameters(stretch=1.1), (11, 0)),
        (parameters(flip=True, angle=90), (0, 10)),  # flipped first, then rotated
        (parameters(angle=90, shift_x=2), (2, -10)),  # rotated first, then shifted
    ],
)
def test_a_dot_right_of_the_centre_lands_where_the_convention_says(
    drawn: AffineParameters, lands: tuple[float, float]
) -> None:
    moved = apply_affine(blob(65, 10, 0), drawn, 51)
    assert dot_offset(moved[0, 0]) == pytest.approx(lands, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), x=st.floats(-12, 12), y=st.floats(-12, 12), extra=st.integers(0, 1))
def test_a_dot_lands_where_the_drawn_parameters_say_alike_in_all_channels(
    seed: int, x: float, y: float, extra: int
) -> None:
    drawn = sample_affine(1, ALL_ON, torch_generator(seed, "drawn"))
    angle = math.radians(float(drawn.angle_degrees))
    across = (-x if drawn.flip else x) * float(drawn.stretch)
    lands = (
        math.cos(angle) * across + math.sin(angle) * y + float(drawn.shift_x_px),
        -math.sin(angle) * across + math.cos(angle) * y + float(drawn.shift_y_px),
    )
    # with an even source the odd crop's centre is half a pixel up and left of the source's
    source = blob(81 + extra, x - extra / 2, y - extra / 2, channels=3)
    moved = apply_affine(source, drawn, 61)
    assert dot_offset(moved[0, 0]) == pytest.approx(lands, abs=0.05)
    assert torch.equal(moved[0, 0], moved[0, 1])
    assert torch.equal(moved[0, 0], moved[0, 2])


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(9, 20), columns=st.integers(9, 20), size=st.integers(3, 9))
def test_the_identity_is_exactly_the_centre_crop(rows: int, columns: int, size: int) -> None:
    images = torch.randn(2, 2, rows, columns, generator=torch_generator(rows, str(columns)))
    off = AugmentationOptions(rotation_degrees=0.0, horizontal_flip_probability=0.0, horizontal_shift_px=0)
    drawn = sample_affine(2, off, torch_generator(0, "x"))
    assert torch.equal(apply_affine(images, drawn, size), centre_crop(images, size))


def test_nearly_the_identity_is_nearly_the_centre_crop() -> None:
    images = torch.randn(1, 1, 20, 23, generator=torch_generator(0, "x"), dtype=torch.float64)
    moved = apply_affine(images, parameters(angle=1e-9), 9)
    assert torch.allclose(moved, centre_crop(images, 9), atol=1e-7)


def test_a_whole_shift_is_a_shifted_crop() -> None:
    images = torch.randn(1, 1, 15, 15, generator=torch_generator(0, "x"))
    moved = apply_affine(images, parameters(shift_x=1, shift_y=-2), 9)
    assert torch.allclose(moved, images[:, :, 5:14, 2:11], atol=1e-4)


def test_batched_equals_one_by_one() -> None:
    images = torch.randn(7, 2, 31, 31, generator=torch_generator(0, "images"))
    drawn = sample_affine(7, ALL_ON, torch_generator(0, "drawn"))
    batched = apply_affine(images, drawn, 21)
    for i in range(7):
        one = slice(i, i + 1)
        assert torch.allclose(apply_affine(images[one], drawn[one], 21), batched[one], atol=1e-6)


def test_drawing_is_within_the_options_and_the_stream_is_the_same_however_it_is_cut() -> None:
    drawn = sample_affine(2000, ALL_ON, torch_generator(3, "drawn"))
    assert drawn.angle_degrees.abs().max() <= 20
    assert set(drawn.shift_x_px.tolist()) == {-1, 0, 1}
    assert set(drawn.shift_y_px.tolist()) == {-2, -1, 0, 1, 2}
    assert drawn.stretch.min() >= 0.9
    assert drawn.stretch.max() <= 1.1
    assert drawn.flip.double().mean().item() == pytest.approx(0.5, abs=0.05)
    generator = torch_generator(3, "drawn")
    parts = torch.cat([sample_affine(n, ALL_ON, generator).angle_degrees for n in (1, 999, 1000)])
    assert torch.equal(parts, drawn.angle_degrees)


def test_whole_shifts_are_equally_likely_and_ranges_are_drawn_up_to_both_limits() -> None:
    drawn = sample_affine(20_000, ALL_ON, torch_generator(3, "drawn"))
    for shift, limit in ((drawn.shift_x_px, 1), (drawn.shift_y_px, 2)):
        shares = torch.bincount((shift + limit).long(), minlength=2 * limit + 1) / len(drawn)
        assert shares.tolist() == pytest.approx([1 / (2 * limit + 1)] * (2 * limit + 1), abs=0.02)
    for values, low, high in ((drawn.angle_degrees, -20, 20), (drawn.stretch, 0.9, 1.1)):
        # four equal parts of the range are equally likely, too
        shares = torch.histc(values, 4, low, high) / len(drawn)
        assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.02)


def test_switching_one_range_off_leaves_the_others_as_drawn() -> None:
    on = sample_affine(50, ALL_ON, torch_generator(3, "drawn"))
    off = sample_affine(50, ALL_ON.model_copy(update={"rotation_degrees": 0.0}), torch_generator(3, "drawn"))
    assert not off.angle_degrees.any()
    assert torch.equal(on.flip, off.flip)
    assert torch.equal(on.stretch, off.stretch)


@pytest.mark.parametrize(
    "options",
    [
        AugmentationOptions(),
        ALL_ON,
        AugmentationOptions(rotation_degrees=180.0),
        AugmentationOptions(rotation_degrees=0.0, horizontal_shift_px=3),
        AugmentationOptions(rotation_degrees=0.0, horizontal_shift_px=0),
    ],
)
@pytest.mark.parametrize("size", [20, 33])
def test_no_drawn_map_leaves_a_source_of_the_required_margin(options: AugmentationOptions, size: int) -> None:
    """The same maps, of a ramp that ends at the margin and of one that goes on: padding would flatten the first."""
    margin = options.required_margin(size)
    drawn = sample_affine(300, options, torch_generator(0, "drawn"))
    side = size + 2 * margin
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    ramp = torch.stack([place.expand(side, side), place[:, None].expand(side, side)])
    moved = apply_affine(ramp.expand(300, 2, side, side), drawn, size)
    wider = side + 2 * size
    place = torch.arange(wider, dtype=torch.float64) - (wider - 1) / 2
    ramp = torch.stack([place.expand(wider, wider), place[:, None].expand(wider, wider)])
    assert torch.allclose(moved, apply_affine(ramp.expand(300, 2, wider, wider), drawn, size), atol=1e-9)


def test_the_thesis_needs_10_pixels_around_65() -> None:
    # (33 cos 20 + 32 sin 20) - 32 = 9.95: half a patch, shifted by one, turned by 20 degrees
    assert AugmentationOptions().required_margin(65) == 10


def test_augmentation_keeps_no_graph_and_too_small_an_image_is_refused() -> None:
    images = torch.ones(1, 1, 15, 15, requires_grad=True)
    assert not apply_affine(images, parameters(angle=5), 9).requires_grad
    with pytest.raises(ValueError, match="8 x 15 pixels holds no patch of 9 x 9"):
        apply_affine(torch.ones(1, 1, 8, 15), parameters(), 9)
