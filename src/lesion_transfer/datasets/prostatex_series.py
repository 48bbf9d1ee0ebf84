"""Which series of a PROSTATEx patient is which channel, and which study counts when there are several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lesion_transfer.datasets.prostatex_names import (
    ADC,
    DWI,
    T2,
    has_computed_b,
    name_rule,
    named_b_value,
    named_sequence,
)
from lesion_transfer.datasets.prostatex_slices import matches, shows
from lesion_transfer.datasets.prostatex_tables import ImageRow, Position
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.imaging.dicom_index import InstanceHeader, Series

Rank = tuple[float, ...]


@dataclass(frozen=True)
class Candidate:
    """A series that can serve as a channel, cut down to the images that count; the highest rank is taken."""

    series: Series
    rank: Rank


def _t2(series: Series) -> Rank | None:
    return () if named_sequence(series.description) == T2 else None


def _adc(series: Series) -> Rank | None:
    by_type = any("ADC" in image.image_type for image in series.instances)
    return () if by_type or named_sequence(series.description) == ADC else None


def _dwi(series: Series) -> Rank | None:
    # An ADC map carries a b-value too: that of the images it was computed from.
    rule = name_rule(series.description)
    if _adc(series) is not None or (rule is not None and rule.sequence != DWI):
        return None
    computed = has_computed_b(series.description)
    b_values = [image.b_value for image in series.instances if image.b_value is not None]
    named = named_b_value(series.description)
    if not b_values and named is not None:
        b_values = [named]
    return (float(computed), max(b_values, default=0.0)) if b_values or computed else None


_RANKS: dict[str, Callable[[Series], Rank | None]] = {T2: _t2, DWI: _dwi, ADC: _adc}
_MEANING = {
    T2: "T2 (description t2_tse...)",
    DWI: "diffusion series with a known b-value",
    ADC: "ADC map",
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


def _set_aside(series: Sequence[Series]) -> str:
    """A sentence on images that no channel can be made of; empty without any."""
    images = [image for one in series for image in one.instances]
    in_frames = sum(image.frames > 1 for image in images)
    placeless = sum(image.frames == 1 and image.geometry is None for image in images)
    kinds = [(in_frames, "hold several frames"), (placeless, "do not say where they lie in the patient")]
    told = " and ".join(f"{n} {what}" for n, what in kinds if n)
    return f" Of its images {told}: these are not used." if told else ""


def choose_series(
    channel: str,
    series: Sequence[Series],
    patient_id: str,
    position_lps_mm: Position | None = None,
    described: Sequence[ImageRow] = (),
) -> Series:
    """The first of the channel's best candidates that shows the position; where none does, or none is given, the first.

    A repeated T2 may lie elsewhere: of ProstateX-0148 the last one does not reach the findings, and the first does.
    RefusalError `missing_series`, with what the table names, when there is no candidate.
    """
    found = candidates(channel, series)
    if not found:
        seen = ", ".join(one.name for one in series)
        rows = sorted({(row.series_number, row.series_description) for row in described})
        named = ", ".join(f"{number} ({text})" for number, text in rows if named_sequence(text) == channel)
        hint = f" The images table names series {named}." if named else ""
        raise RefusalError(
            Reason.MISSING_SERIES,
            f"{patient_id} has no transverse {_MEANING[channel]} among: {seen}.{hint}{_set_aside(series)}",
        )
    if position_lps_mm is not None:
        alike = (one.series for one in found if one.rank == found[0].rank)  # another b-value is another channel
        return next((one for one in alike if shows(one, position_lps_mm)), found[0].series)
    return found[0].series


def choose_study(
    series: Sequence[Series], rows: Sequence[ImageRow], position_lps_mm: Position, channels: Sequence[str]
) -> list[Series]:
    """The series of the study in which a finding was described; `rows` are the finding's image rows.

    Of several studies: the one that shows the position in the most channels (those of ProstateX-0025 share numbers and
    names, and each shows but some findings); then whose series agree with the most rows in number and description; then
    with the most voxels (ijk) that those rows give for the position; then with the most channels; then the smallest
    UID.
    """
    studies: dict[str, list[Series]] = {}
    for one in series:
        studies.setdefault(one.study_uid, []).append(one)
    if len(studies) <= 1:
        return list(series)

    def merit(study_uid: str) -> tuple[int, int, int, int]:
        members = studies[study_uid]
        of_channels = [candidates(channel, members) for channel in channels]
        showing = sum(any(shows(one.series, position_lps_mm) for one in found) for found in of_channels)
        named = [(one, row) for one in members for row in rows if matches(one, row)]
        placed = sum(_shows(one, row, position_lps_mm) for one, row in named)
        return showing, len(named), placed, sum(map(bool, of_channels))

    return studies[max(sorted(studies), key=merit)]


def _shows(series: Series, row: ImageRow, position_lps_mm: Position) -> bool:
    """Whether the position falls into the column and row of the image row (counted from the corner), within a pixel."""
    geometry = next((image.geometry for image in series.instances if image.geometry is not None), None)
    if geometry is None:
        return False
    x, y, _ = geometry.project(position_lps_mm)
    return abs(x + 0.5 - row.ijk[0]) <= 1 and abs(y + 0.5 - row.ijk[1]) <= 1
