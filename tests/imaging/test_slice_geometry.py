"""Pixels to millimetres and back, for any plane in the patient."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesion_transfer.imaging.errors import GeometryError
from lesion_transfer.imaging.geometry import SliceGeometry, order_along_normal, slice_spacing_mm

FLAT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
angles = st.floats(-math.pi, math.pi)
coordinates = st.floats(-500, 500)
spacings = st.floats(0.1, 10)


def rotated(a: float, b: float, c: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Row and column cosines of a plane turned about z, y and x."""
    z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    x = np.array([[1, 0, 0], [0, math.cos(c), -math.sin(c)], [0, math.sin(c), math.cos(c)]])
    turn = z @ y @ x
    return tuple(turn[:, 0].tolist()), tuple(turn[:, 1].tolist())


@st.composite
def geometries(draw: st.DrawFn) -> SliceGeometry:
    row, column = rotated(draw(angles), draw(angles), draw(angles))
    position = (draw(coordinates), draw(coordinates), draw(coordinates))
    return SliceGeometry(position, row, column, (draw(spacings), draw(spacings)))


@given(geometries(), coordinates, coordinates, st.floats(-50, 50))
def test_project_undoes_position(geometry, x, y, distance_mm):
    position = geometry.position_lps_mm_at(x, y, distance_mm)
    assert geometry.project(position) == pytest.approx((x, y, distance_mm), abs=1e-6)


@given(geometries(), st.integers(0, 500), st.integers(0, 500))
def test_pixel_centres_follow_the_standards_equation(geometry, column, row):
    # PS3.3 equation C.7.6.2.1-1: X is row cosine x column spacing, PixelSpacing lists the spacing between rows first.
    rows_mm, columns_mm = geometry.spacing_mm
    expected = [
        s + x * columns_mm * column + y * rows_mm * row
        for s, x, y in zip(geometry.position_lps_mm, geometry.row_cosine, geometry.column_cosine, strict=True)
    ]
    assert geometry.position_lps_mm_at(column, row) == pytest.approx(expected, abs=1e-6)
    assert geometry.project(expected) == pytest.approx((column, row, 0), abs=1e-6)


def test_x_is_the_column_and_y_the_row():
    geometry = SliceGeometry((10.0, 20.0, 30.0), *FLAT, spacing_mm=(2.0, 0.5))
    assert geometry.project((11.0, 26.0, 29.0)) == pytest.approx((2.0, 3.0, -1.0))


@given(geometries(), st.permutations(range(6)), st.floats(0.5, 9))
def test_slices_are_sorted_along_their_normal(geometry, order, gap_mm):
    stack = [
        SliceGeometry(
            geometry.position_lps_mm_at(0, 0, gap_mm * place),
            geometry.row_cosine,
            geometry.column_cosine,
            geometry.spacing_mm,
        )
        for place in order
    ]
    assert [order[index] for index in order_along_normal(stack)] == list(range(6))
    assert slice_spacing_mm(stack) == pytest.approx(gap_mm, abs=1e-3)


def test_a_missing_slice_does_not_change_the_slice_spacing():
    stack = [SliceGeometry((0.0, 0.0, z), *FLAT, spacing_mm=(1.0, 1.0)) for z in (0.0, 3.0, 6.0, 12.0, 15.0)]
    assert slice_spacing_mm(stack) == pytest.approx(3.0)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
@pytest.mark.parametrize("degrees", [-40, 0, 5, 90, 180])
def test_a_turn_about_any_axis_is_told_also_where_rows_or_columns_stay(axis, degrees):
    """About x the rows keep their direction, about y the columns do."""
    flat = SliceGeometry((0.0, 0.0, 0.0), *FLAT, spacing_mm=(1.0, 1.0))
    angles = (math.radians(degrees) if axis == one else 0.0 for one in "zyx")
    turned = SliceGeometry((0.0, 0.0, 0.0), *rotated(*angles), spacing_mm=(1.0, 1.0))
    assert flat.turn_degrees(turned) == pytest.approx(abs(degrees), abs=1e-4)
    assert turned.turn_degrees(flat) == flat.turn_degrees(turned)


def test_one_slice_has_no_slice_spacing():
    assert slice_spacing_mm([SliceGeometry((0.0, 0.0, 0.0), *FLAT, spacing_mm=(1.0, 1.0))]) is None
    assert order_along_normal([]) == []


def test_crossing_slices_are_not_sorted():
    flat = SliceGeometry((0.0, 0.0, 0.0), *FLAT, spacing_mm=(1.0, 1.0))
    upright = SliceGeometry((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (1.0, 1.0))
    with pytest.raises(GeometryError, match="not parallel"):
        order_along_normal([flat, upright])


@pytest.mark.parametrize(("degrees", "transverse"), [(0, True), (12, True), (40, True), (50, False), (90, False)])
def test_transverse_is_by_orientation_however_oblique(degrees, transverse):
    row, column = rotated(0, 0, math.radians(degrees))
    assert SliceGeometry((0.0, 0.0, 0.0), row, column, (1.0, 1.0)).is_transverse is transverse


@pytest.mark.parametrize(
    ("row", "column", "spacing_mm", "position"),
    [
        ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0), (0.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (1.0, 1.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 1.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, -1.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0), (math.nan, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (math.inf, 1.0), (0.0, 0.0, 0.0)),
    ],
)
def test_a_plane_that_is_none_is_refused(row, column, spacing_mm, position):
    with pytest.raises(GeometryError):
        SliceGeometry(position, row, column, spacing_mm)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_a_missing_element_is_named(make_dicom, keyword):
    with pytest.raises(GeometryError, match=keyword):
        SliceGeometry.from_dataset(make_dicom(**{keyword: None}))


def test_header_gives_rows_first_spacing(make_dicom):
    geometry = SliceGeometry.from_dataset(make_dicom(PixelSpacing=[3.0, 0.5]))
    assert geometry.project((1.0, 3.0, 0.0)) == pytest.approx((2.0, 1.0, 0.0))
