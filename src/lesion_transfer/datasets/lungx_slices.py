"""Which CT image a LUNGx table means by its number: by instance number, or by place in the stack."""

from collections.abc import Sequence

from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.imaging.dicom_index import InstanceHeader, Series, group_series
from lesion_transfer.imaging.errors import GeometryError
from lesion_transfer.imaging.geometry import positions_along_normal_mm

BY_NUMBER, FROM_HEAD, FROM_FEET = "instance_number", "position", "position_from_feet"
RULES = (BY_NUMBER, FROM_HEAD, FROM_FEET)
"""InstanceNumber is the table's; or the image is that many from the head, or from the feet, the first being 1."""


def numbered_image(images: Sequence[InstanceHeader], number: int, rule: str, patient_id: str) -> InstanceHeader:
    """The CT image of that number under one of RULES; of several series the largest, then the highest series number.

    An image that the largest lacks is not taken from another series, in which that number is another place.
    Raises RefusalError: `missing_series`, `missing_slice`, `ambiguous_file`.
    """
    series = group_series(image for image in images if image.modality in {"CT", ""} and image.frames == 1)
    if not series:
        raise RefusalError(Reason.MISSING_SERIES, f"{patient_id} has no CT images in single frames.")
    scan = max(series, key=lambda one: (len(one.instances), one.number or 0, one.series_uid))
    image = _by_instance_number(scan, number) if rule == BY_NUMBER else _by_position(scan, number, rule)
    if image is None:
        what = "with instance number" if rule == BY_NUMBER else "in the place"
        largest = f" in {scan.name}, the largest of {len(series)}" if len(series) > 1 else ""
        raise RefusalError(Reason.MISSING_SLICE, f"{patient_id} has no CT image {what} {number} ({rule}){largest}.")
    return image


def _by_instance_number(series: Series, number: int) -> InstanceHeader | None:
    found = [image for image in series.instances if image.instance_number == number]
    if len({image.geometry.position_lps_mm for image in found if image.geometry is not None}) > 1:
        raise RefusalError(
            Reason.AMBIGUOUS_FILE,
            f"{len(found)} images of {series.name} have the instance number {number}, in different places, among them "
            f"{found[0].file.name} and {found[1].file.name}.",
        )
    return found[0] if found else None


def _by_position(series: Series, number: int, rule: str) -> InstanceHeader | None:
    """The image in that place of the stack, counted from 1; images in one place count once."""
    placed = [(image, image.geometry) for image in series.instances if image.geometry is not None]
    try:
        along_mm = positions_along_normal_mm([geometry for _, geometry in placed]).round(3)
    except GeometryError:
        return None
    in_place: dict[float, InstanceHeader] = {}
    for (image, _), position_mm in zip(placed, along_mm.tolist(), strict=True):
        in_place.setdefault(position_mm, image)
    # Positions rise along the normal, which may point to the head (z > 0) or to the feet.
    rises_to_head = bool(placed) and bool(placed[0][1].normal[2] > 0)
    order = sorted(in_place, reverse=rises_to_head == (rule == FROM_HEAD))
    return in_place[order[number - 1]] if 1 <= number <= len(order) else None
