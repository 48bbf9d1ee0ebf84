"""Where a viewer stands after wheel, keys and drags: without any window."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.volume import Grid
from lesion_transfer.viewing.stack import Mark, Stack, same_window, scale_bar_mm
from lesion_transfer.viewing.view import View


def places(view):
    return view.axis, view.time, view.index


def test_the_walk_goes_through_slices_then_times_then_axes(make_stack):
    view = replace(View.opened(make_stack()), index=0)
    walk = [places(view)]
    while (following := view.walked(1)) != view:
        view = following
        walk.append(places(view))
    assert walk == [
        (axis, time, index) for axis, n in ((0, 4), (1, 5), (2, 6)) for time in range(3) for index in range(n)
    ]
    assert places(view.walked(-len(walk) + 1)) == (0, 0, 0)
    assert view.walked(-9).walked(9) == view


def test_a_chosen_axis_is_the_only_one(make_stack):
    view = View.opened(make_stack(), axis=1)
    assert places(view.walked(100)) == (1, 2, 4)
    assert places(view.walked(-100)) == (1, 0, 0)
    assert view.across(2) == view


def test_left_and_right_keep_the_slice(make_stack):
    view = View.opened(make_stack()).at(1)
    assert places(view.in_time(1)) == (0, 1, 1)
    assert places(view.in_time(9)) == (0, 2, 1)
    assert places(view.in_time(2).in_time(-1)) == (0, 1, 1)
    assert places(view.in_time(-1)) == (0, 0, 1)


@given(axis=st.sampled_from([0, 1, 2]), time=st.integers(0, 2), index=st.integers(0, 3))
def test_a_plane_holds_the_voxels_of_its_index(axis, time, index):
    digits = np.fromfunction(lambda t, s, r, c: 1000 * t + 100 * s + 10 * r + c, (3, 4, 5, 6))
    stack = Stack("x", digits, same_window(Window(1, 2), 3, 4))
    plane = stack.plane(time, axis, index).astype(int)
    assert set(plane.ravel() // 1000) == {time}
    assert set(plane.ravel() // (100, 10, 1)[axis] % 10) == {index}
    assert plane.size == len(set(plane.ravel())) == (30, 24, 20)[axis]


ACQUISITIONS = {
    "transverse": [(0, 0, 3), (0, 1, 0), (1, 0, 0)],
    "transverse, head first": [(0, 0, -3), (0, 1, 0), (1, 0, 0)],
    "coronal": [(0, 3, 0), (0, 0, -1), (1, 0, 0)],
    "sagittal": [(3, 0, 0), (0, 0, -1), (0, 1, 0)],
    "oblique": [(0, 0.9, 2.8), (0, 0.95, -0.3), (1, 0, 0)],
}
PLANES = {
    "transverse": ("transverse", "coronal", "sagittal"),
    "coronal": ("coronal", "transverse", "sagittal"),
    "sagittal": ("sagittal", "transverse", "coronal"),
}


@pytest.mark.parametrize("name", ACQUISITIONS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_edges_tell_the_side_of_the_patient_and_cuts_stand_upright(make_stack, name, axis):
    """By the position of the plane's own corners in the patient, LPS mm."""
    grid = Grid(np.zeros(3), np.array(ACQUISITIONS[name], dtype=float))
    stack = make_stack(grid=grid)
    layout = stack.layouts[axis]
    plane = stack.plane(0, axis, 1).astype(int)

    def position(row, column):
        value = int(plane[row, column])
        return np.array(grid.position_lps_mm_of((value // 100, value // 10 % 10, value % 10)))

    down, right = position(-1, 0) - position(0, 0), position(0, -1) - position(0, 0)
    letters = np.array([["R", "L"], ["A", "P"], ["F", "H"]])
    for step, (start, end) in ((down, layout.edges[:2]), (right, layout.edges[2:])):
        side = int(np.argmax(np.abs(step)))
        assert [start, end] == list(letters[side][:: 1 if step[side] > 0 else -1])
    assert layout.edges[0] in "HA"
    assert layout.edges[2] in "RA"
    assert layout.name == PLANES.get(name, PLANES["transverse"])[axis]


@pytest.mark.parametrize("name", ACQUISITIONS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mark_lies_on_its_voxel_in_every_plane(make_stack, name, axis):
    stack = make_stack(
        grid=Grid(np.zeros(3), np.array(ACQUISITIONS[name], dtype=float)), marks=(Mark((2, 3, 1), "here"),)
    )
    view = View.opened(stack, axis)
    ((x, y, label),) = view.marks()
    assert label == "here"
    assert stack.plane(0, axis, view.index)[int(y), int(x)] == 231
    assert not view.walked(1).marks() or view.walked(1).index == view.index


def test_marks_are_visited_in_turn(make_stack):
    marks = (Mark((3, 1, 1), "b"), Mark((1, 1, 1), "a"), Mark((1, 0, 0), "c"))
    view = View.opened(make_stack(marks=marks))
    assert places(view) == (0, 0, 3)
    view = view.in_time(1).at_next_mark()
    assert places(view) == (0, 1, 1)
    assert [name for _, _, name in view.marks()] == ["a", "c"]
    assert places(view.at_next_mark()) == (0, 1, 3)
    assert places(View.opened(make_stack()).at_next_mark()) == (0, 0, 2)


def test_a_drag_changes_the_window_and_w_gives_the_files_back(make_stack):
    view = View.opened(make_stack())
    wider, brighter = view.dragged(0.2, 0).current_window, view.dragged(0, 0.2).current_window
    assert wider.width > view.current_window.width
    assert wider.centre == view.current_window.centre
    assert brighter.centre < view.current_window.centre
    assert view.dragged(0, 0.2).shown().mean() > view.shown().mean()
    inverted = View.opened(make_stack(inverted=True))
    assert inverted.dragged(0, 0.2).shown().mean() > inverted.shown().mean()
    assert view.dragged(0.2, 0.1).file_windowed() == view
    assert np.isfinite(view.dragged(-50, 0).shown()).all()


def test_each_image_has_its_files_window(make_stack):
    windows = tuple(tuple(Window(100.0 * time + slice_, 50) for slice_ in range(4)) for time in range(3))
    view = View.opened(make_stack(windows=windows))
    assert view.at(3).in_time(2).current_window.centre == 203
    assert view.across(1).in_time(1).current_window.centre == 102  # of the middle slice


def test_the_window_of_a_slice_spans_its_percentiles(make_stack):
    view = View.opened(make_stack()).at(2).auto_windowed()
    low, high = np.percentile(view.stack.plane(0, 0, 2), [0.5, 99.5])
    assert view.current_window.centre == pytest.approx((low + high) / 2)
    assert view.current_window.width == pytest.approx(high - low)


def test_pixels_that_are_no_numbers_are_black(make_stack):
    stack = make_stack()
    stack.voxels[0, 0] = np.nan
    assert not View.opened(stack).at(0).shown().any()
    assert View.opened(stack).at(0).auto_windowed() == View.opened(stack).at(0)


def test_the_caption_says_where(make_stack):
    view = View.opened(make_stack(time_names=("b = 50", "b = 400", "b = 800"))).at(3).in_time(1)
    assert view.caption() == "slice 4 of 4 · b = 400 (2 of 3) · transverse (axis 0) · file's window 1178 ± 1178"


@given(st.floats(1e-3, 1e6))
@example(math.nextafter(4000.0, 0))
def test_a_scale_bar_is_round_and_between_a_tenth_and_a_quarter_of_the_width(width_mm):
    length_mm = scale_bar_mm(width_mm)
    assert width_mm / 10 * (1 - 1e-9) <= length_mm <= width_mm / 4
    assert f"{length_mm:.0e}"[0] in "125"
    assert float(f"{length_mm:.0e}") == pytest.approx(length_mm, rel=1e-12)
