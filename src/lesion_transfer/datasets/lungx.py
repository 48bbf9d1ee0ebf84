"""LUNGx (SPIE-AAPM Lung CT Challenge): CT series, nodules given by pixel and image number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_transfer.datasets.dicom_source import DicomSource, DisplayCache, dicom_files
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding, KeyCounter, SequenceSlice
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import (
    TableRow,
    by_patient,
    checked_id,
    checked_label,
    checked_numbers,
    find_tables,
    placeholder_id,
    read_table,
)
from lesion_transfer.imaging.dicom_index import InstanceHeader, group_series
from lesion_transfer.imaging.display import Window

TABLES = ("CalibrationSet_NoduleData.csv", "TestSet_NoduleData_PublicRelease_wTruth.csv")
CHANNELS = ("ct",)
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
_DIAGNOSES = ("Final Diagnosis", "Diagnosis")


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
    source: Path, tables: Path, channels: Sequence[str], slice_rule: str
) -> Iterator[Finding | Exclusion]:
    """The nodules of both tables, calibration first, each with the CT image that the table numbers (channel `ct`).

    slice_rule is not read: the tables give an image number and no position in the patient, so distance_mm is None.
    """
    if list(channels) != list(CHANNELS):
        raise DatasetError(f"LUNGx has one channel, ct; asked for {', '.join(channels) or 'none'}.")
    counter = KeyCounter()
    rows = [row for name in TABLES if (tables / name).is_file() for row in _nodule_rows(tables / name, counter)]
    if not rows:
        raise DatasetError(f"{tables} holds no rows of {' or '.join(TABLES)}.")
    images = DicomSource(source)
    for patient in by_patient(rows):
        cache = DisplayCache(source, LUNG_WINDOW)
        for nodule in patient:
            try:
                label, one_slice = _read_nodule(nodule.row, images, cache)
            except RefusalError as refusal:
                yield refusal.exclusion(nodule.finding_key, nodule.patient_id, nodule.finding_id)
            else:
                yield Finding(nodule.finding_key, nodule.patient_id, nodule.finding_id, label, {"ct": one_slice})


def _nodule_rows(table: Path, counter: KeyCounter) -> list[_NoduleRow]:
    rows = []
    for row in read_table(table, [_SCAN, _POSITION, _IMAGE]):
        if not any(value for column, value in row.cells.items() if column != _SCAN):
            continue  # a footnote: text in the first cell alone
        patient_id = placeholder_id(row, _SCAN)
        # The calibration table has one nodule a scan and no number.
        finding_id = placeholder_id(row, _NUMBER) if row[_NUMBER] else "1"
        rows.append(_NoduleRow(counter.key(patient_id, finding_id), patient_id, finding_id, row))
    return rows


def _read_nodule(row: TableRow, images: DicomSource, cache: DisplayCache) -> tuple[bool | None, SequenceSlice]:
    patient_id = checked_id(row, _SCAN)
    checked_id(row, _NUMBER, default="1")
    of_patient = images.of_patient(patient_id)
    label = _label(row)
    column, line = checked_numbers(row, _POSITION, 2)
    image = _numbered_image(of_patient, int(checked_numbers(row, _IMAGE, 1)[0]), patient_id)
    x, y = column - 1, line - 1  # the table counts from 1
    if not (0 <= x <= image.columns - 1 and 0 <= y <= image.rows - 1):
        raise RefusalError(
            Reason.OUTSIDE_VOLUME,
            f"The nodule of {row.place} is outside the image of {image.columns} x {image.rows} pixels.",
        )
    return label, SequenceSlice(
        pixels=cache.read(image.file),
        spacing_mm=image.spacing_mm,
        centre_xy=(x, y),
        file=image.file,
        series_uid=image.series_uid,
        sop_uid=image.sop_uid,
    )


def _label(row: TableRow) -> bool | None:
    column = next((name for name in _DIAGNOSES if row[name]), _DIAGNOSES[0])
    if row[column].casefold() == _UNCERTAIN:
        raise RefusalError(Reason.UNCERTAIN_LABEL, f"{row.place} is a {row[column]}: neither malignant nor benign.")
    return checked_label(row, column, _LABELS)


def _numbered_image(images: Sequence[InstanceHeader], number: int, patient_id: str) -> InstanceHeader:
    """The CT image of that instance number; of several series the largest, then the one with the highest number."""
    series = group_series(image for image in images if image.modality in {"CT", ""} and image.frames == 1)
    if not series:
        raise RefusalError(Reason.MISSING_SERIES, f"{patient_id} has no CT images in single frames.")
    for one in sorted(series, key=lambda one: (len(one.instances), one.number or 0, one.series_uid), reverse=True):
        for image in one.instances:
            if image.instance_number == number:
                return image
    raise RefusalError(Reason.MISSING_SLICE, f"{patient_id} has no CT image with instance number {number}.")
