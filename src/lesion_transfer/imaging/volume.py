"""A volume: voxels in time, and where they lie in the patient."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.errors import GeometryError, UnreadableFileError
from lesion_transfer.imaging.geometry import SliceGeometry

MAX_VOXELS = 2**29
"""Of one volume over all its time points: 2,048 slices of 512 x 512."""

_LARGEST = float(np.finfo(np.float32).max)
_PARALLEL = 1e-3  # of the product of the three steps: a flatter grid has no inverse worth having


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a volume lie: index (slice, row, column) to LPS millimetres and back.

    origin_lps_mm: the centre of voxel (0, 0, 0). steps_lps_mm: (3, 3), its rows the steps of one slice, one row (down a
    column of pixels) and one column. Raises GeometryError when the steps are not finite or lie in one plane.
    """

    origin_lps_mm: np.ndarray
    steps_lps_mm: np.ndarray

    def __post_init__(self) -> None:
        origin, steps = np.asarray(self.origin_lps_mm, dtype=float), np.asarray(self.steps_lps_mm, dtype=float)
        if (
            origin.shape != (3,)
            or steps.shape != (3, 3)
            or not (np.isfinite(origin).all() and np.isfinite(steps).all())
        ):
            raise GeometryError("The position or the axes of the volume are not all finite numbers.")
        if abs(np.linalg.det(steps)) <= _PARALLEL * np.prod(np.linalg.norm(steps, axis=1)):
            raise GeometryError("The axes of the volume lie in one plane.")
        object.__setattr__(self, "origin_lps_mm", origin)
        object.__setattr__(self, "steps_lps_mm", steps)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(between slices, between rows, between columns)."""
        slices, rows, columns = (float(length) for length in np.linalg.norm(self.steps_lps_mm, axis=1))
        return slices, rows, columns

    @property
    def plane(self) -> SliceGeometry:
        """Its first slice; GeometryError where rows and columns are not at right angles."""
        _, between_rows, between_columns = self.spacing_mm
        _, row_step, column_step = self.steps_lps_mm
        row_cosine, column_cosine = column_step / between_columns, row_step / between_rows
        vectors = self.origin_lps_mm.tolist(), row_cosine.tolist(), column_cosine.tolist()
        position, row, column = ((x, y, z) for x, y, z in vectors)
        return SliceGeometry(position, row, column, (between_rows, between_columns))

    def index_of(self, position_lps_mm: Sequence[float]) -> tuple[float, float, float]:
        """The (slice, row, column) of a point, 0-based, voxel centres at whole numbers."""
        offset = np.asarray(position_lps_mm, dtype=float) - self.origin_lps_mm
        number, row, column = (float(part) for part in np.linalg.solve(self.steps_lps_mm.T, offset))
        return number, row, column

    def position_lps_mm_of(self, index: Sequence[float]) -> tuple[float, float, float]:
        """The point in LPS mm at a (slice, row, column); the inverse of `index_of`."""
        x, y, z = (float(part) for part in self.origin_lps_mm + np.asarray(index, dtype=float) @ self.steps_lps_mm)
        return x, y, z


@dataclass(frozen=True)
class Volume:
    """voxels: (times, slices, rows, columns) of a real type, rescaled as the file says.

    grid is None where the file does not say where it lies, or not so that it can be used. window: what the file asks
    to be shown with; None where it asks for nothing.
    """

    voxels: np.ndarray
    grid: Grid | None
    window: Window | None = None


def check_voxels(shape: Sequence[int], path: Path) -> None:
    """Raises UnreadableFileError when a declared shape is empty or larger than MAX_VOXELS."""
    voxels = math.prod(int(length) for length in shape)  # Python's numbers: a hostile product does not wrap around
    if min(shape, default=0) < 1 or voxels > MAX_VOXELS:
        declared = " x ".join(str(int(length)) for length in shape) or "no"
        raise UnreadableFileError(f"{path}: the header declares {declared} voxels; 1 to {MAX_VOXELS} are read.")


def finite_range(voxels: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest value that float32 can hold; (0, 0) when there is none."""
    if voxels.dtype.kind != "f":
        return float(voxels.min()), float(voxels.max())
    return range_of_planes(voxels.reshape(-1, *voxels.shape[-2:]) if voxels.ndim > 2 else voxels[None])


def range_of_planes(planes: Iterable[np.ndarray]) -> tuple[float, float]:
    """`finite_range` of floating-point planes that come one after the other."""
    low, high = np.inf, -np.inf
    for plane in planes:
        finite = plane[np.abs(plane) <= _LARGEST]  # false for nan
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)
