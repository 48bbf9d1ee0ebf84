"""LUNGx (SPIE-AAPM Lung CT Challenge): CT series, nodules given by pixel and image number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_transfer.datasets.dicom_source import DicomSource, DisplayCache, dicom_files
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding, KeyCounter, SequenceSlice
from lesion_transfer.datasets.lungx_slices import BY_NUMBER, RULES, numbered_image
from lesion_transfer.datasets.lungx_tissue import TissueCheck
from lesion_transfer.datasets.options import AIR_BELOW_HU, CHANNELS_OF_KIND
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import (
    TableRow,
    by_patient,
    checked_id,
    checked_label,
    checked_numbers,
    find_tables,
    in_first_spelling,
    placeholder_id,
    read_table,
    refuse_merged,
)
from lesion_transfer.imaging.dicom_index import InstanceHeader, Series, group_series
from lesion_transfer.imaging.display import Window

TABLES = ("CalibrationSet_NoduleData.csv", "TestSet_NoduleData_PublicRelease_wTruth.csv")
CHANNELS = CHANNELS_OF_KIND["lungx"]
LUNG_WINDOW = Window(centre=-600.0, width=1500.0)
"""For files without a window: the usual lung window, Hounsfield units."""

_LABELS = {"malignant": True, "primary lung cancer": True, "benign": False, "benign nodule": False}
_UNCERTAIN = "suspicious malignant nodule"
_SCAN, _NUMBER, _POSITION, _IMAGE = (
    "Scan Number",
    "Nodule Number",
    "Nodule Center x,y Position",
    "Nodule Center Image",
)
PLACE_COLUMNS = (_SCAN, _POSITION, _IMAGE)
"""The columns that both tables have: a table with these is one of LUNGx."""
_DIAGNOSES = ("Final Diagnosis", "Diagnosis")


@dataclass(frozen=True)
class NodulePlace:
    """Where a table puts a nodule: the patient, the number of the image, and (column, row) on it, 0-based."""

    patient_id: str
    image_number: int
    centre_xy: tuple[float, float]


def nodule_place(row: TableRow) -> NodulePlace:
    """The place in a row of either table, which counts columns and rows from 1; RefusalError where it has none."""
    column, line = checked_numbers(row, _POSITION, 2)
    (number,) = checked_numbers(row, _IMAGE, 1)
    if not number.is_integer():
        raise RefusalError(
            Reason.BAD_POSITION, f"The {_IMAGE} {row[_IMAGE][:60]!r} in {row.place} is not a whole number."
        )
    return NodulePlace(checked_id(row, _SCAN), int(number), (column - 1, line - 1))


def nodule_name(row: TableRow) -> str:
    """What a row calls its nodule; the calibration table has one nodule a scan and no number."""
    return placeholder_id(row, _NUMBER) if row[_NUMBER] else "1"


@dataclass(frozen=True)
class _NoduleRow:
    finding_key: str
    patient_id: str
    finding_id: str
    row: TableRow


def published_tables(source: Path) -> list[Path]:
    """The calibration and the test table, as far as they are below source; DatasetError when neither is."""
    found = list(find_tables(source, TABLES).values())
    if not found:
        raise DatasetError(
            f"Neither {' nor '.join(TABLES)} found anywhere below {source}. Put at least one of these tables there."
        )
    return found


def image_files(source: Path) -> Iterator[Path]:
    """Every DICOM file below source, sorted."""
    return dicom_files(source)


def read_findings(
    source: Path,
    tables: Path,
    channels: Sequence[str],
    slice_rule: str,
    *,
    air_below_hu: float = AIR_BELOW_HU,
    allow_identified: bool = False,
) -> Iterator[Finding | Exclusion]:
    """The nodules of both tables, calibration first, each with the CT image that the table numbers (channel `ct`).

    slice_rule: `instance_number`, `position` (from the head) or `position_from_feet`. The tables give no position in
    the world, so `world` is read as instance_number, and distance_mm is None. A nodule whose centre is below
    air_below_hu is kept, and its concern says under which of the rules it would be tissue.
    """
    if list(channels) != list(CHANNELS):
        raise DatasetError(f"LUNGx has one channel, ct; asked for {', '.join(channels) or 'none'}.")
    rule = BY_NUMBER if slice_rule == "world" else slice_rule
    if rule not in RULES:
        raise DatasetError(f"{slice_rule!r} is no slice rule of LUNGx. Its rules are {', '.join(RULES)}.")
    rows = _nodule_rows(tables)
    if not rows:
        raise DatasetError(f"{tables} holds no rows of {' or '.join(TABLES)}.")
    images = DicomSource(source, allow_identified=allow_identified)
    for patient in by_patient(rows):
        reading = _Patient(images, DisplayCache(source, LUNG_WINDOW), rule, TissueCheck(air_below_hu))
        for nodule in patient:
            try:
                yield reading.finding(nodule)
            except RefusalError as refusal:
                yield refusal.exclusion(nodule.finding_key, nodule.patient_id, nodule.finding_id)


def _nodule_rows(tables: Path) -> list[_NoduleRow]:
    found = [row for name in TABLES if (tables / name).is_file() for row in read_table(tables / name, PLACE_COLUMNS)]
    counter = KeyCounter()
    rows = []
    for row in in_first_spelling(found, _SCAN):
        if not any(value for column, value in row.cells.items() if column != _SCAN):
            continue  # a footnote: text in the first cell alone
        patient_id = placeholder_id(row, _SCAN)
        finding_id = nodule_name(row)
        rows.append(_NoduleRow(counter.key(patient_id, finding_id), patient_id, finding_id, row))
    refuse_merged(str(tables), ((one.patient_id, one.row[_SCAN]) for one in rows))
    return rows


@dataclass
class _Patient:
    """The nodules of one patient, whose slices are read once."""

    images: DicomSource
    cache: DisplayCache
    rule: str
    tissue: TissueCheck

    def finding(self, nodule: _NoduleRow) -> Finding:
        """The nodule with its image; RefusalError where it has none."""
        row = nodule.row
        patient_id = checked_id(row, _SCAN)
        checked_id(row, _NUMBER, default="1")
        of_patient = self.images.of_patient(patient_id)
        label = nodule_label(row)
        place = nodule_place(row)
        number = place.image_number
        image = numbered_image(of_patient, number, self.rule, patient_id)
        x, y = place.centre_xy
        if not (0 <= x <= image.columns - 1 and 0 <= y <= image.rows - 1):
            raise RefusalError(
                Reason.OUTSIDE_VOLUME,
                f"The nodule of {row.place} is outside the image of {image.columns} x {image.rows} pixels.",
            )
        one_slice = SequenceSlice(
            pixels=self.cache.read(image.file),
            spacing_mm=image.spacing_mm,
            centre_xy=(x, y),
            file=image.file,
            series_uid=image.series_uid,
            sop_uid=image.sop_uid,
            whole_series=self.cache.series_reader(_series_of(image, of_patient)),
        )
        concern = self.tissue.concern(self.rule, image, (x, y), number, of_patient)
        names = nodule.finding_key, nodule.patient_id, nodule.finding_id
        return Finding(*names, label, {CHANNELS[0]: one_slice}, concern=concern)


def _series_of(image: InstanceHeader, images: Sequence[InstanceHeader]) -> Series:
    return next(one for one in group_series(images) if image in one.instances)


def nodule_label(row: TableRow) -> bool | None:
    """Whether the nodule is malignant; RefusalError where the row says neither that nor benign."""
    there = [name for name in _DIAGNOSES if name in row.cells] or list(_DIAGNOSES)
    column = next((name for name in there if row[name]), there[0])
    if row[column].casefold() == _UNCERTAIN:
        raise RefusalError(Reason.UNCERTAIN_LABEL, f"{row.place} is a {row[column]}: neither malignant nor benign.")
    return checked_label(row, column, _LABELS)
