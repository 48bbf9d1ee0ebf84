"""Series as volumes: order along the normal, points in time, and what is no volume."""

import numpy as np
import pytest

from lesion_transfer.imaging.dicom_index import group_series, index_folder
from lesion_transfer.imaging.dicom_stack import read_stack, stacks_of
from lesion_transfer.imaging.errors import UnreadableFileError

OBLIQUE = [1.0, 0.0, 0.0, 0.0, 0.8, -0.6]
NORMAL = np.array([0.0, 0.6, 0.8])


@pytest.fixture
def write_series(tmp_path, write_dicom):
    """write_series(images): files of one series from (place in mm along the normal, tags), in this order."""

    def write(images, rows=6, columns=5):
        for number, (place_mm, tags) in enumerate(images):
            given = {
                "InstanceNumber": number + 1,
                "ImageOrientationPatient": OBLIQUE,
                "ImagePositionPatient": list(np.array([10.0, 20.0, 30.0]) + place_mm * NORMAL),
                **tags,
            }
            pixels = np.full((rows, columns), number, np.uint16)
            write_dicom(tmp_path / "series" / f"{number:03d}.dcm", pixels, **given)
        (series,) = group_series(index_folder(tmp_path / "series").instances)
        return stacks_of(series)

    return write


def test_slices_are_sorted_along_the_normal_whatever_their_number(write_series):
    (stack,) = write_series([(9.0, {}), (0.0, {}), (6.0, {}), (3.0, {})])
    read = read_stack(stack)
    assert read.volume.voxels[0, :, 0, 0].tolist() == [1, 3, 2, 0]
    np.testing.assert_allclose(read.volume.grid.origin_lps_mm, [10, 20, 30])
    np.testing.assert_allclose(read.volume.grid.steps_lps_mm, [3 * NORMAL, [0, 1.6, -1.2], [2, 0, 0]], atol=1e-9)
    assert read.problems == ()


def test_images_in_one_place_are_points_in_time_by_b_value(write_series):
    images = [(3.0 * place, {"b_value": b}) for b in (b"800", b"50") for place in range(3)]
    (stack,) = write_series(images)
    assert stack.shape == (2, 3, 6, 5)
    assert stack.time_names == ("b = 50 s/mm²", "b = 800 s/mm²")
    assert read_stack(stack).volume.voxels[:, :, 0, 0].tolist() == [[3, 4, 5], [0, 1, 2]]


def test_repetitions_without_b_values_follow_the_instance_number(write_series):
    (stack,) = write_series([(3.0 * (number % 2), {}) for number in range(6)])
    assert stack.time_names == ("time 1", "time 2", "time 3")
    assert read_stack(stack).volume.voxels[:, :, 0, 0].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_place_that_has_more_images_than_others_makes_no_time(write_series):
    (stack,) = write_series([(0.0, {}), (3.0, {}), (3.0, {})])
    assert stack.shape == (1, 3, 6, 5)
    assert read_stack(stack).volume.grid is None


def test_points_are_still_found_where_most_places_have_several_images(write_series):
    """A series of three b-values of which one file is missing: the gap is that between places, not between files."""
    images = [(3.0 * place, {}) for place in range(4) for _ in range(3)]
    (stack,) = write_series(images[:-1])
    assert stack.shape == (1, 11, 6, 5)
    inside = np.array([12.0, 20.0, 30.0])
    assert stack.index_of(inside + 4.4 * NORMAL)[0] in {3, 4, 5}
    assert stack.index_of(inside + 10.4 * NORMAL)[0] in {9, 10}
    assert stack.index_of(inside + 10.6 * NORMAL) is None


def test_uneven_gaps_are_no_grid_but_positions_are_still_found(write_series):
    (stack,) = write_series([(0.0, {}), (3.0, {}), (9.0, {})])
    assert read_stack(stack).volume.grid is None
    slice_, row, column = stack.index_of(np.array([10.0 + 2 * 2, 20.0, 30.0]) + [0, 1.6, -1.2] + 8.5 * NORMAL)
    assert (slice_, row, column) == (2, pytest.approx(1), pytest.approx(2))


def test_a_point_is_in_the_stack_up_to_half_a_gap_beyond_it(write_series):
    (stack,) = write_series([(0.0, {}), (3.0, {})])
    inside = np.array([12.0, 20.0, 30.0])
    assert stack.index_of(inside - 1.4 * NORMAL)[0] == 0
    assert stack.index_of(inside + 4.4 * NORMAL)[0] == 1
    assert stack.index_of(inside - 1.6 * NORMAL) is None
    assert stack.index_of(inside + 4.6 * NORMAL) is None
    assert stack.index_of(inside - [3.1, 0, 0]) is None  # 2 mm pixels: column -0.55


def test_localisers_become_one_stack_for_each_direction_and_size(write_series):
    sagittal = {"ImageOrientationPatient": [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]}
    stacks = write_series([(0.0, {}), (0.0, sagittal), (3.0, {}), (1.0, {"ImageOrientationPatient": None})])
    assert [stack.shape[1] for stack in stacks] == [2, 1, 1]
    assert stacks[2].index_of((0, 0, 0)) is None
    assert read_stack(stacks[2]).volume.grid is None


def tilted(degrees, turn_degrees=0.0):
    """Directions whose rows rise by one angle and whose columns rise by another."""
    row, column = np.radians([degrees, turn_degrees])
    rises = [np.cos(row), 0.0, np.sin(row), 0.0, np.cos(column), np.sin(column)]
    return {"ImageOrientationPatient": [float(f"{part:.8f}") for part in rises]}


def test_slices_whose_normals_differ_by_more_than_their_rows_make_two_stacks(write_series):
    stacks = write_series([(0.0, tilted(0)), (3.0, tilted(0.98, 0.98))])
    assert [stack.shape[1] for stack in stacks] == [1, 1]


def test_points_are_found_in_slices_that_tilt_to_either_side(write_series):
    (stack,) = write_series([(3.0, tilted(0)), (0.0, tilted(0.9)), (6.0, tilted(-0.9))])
    assert stack.index_of(np.array([10.0, 20.0, 30.0]) + 6.0 * NORMAL)[0] == 2


def test_slices_of_another_pixel_spacing_are_a_stack_of_their_own(write_series):
    coarse, fine = {"PixelSpacing": [1.0, 1.0]}, {"PixelSpacing": [0.5, 0.5]}
    stacks = write_series([(0.0, fine), (3.0, coarse), (6.0, fine), (9.0, {"PixelSpacing": [1.0001, 1.0]})])
    assert [read_stack(stack).volume.grid.spacing_mm for stack in stacks] == [
        pytest.approx((6.0, 0.5, 0.5)),
        pytest.approx((6.0, 1.0, 1.0)),
    ]


def test_captures_of_another_pixel_spacing_are_a_stack_of_their_own(write_series):
    capture = {"ImageOrientationPatient": None}
    stacks = write_series([(0.0, capture), (0.0, capture | {"PixelSpacing": None}), (0.0, capture)])
    assert [stack.shape[1] for stack in stacks] == [2, 1]


def test_each_image_keeps_its_own_window_and_rescale(write_series):
    (stack,) = write_series(
        [
            (0.0, {"WindowCenter": 5, "WindowWidth": 9}),
            (3.0, {"WindowCenter": 7, "WindowWidth": 4, "RescaleSlope": 2, "RescaleIntercept": -10}),
        ]
    )
    read = read_stack(stack)
    assert [(window.centre, window.width) for window in read.windows[0]] == [(5, 9), (7, 4)]
    assert read.volume.voxels[0, :, 0, 0].tolist() == [0, -8]


def test_one_bad_file_leaves_a_gap_and_is_told(write_series, tmp_path):
    (stack,) = write_series([(0.0, {}), (3.0, {}), (6.0, {})])
    path = tmp_path / "series" / "001.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    moves = []
    read = read_stack(stack, lambda done, total: moves.append((done, total)))
    assert np.isnan(read.volume.voxels[0, 1]).all()
    assert read.volume.voxels[0, 2, 0, 0] == 2
    assert len(read.problems) == 1
    assert "001.dcm" in read.problems[0]
    assert moves == [(1, 3), (2, 3), (3, 3)]
    for name in ("000.dcm", "002.dcm"):
        (tmp_path / "series" / name).write_bytes(b"")
    with pytest.raises(UnreadableFileError, match="No image of the series"):
        read_stack(stack)


def test_images_whose_high_values_are_dark_among_bright_ones_are_left_out_and_told(write_series):
    dark = {"PhotometricInterpretation": "MONOCHROME1"}
    (stack,) = write_series([(0.0, {}), (3.0, dark), (6.0, {})])
    read = read_stack(stack)
    assert not read.inverted
    assert np.isnan(read.volume.voxels[0, :, 0, 0]).tolist() == [False, True, False]
    (problem,) = read.problems
    assert "001.dcm: high values are dark, unlike" in problem


def test_a_series_whose_high_values_are_dark_is_inverted_as_a_whole(write_series):
    (stack,) = write_series([(3.0 * place, {"PhotometricInterpretation": "MONOCHROME1"}) for place in range(3)])
    read = read_stack(stack)
    assert read.inverted
    assert read.problems == ()


@pytest.mark.real
def test_real_diffusion_series_are_19_slices_of_three_b_values(real_data):
    folder = real_data / "prostatex" / "PROSTATEx" / "ProstateX-0004"
    series = [one for one in group_series(index_folder(folder).instances) if one.description.endswith("DYNDIST_MIX")]
    (stack,) = stacks_of(series[0])
    assert stack.shape == (3, 19, 128, 84)
    assert stack.time_names == ("b = 50 s/mm²", "b = 400 s/mm²", "b = 800 s/mm²")
    voxels = read_stack(stack).volume.voxels
    means = voxels.mean(axis=(1, 2, 3))
    assert means[0] > means[1] > means[2]  # signal decays with b
