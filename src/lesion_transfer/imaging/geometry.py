"""Where a slice lies in the patient: pixels to millimetres and back (DICOM PS3.3 C.7.6.2.1.1)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from pydicom import Dataset

from lesion_transfer.imaging.errors import GeometryError

Vector = tuple[float, float, float]

_UPRIGHT = 0.5
_UNIT_TOLERANCE = 1e-2  # headers carry cosines as short decimal texts
_PARALLEL_COSINE = 0.9998  # one degree


@dataclass(frozen=True, slots=True)
class SliceGeometry:
    """A plane of pixels in LPS millimetres (x to the left, y to the back, z to the head).

    position_lps_mm: the centre of the first pixel (column 0, row 0), ImagePositionPatient.
    row_cosine, column_cosine: unit vectors in which the column index and the row index grow.
    spacing_mm: (between rows, between columns), as PixelSpacing.

    Raises GeometryError when the plane is not one: not finite, no length, or directions that are not at right angles.
    """

    position_lps_mm: Vector
    row_cosine: Vector
    column_cosine: Vector
    spacing_mm: tuple[float, float]

    def __post_init__(self) -> None:
        parts = self.position_lps_mm, self.row_cosine, self.column_cosine, self.spacing_mm
        finite = all(math.isfinite(number) for part in parts for number in part)
        if [len(part) for part in parts] != [3, 3, 3, 2] or not finite:
            raise GeometryError("The position, direction cosines or spacing of the image are not all finite numbers.")
        if min(self.spacing_mm) <= 0:
            raise GeometryError("PixelSpacing is not above 0 mm.")
        # Minus zero would be the same key as zero.
        row, column = _unit_vectors(*(tuple(part + 0.0 for part in cosine) for cosine in parts[1:3]))
        object.__setattr__(self, "row_cosine", row)
        object.__setattr__(self, "column_cosine", column)

    @classmethod
    def from_dataset(cls, dataset: Dataset | Mapping[str, Any]) -> Self:
        """The geometry that the header of a single-frame image gives; GeometryError when it gives none."""
        orientation = _numbers(dataset, "ImageOrientationPatient", 6)
        spacing = _numbers(dataset, "PixelSpacing", 2)
        return cls(
            position_lps_mm=_vector(_numbers(dataset, "ImagePositionPatient", 3)),
            row_cosine=_vector(orientation[:3]),
            column_cosine=_vector(orientation[3:]),
            spacing_mm=(spacing[0], spacing[1]),
        )

    @property
    def normal(self) -> np.ndarray:
        """The unit vector (3,) across the slice: row_cosine x column_cosine."""
        return _normal(self.row_cosine, self.column_cosine)

    @property
    def is_transverse(self) -> bool:
        """Whether the normal runs more along the body axis than along any other, however oblique."""
        x, y, z = map(abs, _cross(self.row_cosine, self.column_cosine))
        return z > max(x, y)

    @property
    def is_upright(self) -> bool:
        """Whether columns run to the patient's left and rows to the back, within 60 degrees: as transverse slices are
        looked at, neither mirrored nor turned."""
        return self.row_cosine[0] > _UPRIGHT and self.column_cosine[1] > _UPRIGHT

    def turn_degrees(self, other: "SliceGeometry") -> float:
        """The larger of the angles between the two slices' rows and between their columns."""
        pairs = (self.row_cosine, other.row_cosine), (self.column_cosine, other.column_cosine)
        least = min(float(np.dot(one, two)) for one, two in pairs)
        return math.degrees(math.acos(min(1.0, max(-1.0, least))))

    def project(self, position_lps_mm: Sequence[float]) -> tuple[float, float, float]:
        """(x, y, distance_mm) of a point: column and row, 0-based with pixel centres at whole numbers, and its
        signed distance from the plane along the normal."""
        offset = np.asarray(position_lps_mm, dtype=float) - self.position_lps_mm
        x, y, distance_mm = np.linalg.solve(_steps_mm(self.row_cosine, self.column_cosine, self.spacing_mm), offset)
        return float(x), float(y), float(distance_mm)

    def position_lps_mm_at(self, x: float, y: float, distance_mm: float = 0.0) -> Vector:
        """The point in LPS mm at column x and row y, distance_mm along the normal; the inverse of `project`."""
        steps_mm = _steps_mm(self.row_cosine, self.column_cosine, self.spacing_mm)
        return _vector(self.position_lps_mm + steps_mm @ np.array([x, y, distance_mm]))


# All images of a series share what the next functions give, and every image of an archive asks for it.
@lru_cache(maxsize=2**12)
def _unit_vectors(row_cosine: Vector, column_cosine: Vector) -> tuple[Vector, Vector]:
    """The directions as unit vectors; GeometryError where they are not nearly that, at right angles."""
    row, column = np.array(row_cosine), np.array(column_cosine)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > _UNIT_TOLERANCE or abs(row @ column) > _UNIT_TOLERANCE:
        raise GeometryError("The direction cosines are not unit vectors at right angles.")
    return _vector(row / lengths[0]), _vector(column / lengths[1])


@lru_cache(maxsize=2**12)
def _normal(row_cosine: Vector, column_cosine: Vector) -> np.ndarray:
    normal = np.array(_cross(row_cosine, column_cosine))
    normal = normal / np.linalg.norm(normal)
    normal.flags.writeable = False
    return normal


@lru_cache(maxsize=2**12)
def _steps_mm(row_cosine: Vector, column_cosine: Vector, spacing_mm: tuple[float, float]) -> np.ndarray:
    """(3, 3): as columns the steps of one column, of one row, and of one mm along the normal."""
    rows_mm, columns_mm = spacing_mm
    steps_mm = np.column_stack(
        [np.array(row_cosine) * columns_mm, np.array(column_cosine) * rows_mm, _normal(row_cosine, column_cosine)]
    )
    steps_mm.flags.writeable = False
    return steps_mm


def _cross(row_cosine: Vector, column_cosine: Vector) -> Vector:
    """row_cosine x column_cosine; np.cross takes 50 times as long."""
    (a, b, c), (d, e, f) = row_cosine, column_cosine
    return b * f - c * e, c * d - a * f, a * e - b * d


def _vector(numbers: Any) -> Vector:
    x, y, z = (float(number) for number in numbers)
    return x, y, z


def _numbers(dataset: Dataset | Mapping[str, Any], keyword: str, count: int) -> list[float]:
    value = dataset.get(keyword)
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != count:
        raise GeometryError(f"{keyword} is missing or has not {count} numbers.")
    return [float(number) for number in value]


def positions_along_normal_mm(geometries: Sequence[SliceGeometry]) -> np.ndarray:
    """(n,) where each plane crosses the first one's normal, in mm; GeometryError when they are not parallel."""
    if not geometries:
        return np.empty(0)
    normal = geometries[0].normal
    if min(geometry.normal @ normal for geometry in geometries) < _PARALLEL_COSINE:
        raise GeometryError("The slices are not parallel: they cannot be sorted along one normal.")
    return np.array([geometry.position_lps_mm @ normal for geometry in geometries])


def pixel_spacing_mm(dataset: Dataset | Mapping[str, Any]) -> tuple[float, float] | None:
    """(between rows, between columns) as PixelSpacing gives it; None where it gives no two numbers above 0."""
    try:
        rows_mm, columns_mm = _numbers(dataset, "PixelSpacing", 2)
    except GeometryError:
        return None
    known = all(math.isfinite(length) and length > 0 for length in (rows_mm, columns_mm))
    return (rows_mm, columns_mm) if known else None


def distances_mm(geometries: Sequence[SliceGeometry], position_lps_mm: Sequence[float]) -> np.ndarray:
    """(n,) the signed distance of a point from each plane along its normal, as `SliceGeometry.project` gives it."""
    steps_mm = [_steps_mm(one.row_cosine, one.column_cosine, one.spacing_mm) for one in geometries]
    offsets_mm = np.asarray(position_lps_mm, dtype=float) - np.array([one.position_lps_mm for one in geometries])
    return np.linalg.solve(np.array(steps_mm), offsets_mm[..., None])[:, 2, 0]


def order_along_normal(geometries: Sequence[SliceGeometry]) -> list[int]:
    """The indices that sort a series along its normal; slices in one place keep their order."""
    return [int(index) for index in np.argsort(positions_along_normal_mm(geometries), kind="stable")]


def slice_spacing_mm(geometries: Sequence[SliceGeometry]) -> float | None:
    """The median gap between neighbouring planes, mm; None with fewer than two planes."""
    positions_mm = np.unique(positions_along_normal_mm(geometries).round(4))
    return float(np.median(np.diff(positions_mm))) if len(positions_mm) > 1 else None
