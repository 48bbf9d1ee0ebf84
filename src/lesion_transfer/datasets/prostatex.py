"""PROSTATEx: DICOM in any folder layout, findings placed by their position in the patient (SPIE-AAPM-NCI, 2017)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_transfer.datasets.dicom_source import DicomSource, DisplayCache, is_dicom_file
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding, SequenceSlice
from lesion_transfer.datasets.options import CHANNELS_OF_KIND, TableSet
from lesion_transfer.datasets.prostatex_ktrans import (
    KTRANS,
    KtransMap,
    KtransSource,
    files_of_map,
    is_ktrans_header,
)
from lesion_transfer.datasets.prostatex_series import choose_series, choose_study
from lesion_transfer.datasets.prostatex_slices import SLICE_RULES, choose_slice
from lesion_transfer.datasets.prostatex_tables import (
    ALL_TABLES,
    FindingRow,
    ImageRow,
    read_finding_rows,
    read_image_rows,
    read_ktrans_rows,
    required_tables,
)
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import by_patient, find_tables, require_folder
from lesion_transfer.imaging.dicom_index import Series, group_series
from lesion_transfer.imaging.geometry import SliceGeometry
from lesion_transfer.imaging.walk import files_below


def published_tables(source: Path, *, chosen: TableSet = "train") -> list[Path]:
    """Every published table that is there; DatasetError naming those of the chosen ones that are not."""
    found = find_tables(source, ALL_TABLES)
    missing = [name for name in required_tables(chosen) if name not in found]
    if missing:
        raise DatasetError(
            f"{' and '.join(missing)} not found anywhere below {source}. Put the tables published with PROSTATEx there."
        )
    return list(found.values())


def image_files(source: Path) -> Iterator[Path]:
    """Every DICOM file and every file of a Ktrans map below source, sorted but for a map's voxels behind its header."""
    require_folder(source)
    for path in files_below(source):
        if is_ktrans_header(path):
            yield from files_of_map(path)
        elif is_dicom_file(path):
            yield path


def read_findings(
    source: Path,
    tables: Path,
    channels: Sequence[str],
    slice_rule: str,
    *,
    chosen: TableSet = "train",
    allow_identified: bool = False,
) -> Iterator[Finding | Exclusion]:
    """The findings of the chosen tables (those of the test table have no label) with a slice a channel.

    A finding that has a slice for some channels only says in `lacking` why it has none for the others.

    channels: of `t2`, `dwi` (the highest b-value), `adc`, `ktrans`. slice_rule: `world`, the plane nearest to the
    position, or `instance_number`, the thesis's k + 1. Either way centre_xy is the position projected onto the slice.
    """
    unknown = [channel for channel in channels if channel not in CHANNELS_OF_KIND["prostatex"]]
    if unknown or not channels:
        known = ", ".join(CHANNELS_OF_KIND["prostatex"])
        raise DatasetError(
            f"PROSTATEx has no channel {', '.join(unknown) or '(none given)'}. Its channels are {known}."
        )
    if slice_rule not in SLICE_RULES:
        raise DatasetError(f"{slice_rule!r} is no slice rule of PROSTATEx. Its rules are {', '.join(SLICE_RULES)}.")
    rows = read_finding_rows(tables, chosen)
    image_rows, ktrans_rows = read_image_rows(tables, chosen), read_ktrans_rows(tables, chosen)
    images, maps = DicomSource(source, allow_identified=allow_identified), KtransSource(source)
    for patient in by_patient(rows):
        reading = _Patient(images, maps, DisplayCache(source), channels, slice_rule)
        for row in patient:
            try:
                if row.refusal is not None and row.refusal.reason == Reason.BAD_ROW:
                    raise row.refusal
                yield reading.finding(row, image_rows.get(row.key, []), ktrans_rows.get(row.key, []))
            except RefusalError as refusal:
                yield refusal.exclusion(row.finding_key, row.patient_id, row.finding_id)


def read_position(
    source: Path,
    position_lps_mm: Sequence[float],
    channels: Sequence[str],
    patient_id: str | None = None,
    *,
    allow_identified: bool = False,
) -> Finding:
    """One finding at a position in a patient whose DICOM files lie below `source`, without tables and label.

    patient_id: a PatientID; None where the folder holds one patient. Raises DatasetError where the patient, a channel
    or a slice at the position is missing.
    """
    images = DicomSource(source, allow_identified=allow_identified)
    if patient_id is None:
        there = images.patient_ids()
        if not there:
            raise DatasetError(f"{source} holds no DICOM image: name the folder of one patient's files.")
        if len(there) > 1:
            raise DatasetError(
                f"{source} holds images of {len(there)} patients: {', '.join(there[:5])}"
                f"{' and others' if len(there) > 5 else ''}. Name the folder of one patient, or --patient."
            )
        patient_id = there[0]
    row = FindingRow(f"{patient_id}/1/1", patient_id, "1", tuple(position_lps_mm), "", None)
    reading = _Patient(images, KtransSource(source), DisplayCache(source), channels, "world")
    try:
        finding = reading.finding(row, [], [])
    except RefusalError as refusal:
        raise DatasetError(f"{source}: {refusal.detail}") from refusal
    if finding.lacking:
        raise DatasetError(f"{source}: {' '.join(one.detail for one in finding.lacking.values())}")
    return finding


MOST_TURN_DEGREES = 10.0
"""Between two channels of a finding; of the published 538 the most is 2.4."""


@dataclass
class _Patient:
    """The findings of one patient, whose headers are grouped and whose slices are read once."""

    images: DicomSource
    maps: KtransSource
    cache: DisplayCache
    channels: Sequence[str]
    slice_rule: str
    _series: list[Series] | None = None
    _map: KtransMap | None = None

    def finding(self, row: FindingRow, described: Sequence[ImageRow], ktrans_rows: Sequence[ImageRow]) -> Finding:
        """The finding of a row with every channel that can be had; RefusalError when none can."""
        of_dicom = [channel for channel in self.channels if channel != KTRANS]
        if of_dicom and self._series is None:
            self._series = group_series(self.images.of_patient(row.patient_id))
        if row.refusal is not None:
            raise row.refusal
        study = choose_study(self._series or [], described, row.position_lps_mm, of_dicom)
        slices: dict[str, SequenceSlice] = {}
        refusals: dict[str, RefusalError] = {}
        axes: list[SliceGeometry] = []
        for channel in self.channels:
            try:
                if channel == KTRANS:
                    slices[channel] = self._ktrans(row, ktrans_rows, axes)
                else:
                    slices[channel] = self._slice(channel, study, row, described, axes)
            except RefusalError as refusal:
                refusals[channel] = refusal
        if not slices:
            raise next(iter(refusals.values()))
        names = row.finding_key, row.patient_id, row.finding_id
        lacking = {channel: refusal.exclusion(*names) for channel, refusal in refusals.items()}
        return Finding(*names, row.label, slices, row.zone, lacking=lacking, position_lps_mm=tuple(row.position_lps_mm))

    def _ktrans(self, row: FindingRow, ktrans_rows: Sequence[ImageRow], axes: list[SliceGeometry]) -> SequenceSlice:
        """axes: of the channels before, to which that of this one is added."""
        if self._map is None:
            alone = list(self.channels) == [KTRANS]
            absent = Reason.NOT_IN_SOURCE if alone else Reason.MISSING_SERIES
            self._map = self.maps.of_patient(row.patient_id, absent)
        axes.append(_upright(f"the Ktrans map {self._map.file.name}", self._map.plane, axes))
        return self._map.slice_of(row.position_lps_mm, self.slice_rule, ktrans_rows)

    def _slice(
        self,
        channel: str,
        study: Sequence[Series],
        row: FindingRow,
        described: Sequence[ImageRow],
        axes: list[SliceGeometry],
    ) -> SequenceSlice:
        """axes: of the channels before, to which that of this one is added."""
        chosen = choose_series(channel, study, row.patient_id, row.position_lps_mm, described)
        placed = choose_slice(self.slice_rule, chosen, row.position_lps_mm, described)
        plane = placed.image.geometry
        assert plane is not None  # candidates are cut down to images with one
        axes.append(_upright(chosen.name, plane, axes))
        return SequenceSlice(
            pixels=self.cache.read(placed.image.file),
            spacing_mm=placed.image.spacing_mm,
            centre_xy=placed.centre_xy,
            file=placed.image.file,
            series_uid=placed.image.series_uid,
            sop_uid=placed.image.sop_uid,
            distance_mm=placed.distance_mm,
            whole_series=self.cache.series_reader(chosen),
        )


def _upright(name: str, geometry: SliceGeometry, others: Sequence[SliceGeometry]) -> SliceGeometry:
    """The plane of a slice of what is called `name`; RefusalError where its patch would be turned or mirrored."""
    if not geometry.is_upright:
        raise RefusalError(
            Reason.TURNED_IMAGE,
            f"The images of {name} are stored mirrored or turned against the patient, and a patch would be, too; "
            "store them with columns running to the patient's left and rows to the back.",
        )
    if others and (turn := others[0].turn_degrees(geometry)) > MOST_TURN_DEGREES:
        raise RefusalError(
            Reason.TURNED_IMAGE,
            f"The images of {name} are turned by {turn:.0f} degrees against those of the finding's first channel, more "
            f"than {MOST_TURN_DEGREES:.0f}: one place of the patch would show different tissue in each.",
        )
    return geometry
