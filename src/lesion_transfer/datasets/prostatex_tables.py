"""The tables of PROSTATEx: findings with their position and label, and the series that show them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lesion_transfer.datasets.finding import KeyCounter
from lesion_transfer.datasets.options import TableSet
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import (
    TableRow,
    checked_id,
    checked_label,
    checked_numbers,
    in_first_spelling,
    placeholder_id,
    read_table,
)
from lesion_transfer.imaging.dicom_index import patient_key

Part = Literal["Train", "Test"]
Position = tuple[float, ...]

PARTS: dict[TableSet, tuple[Part, ...]] = {"train": ("Train",), "test": ("Test",), "both": ("Train", "Test")}


def required_tables(chosen: TableSet) -> list[str]:
    """The names of the tables without which the chosen findings cannot be read."""
    return [f"ProstateX-{kind}-{part}.csv" for part in PARTS[chosen] for kind in ("Findings", "Images")]


ALL_TABLES = (*required_tables("both"), "ProstateX-Images-KTrans-Train.csv", "ProstateX-Images-KTrans-Test.csv")


@dataclass(frozen=True)
class FindingRow:
    """A row of the findings table; `refusal` says why it cannot be used, then position and label mean nothing."""

    finding_key: str
    patient_id: str
    finding_id: str
    position_lps_mm: Position
    zone: str
    label: bool | None
    refusal: RefusalError | None = None

    @property
    def key(self) -> tuple[str, str, Position]:
        """What joins the tables: (ProxID as `patient_key` makes it, fid, pos)."""
        return patient_key(self.patient_id), self.finding_id, self.position_lps_mm


@dataclass(frozen=True)
class ImageRow:
    """A row of the images table: a series, and the voxel (column, row, slice) in which it shows the finding."""

    series_number: int
    series_description: str
    ijk: Position


ImageRows = dict[tuple[str, str, Position], list[ImageRow]]
"""By `FindingRow.key`: the fid alone is not unique within a patient."""


def read_finding_rows(tables: Path, chosen: TableSet = "train") -> list[FindingRow]:
    """The rows of the chosen findings tables, in table order, train before test; the test table has no label."""
    rows: list[TableRow] = []
    for part in PARTS[chosen]:
        required = ["ProxID", "fid", "pos", "zone"] + (["ClinSig"] if part == "Train" else [])
        rows += read_table(tables / f"ProstateX-Findings-{part}.csv", required)
    counter = KeyCounter()
    return [_finding_row(row, counter) for row in in_first_spelling(rows, "ProxID")]


def _finding_row(row: TableRow, counter: KeyCounter) -> FindingRow:
    patient_id, finding_id = placeholder_id(row, "ProxID"), placeholder_id(row, "fid")
    key = counter.key(patient_id, finding_id)
    try:
        return FindingRow(
            finding_key=key,
            patient_id=checked_id(row, "ProxID"),
            finding_id=checked_id(row, "fid"),
            position_lps_mm=checked_numbers(row, "pos", 3),
            zone=row["zone"],
            label=checked_label(row, "ClinSig"),
        )
    except RefusalError as refusal:
        return FindingRow(key, patient_id, finding_id, (), row["zone"], None, refusal)


def read_image_rows(tables: Path, chosen: TableSet = "train") -> ImageRows:
    """The rows of the chosen images tables by finding. A row that cannot be read is passed over: it only helps."""
    required = ["ProxID", "fid", "pos", "ijk", "DCMSerDescr", "DCMSerNum"]
    names = [tables / f"ProstateX-Images-{part}.csv" for part in PARTS[chosen]]
    return _image_rows(row for table in names for row in read_table(table, required))


def read_ktrans_rows(tables: Path, chosen: TableSet = "train") -> ImageRows:
    """The rows of the chosen Ktrans tables that are there, by finding; a map has no series number: 0."""
    names = [tables / f"ProstateX-Images-KTrans-{part}.csv" for part in PARTS[chosen]]
    required = ["ProxID", "fid", "pos", "ijk"]
    return _image_rows(row for table in names if table.is_file() for row in read_table(table, required))


def _image_rows(table_rows: Iterable[TableRow]) -> ImageRows:
    rows: ImageRows = {}
    for row in table_rows:
        try:
            key = (patient_key(row["ProxID"]), row["fid"], checked_numbers(row, "pos", 3))
            number = int(checked_numbers(row, "DCMSerNum", 1)[0]) if "DCMSerNum" in row.cells else 0
            image = ImageRow(number, row["DCMSerDescr"], checked_numbers(row, "ijk", 3))
        except RefusalError:
            continue
        if image not in rows.setdefault(key, []):  # a series of several b-values has a row for each
            rows[key].append(image)
    return rows
