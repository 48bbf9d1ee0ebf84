"""Where findings lie: positions that the user names, a table of positions in mm, a table of pixels of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Self

from lesion_transfer.datasets.brain_tables import GROUND_TRUTH, GROUND_TRUTH_COLUMNS
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import TableRow, checked_label, checked_numbers, read_table
from lesion_transfer.errors import LesionError
from lesion_transfer.imaging.dicom_index import patient_key

Position = tuple[Sequence[float], str]
"""A point in LPS mm and what it is called."""
COLUMNS = ("ProxID", "fid", "pos")


@dataclass(frozen=True)
class Positions:
    """everywhere: those that count for whatever is opened; by_patient: those of a table, by `patient_key`."""

    everywhere: tuple[Position, ...] = ()
    by_patient: dict[str, list[Position]] = field(default_factory=dict)

    @classmethod
    def of(cls, named: Sequence[str], table: Path | None) -> Self:
        """From texts `X,Y,Z` and from a CSV with ProxID, fid and pos (and ClinSig), as PROSTATEx publishes it.

        Raises LesionError for a text that is no position, DatasetError for a table without the columns.
        """
        everywhere = tuple((_position(text), "") for text in named)
        by_patient: dict[str, list[Position]] = {}
        for row in read_table(table, COLUMNS) if table else ():
            try:
                position = checked_numbers(row, "pos", 3)
                name = _name(row)
            except RefusalError:
                continue  # a finding without a place cannot be marked; the pipeline lists it as excluded
            by_patient.setdefault(patient_key(row["ProxID"]), []).append((position, name))
        return cls(everywhere, by_patient)

    def of_patient(self, key: str) -> list[Position]:
        """What counts for the images of a patient; `key` as `patient_key` makes it."""
        return [*self.everywhere, *self.by_patient.get(key, [])]

    def of_path(self, file: Path) -> list[Position]:
        """What counts for a volume that names no patient: those whose folder, or whose name at its start, it bears."""
        parts = {patient_key(part) for part in file.parts[:-1]}
        name = patient_key(file.name)
        keys = [key for key in self.by_patient if key in parts or name.startswith((f"{key}-", f"{key}_", f"{key}."))]
        return [*self.everywhere, *(position for key in keys for position in self.by_patient[key])]

    def in_picture(self, file: Path) -> list[tuple[float, float, str]]:
        """(x, y, name) of the lesions that the nearest ground_truth.csv above a picture names for it."""
        for folder in list(file.parents)[:3]:
            table = folder / GROUND_TRUTH
            if table.is_file():
                own = PurePosixPath(file.relative_to(folder).as_posix())
                rows = read_table(table, GROUND_TRUTH_COLUMNS)
                return [found for row in rows if PurePosixPath(row["file"]) == own for found in _pixel(row)]
        return []


def _pixel(row: TableRow) -> list[tuple[float, float, str]]:
    try:
        label = checked_label(row, "label")
        name = "" if label is None else "positive" if label else "negative"
        return [(checked_numbers(row, "x", 1)[0], checked_numbers(row, "y", 1)[0], name)]
    except RefusalError:
        return []


def _name(row: TableRow) -> str:
    label = checked_label(row, "ClinSig")
    return f"finding {row['fid']}" + ("" if label is None else " positive" if label else " negative")


def _position(text: str) -> Sequence[float]:
    row = TableRow("the command line", 1, {"position": text})
    try:
        return checked_numbers(row, "position", 3)
    except RefusalError:
        raise LesionError(f"{text!r} is no position: write X,Y,Z in mm (LPS), for instance 25.7,31.9,-38.5.") from None
