"""The images of a DICOM series as volumes: sorted along their normal, repeated positions as points in time."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lesion_transfer.imaging.dicom_frames import read_frames
from lesion_transfer.imaging.dicom_index import InstanceHeader, Series
from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.errors import GeometryError, UnreadableFileError
from lesion_transfer.imaging.geometry import SliceGeometry, distances_mm, positions_along_normal_mm
from lesion_transfer.imaging.volume import Grid, Volume, check_voxels

logger = logging.getLogger(__name__)

_SAME_PLACE_MM = 0.01
_SAME_DIRECTION = 0.9998  # one degree, as positions_along_normal_mm demands of normals
_SAME_SPACING = 1e-3  # of the spacing
_EVEN_GAPS = 0.05  # of the median gap


@dataclass(frozen=True)
class DicomStack:
    """Images of a series that have one size, one pixel spacing and one orientation.

    images: [time][slice], from the headers alone; slices run along their normal. time_names: what tells the points in
    time apart, `b = 800 s/mm2`; empty for a single one.
    """

    series: Series
    images: tuple[tuple[InstanceHeader, ...], ...]
    time_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(times, slices, rows, columns)."""
        first = self.images[0][0]
        return len(self.images), len(self.images[0]), first.rows, first.columns

    def index_of(self, position_lps_mm: Sequence[float]) -> tuple[int, float, float] | None:
        """The nearest slice, row and column of a point, by each slice's own header; None when it is not in the stack.

        A point belongs to the stack up to half a gap (of a single image: half its thickness) beyond the outer slices.
        """
        planes = [image.geometry for image in self.images[0]]
        if any(plane is None for plane in planes):
            return None
        placed = [plane.project(position_lps_mm) for plane in planes if plane is not None]
        number = int(np.argmin([abs(distance_mm) for _, _, distance_mm in placed]))
        x, y, distance_mm = placed[number]
        _, _, rows, columns = self.shape
        inside = -0.5 <= x <= columns - 0.5 and -0.5 <= y <= rows - 0.5 and abs(distance_mm) <= self._reach_mm()
        return (number, y, x) if inside else None

    def _reach_mm(self) -> float:
        planes = [image.geometry for image in self.images[0] if image.geometry is not None]
        # several images may lie in one place
        places_mm = distances_mm(planes, planes[0].position_lps_mm)
        gaps = np.diff(np.unique(np.round(places_mm / _SAME_PLACE_MM))) * _SAME_PLACE_MM
        gap_mm = float(np.median(gaps)) if len(gaps) else self.images[0][0].slice_thickness_mm or 0.0
        return gap_mm / 2 + _SAME_PLACE_MM


@dataclass(frozen=True)
class ReadStack:
    """The pixels of a DicomStack. windows: [time][slice], each file's own; problems: a sentence for each bad file.

    A file that cannot be read leaves nan.
    """

    volume: Volume
    windows: tuple[tuple[Window, ...], ...]
    inverted: bool
    problems: tuple[str, ...]


def stacks_of(series: Series) -> list[DicomStack]:
    """The stacks that a series consists of: one, but for localisers and the like; single-frame images alone."""
    groups: list[list[InstanceHeader]] = []
    for image in series.instances:
        if image.frames == 1:
            group = next((group for group in groups if _belong_together(group[0], image)), None)
            groups.append([image]) if group is None else group.append(image)
    return [_arranged(series, group) for group in groups]


def _belong_together(one: InstanceHeader, other: InstanceHeader) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns) or not _same_spacing(one.spacing_mm, other.spacing_mm):
        return False
    if one.geometry is None or other.geometry is None:
        return one.geometry is other.geometry
    return bool(
        np.dot(one.geometry.row_cosine, other.geometry.row_cosine) >= _SAME_DIRECTION
        and np.dot(one.geometry.column_cosine, other.geometry.column_cosine) >= _SAME_DIRECTION
        and np.dot(one.geometry.normal, other.geometry.normal) >= _SAME_DIRECTION
    )


def _same_spacing(one_mm: tuple[float, float] | None, other_mm: tuple[float, float] | None) -> bool:
    if one_mm is None or other_mm is None:
        return one_mm is other_mm
    return all(math.isclose(*pair, rel_tol=_SAME_SPACING) for pair in zip(one_mm, other_mm, strict=True))


def _arranged(series: Series, images: list[InstanceHeader]) -> DicomStack:
    planes = [image.geometry for image in images if image.geometry is not None]
    if len(planes) < len(images):
        return DicomStack(series, (tuple(images),), ("",))
    places = np.round(positions_along_normal_mm(planes) / _SAME_PLACE_MM).astype(np.int64)
    slices: dict[int, list[InstanceHeader]] = {}
    for place, image in sorted(zip(places.tolist(), images, strict=True), key=lambda pair: pair[0]):
        slices.setdefault(place, []).append(image)
    counts = {len(found) for found in slices.values()}
    if len(counts) > 1:  # not a series in time: every image stays a slice, those of one place side by side
        return DicomStack(series, (tuple(image for found in slices.values() for image in found),), ("",))
    for found in slices.values():
        found.sort(key=lambda image: -1.0 if image.b_value is None else image.b_value)
    times = tuple(zip(*slices.values(), strict=True))
    return DicomStack(series, times, tuple(_time_names(times)))


def _time_names(times: Sequence[Sequence[InstanceHeader]]) -> list[str]:
    if len(times) == 1:
        return [""]
    values = [{image.b_value for image in images} for images in times]
    if all(len(found) == 1 and None not in found for found in values) and len(set.union(*values)) > 1:
        return [f"b = {found.pop():g} s/mm²" for found in values]
    return [f"time {number + 1}" for number in range(len(times))]


def read_stack(stack: DicomStack, moved: Callable[[int, int], None] = lambda done, total: None) -> ReadStack:
    """The pixels of a stack, float32; `moved` is told how many of how many files are read.

    Raises UnreadableFileError when no file can be read, or when there are more voxels than MAX_VOXELS.
    """
    n_times, n_slices, rows, columns = stack.shape
    check_voxels(stack.shape, stack.images[0][0].file)
    voxels = np.full(stack.shape, np.nan, dtype=np.float32)
    windows: list[list[Window | None]] = [[None] * n_slices for _ in range(n_times)]
    inverted: bool | None = None
    problems: list[str] = []
    for done, (time, number) in enumerate(np.ndindex(n_times, n_slices)):
        file = stack.images[time][number].file
        try:
            image = read_frames(file)[0].grey
            if image.values.shape != (rows, columns):
                raise UnreadableFileError(f"{file}: the pixels have another size than the header says.")
            inverted = image.inverted if inverted is None else inverted
            if image.inverted != inverted:
                raise UnreadableFileError(
                    f"{file}: high values are {'dark' if image.inverted else 'bright'}, unlike in the images before it "
                    "in its series (PhotometricInterpretation). Look at the file by itself."
                )
        except UnreadableFileError as error:
            problems.append(str(error))
        else:
            voxels[time, number] = image.values
            windows[time][number] = image.window
        moved(done + 1, n_times * n_slices)
    readable = [window for row in windows for window in row if window is not None]
    if inverted is None:
        raise UnreadableFileError(f"No image of the series can be read. The first: {problems[0]}")
    for problem in problems:
        logger.warning("%s", problem)
    whole = tuple(tuple(window or readable[0] for window in row) for row in windows)
    first = stack.images[0]
    grid = grid_of([image.geometry for image in first], first[0].slice_thickness_mm)
    return ReadStack(Volume(voxels, grid), whole, inverted, tuple(problems))


def grid_of(slices: Sequence[SliceGeometry | None], thickness_mm: float | None = None) -> Grid | None:
    """The grid of evenly spaced slices; None where they are not, or do not say where they are.

    thickness_mm: of a slice, which is the step where there is but one; 1 mm where unknown.
    """
    planes = [plane for plane in slices if plane is not None]
    if len(planes) < len(slices):
        return None
    first = planes[0]
    rows_mm, columns_mm = first.spacing_mm
    try:
        if len(planes) > 1:
            gaps = np.diff(positions_along_normal_mm(planes))
            gap = float(np.median(gaps))
            if gap == 0 or np.abs(gaps - gap).max() > _EVEN_GAPS * abs(gap):
                return None
            across = (np.array(planes[-1].position_lps_mm) - first.position_lps_mm) / (len(planes) - 1)
        else:
            across = first.normal * (thickness_mm or 1.0)
        steps = np.array([across, np.array(first.column_cosine) * rows_mm, np.array(first.row_cosine) * columns_mm])
        return Grid(np.array(first.position_lps_mm), steps)
    except GeometryError:
        return None
