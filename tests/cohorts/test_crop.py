"""A patch shows the tissue around the lesion, in mm, with the lesion in the centre of its central pixel."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.transform import resize

from lesion_transfer.cohorts.crop import CropError, crop_patch
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets.finding import SequenceSlice

MakeSlice = Callable[..., SequenceSlice]


def cohort_options(**changes: object) -> CohortOptions:
    values = {"dataset": "d", "channels": ["t2"], "crop_mm": 9.0, "patch_pixels": 9, "margin_pixels": 2}
    return CohortOptions(**{**values, **changes})


def blob(shape: tuple[int, int], spacing: tuple[float, float], centre_xy: tuple[float, float], width: float):
    """A Gaussian of `width` mm around the lesion, 255 at its top, sampled on the slice's pixels."""
    rows, columns = np.indices(shape)
    distance_mm = np.hypot((rows - centre_xy[1]) * spacing[0], (columns - centre_xy[0]) * spacing[1])
    return (255 * np.exp(-0.5 * (distance_mm / width) ** 2)).astype(np.float32)


def test_equal_pitch_and_whole_centre_give_the_source_pixels(make_slice: MakeSlice):
    source = make_slice()
    patch, padded = crop_patch(source, cohort_options())
    assert patch.dtype == np.float32
    assert padded == 0
    np.testing.assert_allclose(patch, source.pixels[20 - 6 : 20 + 7, 25 - 6 : 25 + 7], atol=1e-3)


def test_finer_grid_equals_the_cubic_spline_of_scipy(make_slice: MakeSlice):
    source = make_slice(spacing_mm=(1.3, 0.9), centre_xy=(24.3, 19.6))
    patch, _ = crop_patch(source, cohort_options(crop_mm=4.5))
    steps = np.arange(-6, 7) * 0.5
    grid = np.meshgrid(19.6 + steps / 1.3, 24.3 + steps / 0.9, indexing="ij")
    expected = map_coordinates(source.pixels.astype(float), grid, order=3, mode="mirror").clip(0, 255)
    np.testing.assert_allclose(patch, expected, atol=1e-3)


def test_coarser_grid_is_antialiased_as_scikit_image_does(make_slice: MakeSlice):
    source = make_slice(pixels=np.random.default_rng(1).uniform(0, 255, (60, 60)), centre_xy=(29.0, 31.0))
    patch, _ = crop_patch(source, cohort_options(crop_mm=27.0, margin_pixels=0))
    smooth = gaussian_filter(source.pixels, (3 - 1) / 2, mode="nearest")
    np.testing.assert_allclose(patch, smooth[31 - 12 : 31 + 13 : 3, 29 - 12 : 29 + 13 : 3], atol=1e-3)
    # scikit-image's own resize of the same 27 x 27 pixels, away from its borders (it cannot see beyond them).
    theirs = resize(source.pixels[31 - 13 : 31 + 14, 29 - 13 : 29 + 14], (9, 9), order=3, anti_aliasing=True)
    np.testing.assert_allclose(patch[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=1.0)


@settings(deadline=None, max_examples=40)
@given(
    spacing=st.tuples(st.floats(0.4, 2.0), st.floats(0.4, 2.0)),
    centre=st.tuples(st.floats(42, 48), st.floats(42, 48)),
    crop_mm=st.floats(8, 40),
)
def test_blob_at_the_lesion_lands_in_the_central_pixel(spacing, centre, crop_mm):
    source = SequenceSlice(blob((90, 90), spacing, centre, 5.0), spacing, centre, "f.dcm")
    patch, _ = crop_patch(source, cohort_options(crop_mm=crop_mm))
    assert patch[6, 6] == patch.max()
    weight = np.clip(patch, 0, None).astype(float)
    window = weight[6 - 2 : 6 + 3, 6 - 2 : 6 + 3]
    offset = np.arange(-2, 3)
    assert abs((window.sum(axis=1) * offset).sum() / window.sum()) < 0.02
    assert abs((window.sum(axis=0) * offset).sum() / window.sum()) < 0.02


def test_blob_has_its_width_in_mm_on_anisotropic_pixels():
    spacing, centre = (2.0, 0.5), (40.25, 30.5)
    source = SequenceSlice(blob((61, 161), spacing, centre, 6.0), spacing, centre, "f.dcm")
    patch, _ = crop_patch(source, cohort_options(crop_mm=9.0, margin_pixels=0))
    offset_mm = np.arange(-4, 5)
    expected = 255 * np.exp(-0.5 * (np.hypot(*np.meshgrid(offset_mm, offset_mm)) / 6.0) ** 2)
    np.testing.assert_allclose(patch, expected, atol=1.5)


def test_ramp_stays_a_ramp_of_the_pitch():
    ramp = np.tile(np.arange(80, dtype=np.float32) * 3, (70, 1))
    patch, _ = crop_patch(SequenceSlice(ramp, (0.5, 0.5), (40.2, 35.7), "f.dcm"), cohort_options(crop_mm=7.2))
    expected = 3 * (40.2 + np.arange(-6, 7) * 0.8 / 0.5)
    np.testing.assert_allclose(patch, np.tile(expected, (13, 1)), atol=1e-3)


def test_channels_of_other_resolution_show_the_same_tissue():
    fine = SequenceSlice(blob((128, 128), (0.5, 0.5), (50.3, 70.8), 4.0), (0.5, 0.5), (50.3, 70.8), "f.dcm")
    coarse = SequenceSlice(blob((32, 40), (2.0, 1.6), (15.1, 16.4), 4.0), (2.0, 1.6), (15.1, 16.4), "c.dcm")
    first, second = (crop_patch(source, cohort_options())[0] for source in (fine, coarse))
    np.testing.assert_allclose(first, second, atol=3.0)


def test_fraction_covers_that_share_of_the_image():
    ramp = np.add.outer(np.arange(120) * 0.5, np.arange(180)).astype(np.float32)
    source = SequenceSlice(ramp, None, (90.0, 60.0), "f.jpg")
    patch, padded = crop_patch(source, cohort_options(crop_mm=None, crop_fraction=[0.15, 0.2], margin_pixels=0))
    step = np.arange(-4, 5)
    np.testing.assert_allclose(patch, np.add.outer((60 + step * 2) * 0.5, 90 + step * 4), atol=1e-2)
    assert padded == 0


def test_fraction_is_the_same_with_or_without_a_known_spacing(make_slice: MakeSlice):
    options = cohort_options(crop_mm=None, crop_fraction=[0.4, 0.3])
    with_spacing, _ = crop_patch(make_slice(spacing_mm=(0.7, 2.1)), options)
    without, _ = crop_patch(make_slice(spacing_mm=None), options)
    np.testing.assert_allclose(with_spacing, without, atol=1e-3)


def test_edge_is_repeated_outside_and_its_share_recorded():
    source = SequenceSlice(np.tile(np.linspace(10, 90, 9, dtype=np.float32), (9, 1)), (1, 1), (0.0, 4.0), "f.dcm")
    patch, padded = crop_patch(source, cohort_options(margin_pixels=3))
    np.testing.assert_allclose(patch[:, :8], 10, atol=1.5)
    np.testing.assert_allclose(patch[:, 0], 10, atol=0.05)
    assert padded == pytest.approx(4 / 9)


@pytest.mark.parametrize(
    ("centre_xy", "columns_inside", "rows_inside"),
    [
        ((6.0, 4.0), 9, 9),
        ((11.0, 4.0), 5, 9),
        ((6.0, 8.0), 9, 5),
        ((0.0, 0.0), 5, 5),
        ((11.0, 8.0), 5, 5),
        ((1.4, 8.4), 6, 5),
    ],
)
def test_padded_share_counts_the_pixels_beyond_every_edge_and_corner(centre_xy, columns_inside, rows_inside):
    """A patch of 9 x 9 source pixels; their area ends half a pixel beyond the centres of the first and the last."""
    source = SequenceSlice(np.zeros((9, 12), np.float32), (1.0, 1.0), centre_xy, "f.dcm")
    padded = crop_patch(source, cohort_options())[1]
    assert padded == pytest.approx(1 - columns_inside * rows_inside / 81)


def test_padding_of_the_margin_alone_is_not_counted(make_slice: MakeSlice):
    assert crop_patch(make_slice(centre_xy=(4.0, 20.0)), cohort_options(margin_pixels=8))[1] == 0


def test_overshoot_is_cut_at_the_display_range():
    step = np.zeros((40, 40), dtype=np.float32)
    step[:, 20:] = 255
    patch, _ = crop_patch(SequenceSlice(step, (1, 1), (20.0, 20.0), "f.dcm"), cohort_options(crop_mm=3.0))
    assert patch.min() == 0
    assert patch.max() == 255


def test_what_lies_far_from_the_patch_does_not_matter(make_slice: MakeSlice):
    source = make_slice(pixels=np.random.default_rng(0).uniform(0, 255, (200, 200)), centre_xy=(60.0, 60.0))
    changed = source.pixels.copy()
    changed[120:] = 0
    np.testing.assert_array_equal(
        crop_patch(source, cohort_options())[0], crop_patch(replace(source, pixels=changed), cohort_options())[0]
    )


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"spacing_mm": None}, "no_spacing", "crop_fraction"),
        ({"spacing_mm": (0.0, 1.0)}, "bad_spacing", "correct"),
        ({"spacing_mm": (float("nan"), 1.0)}, "bad_spacing", "correct"),
        ({"spacing_mm": (1e-7, 1e-7)}, "bad_spacing", "check the spacing"),
        ({"centre_xy": (50.0, 20.0)}, "outside_image", "position"),
        ({"centre_xy": (25.0, -0.6)}, "outside_image", "position"),
        ({"centre_xy": (float("nan"), 20.0)}, "outside_image", "position"),
        ({"pixels": np.full((40, 50), np.nan)}, "bad_pixels", "finite"),
        ({"pixels": np.zeros((40, 50, 3))}, "bad_pixels", "2-D"),
    ],
)
def test_impossible_crops_say_why(make_slice: MakeSlice, changes, reason, words):
    with pytest.raises(CropError, match=words) as raised:
        crop_patch(make_slice(**changes), cohort_options())
    assert raised.value.reason == reason
