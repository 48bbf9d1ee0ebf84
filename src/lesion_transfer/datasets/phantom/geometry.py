"""Where a stack of slices lies in the patient: direction cosines without sine or cosine, the matrix of the tables."""

from dataclasses import dataclass

from lesion_transfer.datasets.phantom.canvas import Triple


@dataclass(frozen=True)
class Frame:
    """An oblique frame: origin_lps_mm plus u along `row`, v along `column`, w along `normal` (unit vectors, LPS)."""

    origin_lps_mm: Triple
    row: Triple
    column: Triple
    normal: Triple

    def lps(self, at: Triple) -> Triple:
        """The LPS position, mm, of a point (u, v, w), mm."""
        u, v, w = at
        x, y, z = (
            o + u * r + v * c + w * n
            for o, r, c, n in zip(self.origin_lps_mm, self.row, self.column, self.normal, strict=True)
        )
        return x, y, z


def _turn(half_tangent: float) -> tuple[float, float]:
    """(cosine, sine) of the angle whose half has this tangent: a rational point of the circle."""
    t2 = half_tangent * half_tangent
    return (1 - t2) / (1 + t2), 2 * half_tangent / (1 + t2)


def oblique_frame(origin_lps_mm: Triple, tilt: float, yaw: float) -> Frame:
    """A transverse frame tipped about the patient's left-right axis and turned a little about the slice normal.

    tilt and yaw are tangents of half the angles; a positive tilt raises the front edge, as for a prostate.
    """
    tilt_cosine, tilt_sine = _turn(tilt)
    yaw_cosine, yaw_sine = _turn(yaw)
    column, normal = (0.0, tilt_cosine, -tilt_sine), (0.0, tilt_sine, tilt_cosine)
    row = (yaw_cosine, yaw_sine * column[1], yaw_sine * column[2])
    turned = (-yaw_sine, yaw_cosine * column[1], yaw_cosine * column[2])
    return Frame(origin_lps_mm, row, turned, normal)


@dataclass(frozen=True)
class Grid:
    """Voxels of a series in a frame: spacing (u, v, w) in mm, `first` the centre of voxel (0, 0, 0) as (u, v, w)."""

    frame: Frame
    first: Triple
    spacing_mm: Triple
    shape: tuple[int, int, int]
    """(columns, rows, slices)"""

    def voxel_lps(self, slice_index: int) -> Triple:
        """The LPS position, mm, of the centre of a slice's first pixel: DICOM's ImagePositionPatient."""
        u, v, w = self.first
        return self.frame.lps((u, v, w + slice_index * self.spacing_mm[2]))

    def index(self, at: Triple) -> Triple:
        """The (column, row, slice) index of a point (u, v, w), whole numbers at the centres of voxels."""
        i, j, k = ((x - first) / step for x, first, step in zip(at, self.first, self.spacing_mm, strict=True))
        return i, j, k

    def corner_ijk(self, at: Triple) -> tuple[int, int, int]:
        """The index that the published table gives: counted from the corner of the first voxel, and rounded."""
        i, j, k = (int((x + 0.5 + 0.5) // 1) for x in self.index(at))
        return i, j, k

    def world_matrix(self) -> list[list[float]]:
        """4 x 4: from corner-based voxel indices (column, row, slice, 1) to LPS mm, as the published tables have it."""
        u, v, w = (x - step / 2 for x, step in zip(self.first, self.spacing_mm, strict=True))
        corner = self.frame.lps((u, v, w))
        frame, (du, dv, dw) = self.frame, self.spacing_mm
        rows = [
            [frame.row[axis] * du, frame.column[axis] * dv, frame.normal[axis] * dw, corner[axis]] for axis in range(3)
        ]
        return [*rows, [0.0, 0.0, 0.0, 1.0]]
