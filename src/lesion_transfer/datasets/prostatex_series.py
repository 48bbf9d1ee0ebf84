"""Which series of a PROSTATEx patient is which channel, and which study counts when there are several."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lesion_transfer.datasets.prostatex_tables import ImageRow, Position
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.imaging.dicom_index import InstanceHeader, Series

_T2 = re.compile(r"t2_tse_tra", re.IGNORECASE)
_ADC = re.compile(r"(^|_)ADC(_|$)", re.IGNORECASE)
_COMPUTED_B = re.compile(r"CALC_BVAL", re.IGNORECASE)
_OTHER_MAP = re.compile(r"(^|_)(FA|COLFA|TENSOR|EXP)(_|$)", re.IGNORECASE)

Rank = tuple[float, ...]


@dataclass(frozen=True)
class Candidate:
    """A series that can serve as a channel, cut down to the images that count; the highest rank is taken."""

    series: Series
    rank: Rank


def _t2(series: Series) -> Rank | None:
    return () if _T2.match(series.description) else None


def _adc(series: Series) -> Rank | None:
    by_type = any("ADC" in image.image_type for image in series.instances)
    return () if by_type or _ADC.search(series.description) else None


def _dwi(series: Series) -> Rank | None:
    # An ADC map carries a b-value too: that of the images it was computed from.
    if _adc(series) is not None or _OTHER_MAP.search(series.description):
        return None
    computed = bool(_COMPUTED_B.search(series.description))
    b_values = [image.b_value for image in series.instances if image.b_value is not None]
    return (float(computed), max(b_values, default=0.0)) if b_values or computed else None


_RANKS: dict[str, Callable[[Series], Rank | None]] = {"t2": _t2, "dwi": _dwi, "adc": _adc}
_MEANING = {
    "t2": "T2 (description t2_tse_tra...)",
    "dwi": "diffusion series with a known b-value",
    "adc": "ADC map",
}
CHANNELS = tuple(_RANKS)


def candidates(channel: str, series: Sequence[Series]) -> list[Candidate]:
    """The transverse series that can serve as the channel, the one to take first.

    Order: for dwi a computed b-value before measured ones, then the higher b; then the higher series number, as a
    repeated series replaces the one before it; then the UID, so that the order never depends on the file system. Of
    a diffusion series only the images of its highest b-value are kept.
    """
    found = []
    for whole in series:
        images = tuple(image for image in whole.instances if _usable(image))
        rank = _RANKS[channel](replace(whole, instances=images)) if images else None
        if rank is None:
            continue
        if channel == "dwi":
            highest = max((image.b_value for image in images if image.b_value is not None), default=None)
            images = tuple(image for image in images if image.b_value == highest)
        found.append(Candidate(replace(whole, instances=images), rank))
    return sorted(
        found,
        key=lambda one: (one.rank, -1 if one.series.number is None else one.series.number, one.series.series_uid),
        reverse=True,
    )


def _usable(image: InstanceHeader) -> bool:
    return image.frames == 1 and image.geometry is not None and image.geometry.is_transverse


def choose_series(channel: str, series: Sequence[Series], patient_id: str) -> Series:
    """The series of a channel; RefusalError `missing_series` when the patient has none."""
    found = candidates(channel, series)
    if not found:
        seen = ", ".join(sorted({one.description or "no description" for one in series}))
        raise RefusalError("missing_series", f"{patient_id} has no transverse {_MEANING[channel]} among: {seen}.")
    return found[0].series


def choose_study(
    series: Sequence[Series], rows: Sequence[ImageRow], position_lps_mm: Position, channels: Sequence[str]
) -> list[Series]:
    """The series of the study in which a finding was described; `rows` are the finding's image rows.

    Of several studies: the one whose series agree with the most rows in number and description; then with the most
    voxels (ijk) that those rows give for the position; then with the most channels; then the smallest UID.
    """
    studies: dict[str, list[Series]] = {}
    for one in series:
        studies.setdefault(one.study_uid, []).append(one)
    if len(studies) == 1:
        return list(series)

    def merit(study_uid: str) -> tuple[int, int, int]:
        members = studies[study_uid]
        named = [(one, row) for one in members for row in rows if matches(one, row)]
        placed = sum(_shows(one, row, position_lps_mm) for one, row in named)
        return len(named), placed, sum(bool(candidates(channel, members)) for channel in channels)

    return studies[max(sorted(studies), key=merit)]


def matches(series: Series, row: ImageRow) -> bool:
    """Whether an image row speaks of this series, by number and description."""
    return series.number == row.series_number and series.description.casefold() == row.series_description.casefold()


def _shows(series: Series, row: ImageRow, position_lps_mm: Position) -> bool:
    """Whether the position falls into the column and row of the image row (counted from the corner), within a pixel."""
    geometry = next((image.geometry for image in series.instances if image.geometry is not None), None)
    if geometry is None:
        return False
    x, y, _ = geometry.project(position_lps_mm)
    return abs(x + 0.5 - row.ijk[0]) <= 1 and abs(y + 0.5 - row.ijk[1]) <= 1
