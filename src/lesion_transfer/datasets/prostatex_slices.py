"""Which slice of a series shows a PROSTATEx finding: by where it lies in the patient, or by the thesis's rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lesion_transfer.datasets.prostatex_tables import ImageRow, Position
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.imaging.dicom_index import InstanceHeader, Series
from lesion_transfer.imaging.errors import GeometryError
from lesion_transfer.imaging.geometry import distances_mm, order_along_normal, slice_spacing_mm

SLICE_RULES = ("world", "instance_number")
OUTSIDE_TOLERANCE_MM = 0.05
"""Positions and headers are decimal texts: a lesion on the border between two slices may seem this far off both."""


@dataclass(frozen=True)
class PlacedSlice:
    """An image, the finding's centre (column, row) on it, and how far its plane is from the finding, mm."""

    image: InstanceHeader
    centre_xy: tuple[float, float]
    distance_mm: float


def choose_slice(rule: str, series: Series, position_lps_mm: Position, rows: Sequence[ImageRow]) -> PlacedSlice:
    """The slice that shows the position; `rows` are the finding's image rows, which only `instance_number` reads.

    Raises RefusalError: `missing_slice`, `outside_volume`.
    """
    image = (
        _nearest(series, position_lps_mm)
        if rule == "world"
        else _by_instance_number(series, [row for row in rows if matches(series, row)])
    )
    placed = _placed(image, position_lps_mm)
    x, y = placed.centre_xy
    if not (-0.5 <= x <= image.columns - 0.5 and -0.5 <= y <= image.rows - 0.5):
        raise RefusalError(
            Reason.OUTSIDE_VOLUME,
            f"The position falls on column {x:.1f}, row {y:.1f} of {series.name}, whose images are "
            f"{image.columns} x {image.rows}.",
        )
    return placed


def shows(series: Series, position_lps_mm: Position) -> bool:
    """Whether the position lies within the series: on one of its slices, or within half their spacing of one."""
    try:
        choose_slice("world", series, position_lps_mm, ())
    except RefusalError:
        return False
    return True


def matches(series: Series, row: ImageRow) -> bool:
    """Whether an image row speaks of this series, by number and description."""
    return series.number == row.series_number and series.description.casefold() == row.series_description.casefold()


def _placed(image: InstanceHeader, position_lps_mm: Position) -> PlacedSlice:
    assert image.geometry is not None  # candidates are cut down to images with one
    x, y, distance_mm = image.geometry.project(position_lps_mm)
    return PlacedSlice(image, (x, y), abs(distance_mm))


def _nearest(series: Series, position_lps_mm: Position) -> InstanceHeader:
    images = _sorted_images(series)
    geometries = [image.geometry for image in images if image.geometry is not None]
    away_mm = distances_mm(geometries, position_lps_mm)
    nearest = int(np.argmin(np.abs(away_mm)))
    spacing_mm = slice_spacing_mm(geometries) or images[0].slice_thickness_mm
    if spacing_mm is None:
        raise RefusalError(Reason.MISSING_SLICE, f"{series.name} is a single slice of unknown thickness.")
    if abs(away_mm[nearest]) > spacing_mm / 2 + OUTSIDE_TOLERANCE_MM:
        between = away_mm.min() < 0 < away_mm.max()
        raise RefusalError(
            Reason.MISSING_SLICE if between else Reason.OUTSIDE_VOLUME,
            f"The nearest slice of {series.name} is {abs(away_mm[nearest]):.1f} mm from the position, more than "
            f"half of the {spacing_mm:.1f} mm between slices"
            + (": a slice is missing or could not be read." if between else "."),
        )
    return images[nearest]


def _sorted_images(series: Series) -> list[InstanceHeader]:
    """The images sorted along the normal; of several in one place, the one with the lowest instance number first."""
    geometries = [image.geometry for image in series.instances if image.geometry is not None]
    try:
        return [series.instances[index] for index in order_along_normal(geometries)]
    except GeometryError as error:
        raise RefusalError(Reason.MISSING_SERIES, f"{series.name}: {error}") from error


def _by_instance_number(series: Series, rows: Sequence[ImageRow]) -> InstanceHeader:
    """The thesis's algorithm 2: InstanceNumber = k + 1, k the slice of the images table."""
    if not rows:
        raise RefusalError(Reason.MISSING_SLICE, f"The images table has no row of this finding for {series.name}.")
    k = int(rows[0].ijk[2])
    if k < 0:
        raise RefusalError(Reason.NEGATIVE_K, f"The images table puts the finding on slice {k} of {series.name}.")
    wanted = k + 1
    for image in series.instances:
        if image.instance_number == wanted:
            return image
    raise RefusalError(Reason.MISSING_SLICE, f"{series.name} has no image with instance number {wanted}.")
