"""The tables of brain images: ours (`ground_truth.csv`) or the thesis's, as rows of one form."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import (
    TableRow,
    checked_id,
    checked_label,
    checked_numbers,
    find_tables,
    read_table,
    require_folder,
)
from lesion_transfer.imaging.walk import files_below

GROUND_TRUTH = "ground_truth.csv"
GROUND_TRUTH_COLUMNS = ("file", "label", "x", "y")
THESIS_COLUMNS = ("PatientID", "Nodule Center Position", "fid", "Diagnosis")


@dataclass(frozen=True)
class Lesion:
    """What a row says of its lesion. centre_xy: column and row, 0-based."""

    label: bool | None
    centre_xy: tuple[float, float]


@dataclass(frozen=True)
class BrainRow:
    """A row before it is judged: what names it, also when it turns out unusable, and how its lesion is read.

    image is a path, or with by_stem a file name without extension that lies in `folder` if several have it. group names
    images of one patient; empty: the image is on its own. `read` raises RefusalError.
    """

    image: str
    by_stem: bool
    folder: str
    group: str
    finding_id: str
    place: str
    read: Callable[[], Lesion]


def brain_table(folder: Path) -> Path:
    """The table below a folder: `ground_truth.csv`, else the one CSV with the thesis's columns; else DatasetError."""
    require_folder(folder)
    found = find_tables(folder, [GROUND_TRUTH])
    if found:
        return found[GROUND_TRUTH]
    tables = thesis_tables(folder)
    if len(tables) == 1:
        return tables[0]
    raise DatasetError(
        f"{folder} holds {len(tables) or 'no'} tables of brain images. Put there one {GROUND_TRUTH} with the columns "
        f"{', '.join(GROUND_TRUTH_COLUMNS)}, or one CSV with the columns {', '.join(THESIS_COLUMNS)}."
    )


def thesis_tables(folder: Path) -> list[Path]:
    """The CSV files below a folder that have the thesis's columns."""
    return [path for path in files_below(folder) if path.suffix.lower() == ".csv" and _has_thesis_columns(path)]


def _has_thesis_columns(path: Path) -> bool:
    try:
        read_table(path, THESIS_COLUMNS)
    except DatasetError:
        return False
    return True


def read_brain_rows(table: Path) -> list[BrainRow]:
    """The rows of either table, in its order; each is judged when it is read."""
    if table.name == GROUND_TRUTH:
        return [_ground_truth(row) for row in read_table(table, GROUND_TRUTH_COLUMNS)]
    return [_thesis(row) for row in read_table(table, THESIS_COLUMNS)]


def _ground_truth(row: TableRow) -> BrainRow:
    def read() -> Lesion:
        if checked_label(row, "keep") is False:
            raise RefusalError(Reason.NOT_KEPT, f"{row['file']} is marked as not to be used in {row.place}.")
        if row["patient_group"]:
            checked_id(row, "patient_group")
        return Lesion(checked_label(row, "label"), (checked_numbers(row, "x", 1)[0], checked_numbers(row, "y", 1)[0]))

    return BrainRow(row["file"], False, "", row["patient_group"], "1", row.place, read)


def _thesis(row: TableRow) -> BrainRow:
    def read() -> Lesion:
        checked_id(row, "PatientID")
        checked_id(row, "fid", default="1")
        # Width and height of a rectangle drawn from the image's corner: column and row, counted from 0 (6.3.3).
        x, y = checked_numbers(row, "Nodule Center Position", 2)
        return Lesion(checked_label(row, "Diagnosis"), (x, y))

    folder = "yes" if row["Diagnosis"].casefold() in {"true", "yes", "1"} else "no"
    return BrainRow(row["PatientID"], True, folder, "", row["fid"] or "1", row.place, read)
