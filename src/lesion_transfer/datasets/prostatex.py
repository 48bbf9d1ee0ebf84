"""PROSTATEx: DICOM in any folder layout, findings placed by their position in the patient (SPIE-AAPM-NCI, 2017)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lesion_transfer.datasets.dicom_source import DicomSource, DisplayCache, dicom_files
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding, SequenceSlice
from lesion_transfer.datasets.prostatex_series import CHANNELS, choose_series, choose_study
from lesion_transfer.datasets.prostatex_slices import SLICE_RULES, choose_slice
from lesion_transfer.datasets.prostatex_tables import (
    OPTIONAL,
    REQUIRED,
    FindingRow,
    ImageRow,
    Part,
    read_finding_rows,
    read_image_rows,
)
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import by_patient, find_tables
from lesion_transfer.imaging.dicom_index import Series, group_series


def published_tables(source: Path) -> list[Path]:
    """The findings and images tables of the training part, then the other published tables that are there.

    Raises DatasetError naming what is missing.
    """
    found = find_tables(source, [*REQUIRED, *OPTIONAL])
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise DatasetError(
            f"{' and '.join(missing)} not found anywhere below {source}. Put the tables published with PROSTATEx there."
        )
    return list(found.values())


def image_files(source: Path) -> Iterator[Path]:
    """Every DICOM file below source, sorted."""
    return dicom_files(source)


def read_findings(
    source: Path, tables: Path, channels: Sequence[str], slice_rule: str, *, part: Part = "Train"
) -> Iterator[Finding | Exclusion]:
    """The findings of the training part (or of the test part, whose labels are unknown) with a slice a channel.

    channels: of `t2`, `dwi` (the highest b-value), `adc`. slice_rule: `world`, the plane nearest to the position, or
    `instance_number`, the thesis's k + 1. Either way centre_xy is the position projected onto the slice.
    """
    unknown = [channel for channel in channels if channel not in CHANNELS]
    if unknown or not channels:
        raise DatasetError(
            f"PROSTATEx has no channel {', '.join(unknown) or '(none given)'}. Its channels are {', '.join(CHANNELS)}."
        )
    if slice_rule not in SLICE_RULES:
        raise DatasetError(f"{slice_rule!r} is no slice rule of PROSTATEx. Its rules are {', '.join(SLICE_RULES)}.")
    rows = read_finding_rows(tables, part)
    image_rows = read_image_rows(tables, part)
    images = DicomSource(source)
    for patient in by_patient(rows):
        series: list[Series] | None = None
        cache = DisplayCache(source)
        for row in patient:
            try:
                if row.refusal is not None and row.refusal.reason == "bad_row":
                    raise row.refusal
                if series is None:
                    series = group_series(images.of_patient(row.patient_id))
                if row.refusal is not None:
                    raise row.refusal
                described = image_rows.get(row.key, [])
                slices = _slices(row, series, described, channels, slice_rule, cache)
            except RefusalError as refusal:
                yield refusal.exclusion(row.finding_key, row.patient_id, row.finding_id)
            else:
                yield Finding(row.finding_key, row.patient_id, row.finding_id, row.label, slices, row.zone)


def _slices(
    row: FindingRow,
    series: Sequence[Series],
    described: Sequence[ImageRow],
    channels: Sequence[str],
    slice_rule: str,
    cache: DisplayCache,
) -> dict[str, SequenceSlice]:
    study = choose_study(series, described, row.position_lps_mm, channels)
    slices = {}
    for channel in channels:
        chosen = choose_series(channel, study, row.patient_id)
        placed = choose_slice(slice_rule, chosen, row.position_lps_mm, described)
        slices[channel] = SequenceSlice(
            pixels=cache.read(placed.image.file),
            spacing_mm=placed.image.spacing_mm,
            centre_xy=placed.centre_xy,
            file=placed.image.file,
            series_uid=placed.image.series_uid,
            sop_uid=placed.image.sop_uid,
            distance_mm=placed.distance_mm,
        )
    return slices
