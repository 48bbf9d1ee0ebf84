"""Whether the centre of a LUNGx nodule is tissue or air, and under which rule for the image's number it is tissue."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from lesion_transfer.datasets.lungx_slices import RULES, numbered_image
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.imaging.dicom_files import read_grey_image
from lesion_transfer.imaging.dicom_index import InstanceHeader
from lesion_transfer.imaging.errors import UnreadableFileError

RADIUS_MM = 2.0
"""Of the disc around the centre that is looked at: within the smallest of the nodules, which are 4 mm wide and more."""
_LEAST_RADIUS_PX = 1.0


class TissueCheck:
    """Compares the mean value at a nodule's centre with `air_below_hu`, for one patient's images."""

    def __init__(self, air_below_hu: float) -> None:
        self._air_below_hu = air_below_hu
        self._values = cache(_hounsfield_units)

    def is_tissue(self, image: InstanceHeader, centre_xy: tuple[float, float]) -> bool:
        """Whether the disc around the centre is above the threshold; RefusalError where the file cannot be read."""
        return mean_at_centre_hu(self._values(image.file), centre_xy, image.spacing_mm) >= self._air_below_hu

    def concern(
        self,
        rule: str,
        image: InstanceHeader,
        centre_xy: tuple[float, float],
        number: int,
        images: Sequence[InstanceHeader],
    ) -> str:
        """Empty where the centre is tissue on the image that the rule took; else which rules would make it tissue.

        `air_at_centre`, or `air_at_centre_tissue_by_RULE` (with several, joined by `_or_`).
        """
        if self.is_tissue(image, centre_xy):
            return ""
        passing = [other for other in RULES if other != rule and self._passes(other, centre_xy, number, images)]
        return "air_at_centre" + (f"_tissue_by_{'_or_'.join(passing)}" if passing else "")

    def _passes(self, rule: str, centre_xy: tuple[float, float], number: int, images: Sequence[InstanceHeader]) -> bool:
        try:
            return self.is_tissue(numbered_image(images, number, rule, ""), centre_xy)
        except RefusalError:
            return False


def mean_at_centre_hu(
    values: np.ndarray, centre_xy: tuple[float, float], spacing_mm: tuple[float, float] | None
) -> float:
    """The mean of an image (rows, columns) over the disc of RADIUS_MM around a centre (column, row)."""
    between_rows, between_columns = spacing_mm or (RADIUS_MM, RADIUS_MM)
    rows, columns = np.ogrid[: values.shape[0], : values.shape[1]]
    radii = max(RADIUS_MM / between_rows, _LEAST_RADIUS_PX), max(RADIUS_MM / between_columns, _LEAST_RADIUS_PX)
    inside = ((rows - centre_xy[1]) / radii[0]) ** 2 + ((columns - centre_xy[0]) / radii[1]) ** 2 <= 1
    return float(values[inside].mean())


def _hounsfield_units(file: Path) -> np.ndarray:
    try:
        return read_grey_image(file).values
    except UnreadableFileError as error:
        raise RefusalError(Reason.UNREADABLE_FILE, str(error)) from error
