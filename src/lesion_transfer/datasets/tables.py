"""Reading the CSV tables that come with data sets: as published, with footers, blanks and slips of the pen."""

import codecs
import csv
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Protocol, TypeVar

from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.files import file_sha256
from lesion_transfer.imaging.dicom_index import patient_key
from lesion_transfer.imaging.walk import files_below

log = logging.getLogger(__name__)

_TRUE = {"true", "yes", "1", "1.0"}
_FALSE = {"false", "no", "0", "0.0"}


@dataclass(frozen=True)
class TableRow:
    """One row: its line in the file (the header is line 1) and its cells by column, blanks around them removed.

    surplus: cells beyond the last column that are not blank; as after a decimal comma, no cell can be trusted then.
    """

    table: str
    line: int
    cells: Mapping[str, str]
    surplus: tuple[str, ...] = ()

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    @property
    def place(self) -> str:
        """Where the row stands, for messages."""
        return f"line {self.line} of {self.table}"


class HasPatient(Protocol):
    """Anything that belongs to a patient."""

    @property
    def patient_id(self) -> str: ...


Owned = TypeVar("Owned", bound=HasPatient)


def find_tables(source: Path, names: Sequence[str]) -> dict[str, Path]:
    """Name to file for those of `names` that lie anywhere below source; of equal copies the one least deep.

    Warns of each folder that cannot be read.

    Raises DatasetError when source is no folder, or holds tables of one name with different content.
    """
    require_folder(source)
    found: dict[str, list[Path]] = {}
    for path in files_below(source, log.warning):
        if path.name in names:
            found.setdefault(path.name, []).append(path)
    for name, paths in found.items():
        paths.sort(key=lambda path: (len(path.parts), str(path)))
        if len({file_sha256(path) for path in paths}) > 1:
            raise DatasetError(
                f"{source} holds {len(paths)} tables named {name} that differ, among them {paths[0]} and {paths[1]}. "
                "Leave only the one that counts."
            )
    return {name: found[name][0] for name in names if name in found}


def require_folder(source: Path) -> None:
    """Raises DatasetError when source is no folder."""
    if not source.is_dir():
        raise DatasetError(f"{source} is no folder: name the one that holds the files (of a data set: its `source`).")


def read_table(path: Path, required: Iterable[str], separators: str = ",;") -> list[TableRow]:
    """The rows of a CSV file, without those that are blank throughout.

    Its cells are separated by that one of `separators` that its first line has most of. Column names lose blanks and a
    footnote's `*` at their end. Raises DatasetError when the file cannot be read, a required column is missing or comes
    twice, or a cell goes over several lines: a stray quotation mark takes all rows up to the next one into its cell.
    """
    try:
        with path.open(encoding=_encoding(path), errors="replace", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(separators, key=first.count), strict=True)
            header = [name.strip().rstrip("*").strip() for name in next(reader, [])]
            if len(header) == 1 and "\t" in header[0]:
                raise DatasetError(f"{path} is separated by tabs; save it as CSV, separated by , or ;.")
            missing = [column for column in required if column not in header]
            if missing:
                raise DatasetError(
                    f"{path} has no column {', '.join(missing)}. Its columns are {', '.join(header) or 'none'}."
                )
            twice = [column for column in required if header.count(column) > 1]
            if twice:
                raise DatasetError(f"{path} has the column {', '.join(twice)} twice; leave the one that counts.")
            rows = []
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                if any("\n" in cell or "\r" in cell for cell in stripped):
                    raise csv.Error(f"the cell that ends in line {reader.line_num} goes over several lines")
                if any(stripped):
                    cells_by_column = dict(zip_longest(header, stripped[: len(header)], fillvalue=""))
                    surplus = tuple(filter(None, stripped[len(header) :]))
                    rows.append(TableRow(path.name, reader.line_num, cells_by_column, surplus))
            return rows
    except OSError as error:
        raise DatasetError(
            f"The table {path} cannot be read ({error.strerror}). Is it in the data set's folder?"
        ) from error
    except csv.Error as error:
        raise DatasetError(
            f"{path} is not a CSV table that can be read: {error}. Look at its quotation marks, up to line "
            f"{reader.line_num}."
        ) from error


def _encoding(path: Path) -> str:
    """UTF-16 where the file begins with its byte order mark, as Excel's "Unicode text" does; else UTF-8."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8-sig"


def by_patient(rows: Iterable[Owned]) -> list[list[Owned]]:
    """Rows grouped by patient: patients in order of first appearance, their rows in table order."""
    groups: dict[str, list[Owned]] = {}
    for row in rows:
        groups.setdefault(row.patient_id, []).append(row)
    return list(groups.values())


def in_first_spelling(rows: Iterable[TableRow], column: str) -> list[TableRow]:
    """The rows with a patient's id as the first row of that patient spells it.

    Images are found by `patient_key`: two spellings would be two patients with the same images.
    """
    first: dict[str, str] = {}
    return [
        replace(row, cells={**row.cells, column: first.setdefault(patient_key(row[column]), row[column])})
        for row in rows
    ]


def refuse_merged(table: str, names: Iterable[tuple[str, str]]) -> None:
    """Raises DatasetError where two patient ids became one name: two patients would be read as one.

    names: the name of each row's patient and the id that it was made of; ids that `checked_id` refuses do not count.
    """
    first: dict[str, str] = {}
    for name, raw in names:
        if _is_usable(raw) and first.setdefault(name, raw) != raw:
            raise DatasetError(
                f"{table}: {first[name]!r} and {raw!r} would both be the patient {name}, for a name keeps letters, "
                "digits and, within it, blanks and _ . + -; rename one of the two."
            )


def checked_id(row: TableRow, column: str, default: str = "") -> str:
    """The id in a cell. RefusalError `bad_row` when it is blank, or could not be part of a key or a file name, and
    where the row has surplus cells."""
    _refuse_surplus(row)
    text = row[column] or default
    if not _is_usable(text):
        raise RefusalError(Reason.BAD_ROW, f"The {column} {text[:40]!r} in {row.place} is not usable as a name.")
    return text


def _refuse_surplus(row: TableRow) -> None:
    if row.surplus:
        raise RefusalError(
            Reason.BAD_ROW,
            f"{row.place} has {len(row.cells) + len(row.surplus)} cells, and the table {len(row.cells)} columns: write "
            "numbers with a point, and texts with a comma in quotation marks.",
        )


def _is_usable(text: str) -> bool:
    """Whether a text could be part of a key and of a file name."""
    bad = "/" in text or "\\" in text or not text.isprintable() or text in {".", ".."} or len(text) > 128
    return bool(text) and not bad


def placeholder_id(row: TableRow, column: str) -> str:
    """What stands for an id that `checked_id` refuses: the cell without what makes it unusable, or the line."""
    return re.sub(r"[^\w .+-]", "_", row[column])[:128].strip(" .+-") or f"line-{row.line}"


def checked_label(row: TableRow, column: str, values: Mapping[str, bool] | None = None) -> bool | None:
    """The label in a cell; None in a table without the column.

    Raises RefusalError: `absent_label` for a blank, `bad_label` for any other text, `bad_row` for surplus cells.
    """
    _refuse_surplus(row)
    if column not in row.cells:
        return None
    text = row[column].casefold()
    if not text:
        raise RefusalError(Reason.ABSENT_LABEL, f"The {column} in {row.place} is blank.")
    known = values if values is not None else dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
    if text not in known:
        raise RefusalError(Reason.BAD_LABEL, f"The {column} {row[column][:40]!r} in {row.place} is not a known label.")
    return known[text]


def checked_numbers(row: TableRow, column: str, count: int, reason: Reason = Reason.BAD_POSITION) -> tuple[float, ...]:
    """`count` finite numbers separated by blanks, commas or both; RefusalError otherwise."""
    parts = row[column].replace(",", " ").split()
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise RefusalError(reason, f"The {column} {row[column][:60]!r} in {row.place} is not {count} finite numbers.")
    return numbers
