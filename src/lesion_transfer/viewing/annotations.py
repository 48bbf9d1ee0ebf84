"""The table of lesions marked by hand: each change is on the disk, whole, before anything else happens."""

import csv
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath

from lesion_transfer.datasets.brain import image_files
from lesion_transfer.datasets.brain_tables import GROUND_TRUTH, GROUND_TRUTH_COLUMNS, thesis_tables
from lesion_transfer.datasets.tables import find_tables, read_table
from lesion_transfer.errors import LesionError
from lesion_transfer.files import neutral_cell, replacing
from lesion_transfer.imaging.walk import name_problem

logger = logging.getLogger(__name__)

COLUMNS = (*GROUND_TRUTH_COLUMNS, "keep", "patient_group")
_LABELS = {"yes": "True", "no": "False"}
_FALSE = {"false", "no", "0", "0.0"}

Row = dict[str, str]


@dataclass(frozen=True)
class Annotation:
    """What the table says of an image. centre_xy: column and row, 0-based. None where it says nothing."""

    label: bool | None = None
    centre_xy: tuple[float, float] | None = None
    keep: bool = True

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to say: a centre, or that the image cannot be used."""
        return self.centre_xy is not None or not self.keep


class Annotations:
    """The images below a folder and their `ground_truth.csv`, as the brain data set reads it.

    images: paths below the folder, sorted; one whose name no table can hold is left out with a warning. The table is
    the one that lies below the folder, else a new one in it. It is read before each change, so that its rows and
    columns, and what somebody else wrote meanwhile, stay. Of several rows of one image the first counts.
    """

    def __init__(self, folder: Path) -> None:
        """Raises LesionError for a folder without images, with the thesis's table, or where the table cannot be
        written, DatasetError for a table that cannot be read."""
        self.folder = folder
        problems = {path.relative_to(folder).as_posix(): name_problem(path, folder) for path in image_files(folder)}
        for problem in filter(None, problems.values()):
            logger.warning("left out: %s", problem)
        self.images = tuple(image for image, problem in problems.items() if not problem)
        if not self.images:
            raise LesionError(
                f"{folder} holds no PNG or JPEG image. DICOM, NIfTI and .mhd files become PNG with `lesion png`."
            )
        self.table = find_tables(folder, [GROUND_TRUTH]).get(GROUND_TRUTH, folder / GROUND_TRUTH)
        if not self.table.exists() and (others := thesis_tables(folder)):
            raise LesionError(
                f"{others[0]} has the centres of these images, and the {GROUND_TRUTH} that would be made here is read "
                f"in its place: write its rows there as {', '.join(GROUND_TRUTH_COLUMNS)} first, or move it away."
            )
        if not os.access(self.table.parent, os.W_OK | os.X_OK):
            raise LesionError(
                f"{self.table} cannot be written: you may not write to {self.table.parent}. Make the folder writable, "
                "or mark the images in a copy of it."
            )
        self._by_name = _names(self.images)
        self._undo: list[tuple[str, Row | None]] = []
        self.read()

    def read(self) -> list[Annotation]:
        """What the table says now, in the order of the images."""
        _, _, rows = self._load()
        numbers = self._row_numbers(rows)
        return [_annotation(rows[numbers[image]] if image in numbers else _new_row(image)) for image in self.images]

    def mark(self, image: str, x: float, y: float) -> None:
        """Saves a lesion's centre, in pixels to a tenth; the image is then one to keep."""
        self._change(image, {"x": f"{x:.1f}", "y": f"{y:.1f}", "keep": "True"})

    def set_unusable(self, image: str) -> None:
        """Saves that an image is not to be used."""
        self._change(image, {"keep": "False"})

    def set_label(self, image: str, label: bool) -> None:
        """Saves an image's label."""
        self._change(image, {"label": str(label)})

    def undo(self) -> str | None:
        """Takes back the last change of this session and gives its image; None when there is none left."""
        if not self._undo:
            return None
        image, before = self._undo[-1]
        separator, columns, rows = self._load()
        number = self._row_numbers(rows).get(image, len(rows))
        rows[number : number + 1] = [] if before is None else [before]
        self._save(separator, columns, rows)
        self._undo.pop()
        return image

    def _change(self, image: str, cells: Row) -> None:
        separator, columns, rows = self._load()
        number = self._row_numbers(rows).get(image)
        before = None if number is None else dict(rows[number])
        if number is None:
            number = len(rows)
            rows.append(_new_row(image))
        rows[number].update(cells)
        self._save(separator, columns, rows)
        self._undo.append((image, before))

    def _row_numbers(self, rows: list[Row]) -> dict[str, int]:
        """Image to the number of its row."""
        numbers: dict[str, int] = {}
        for number, row in enumerate(rows):
            image = self._by_name.get(PurePosixPath(row["file"].replace("\\", "/")))
            if image is not None:
                numbers.setdefault(image, number)
        return numbers

    def _load(self) -> tuple[str, list[str], list[Row]]:
        """(separator, columns, rows); the columns of the brain data set and whatever else the table has.

        Raises LesionError for a table of which something would be lost when it is written again.
        """
        if not self.table.exists():
            return ",", list(COLUMNS), []
        rows = [dict(row.cells) for row in read_table(self.table, GROUND_TRUTH_COLUMNS)]
        try:
            text = self.table.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise LesionError(f"{self.table} is not UTF-8; save it as CSV UTF-8 before you annotate.") from error
        first = text.partition("\n")[0]
        separator = ";" if first.count(";") > first.count(",") else ","
        header, *cells = csv.reader(StringIO(text, newline=""), delimiter=separator)
        columns = [name.strip().rstrip("*").strip() for name in header]
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise LesionError(f"{self.table} has two columns {twice[0]!r}; rename one before you annotate.")
        if long := [number for number, row in enumerate(cells, start=2) if any(row[len(columns) :])]:
            raise LesionError(
                f"{self.table}, row {long[0]}: there are more cells than columns; mend it before you annotate."
            )
        return separator, [*columns, *(name for name in COLUMNS if name not in columns)], rows

    def _save(self, separator: str, columns: list[str], rows: list[Row]) -> None:
        """Raises LesionError where the disk or its permissions refuse: the table is then as it was."""
        try:
            with replacing(self.table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="", delimiter=separator, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        except OSError as error:
            raise LesionError(f"Not saved ({error.strerror}): {self.table} cannot be written.") from error


def next_open(annotations: Sequence[Annotation], after: int = -1) -> int | None:
    """The number of the first image behind `after` that is not done, going round at the end; None without any."""
    order = [*range(after + 1, len(annotations)), *range(after + 1)]
    return next((number for number in order if not annotations[number].is_done), None)


def _names(images: Sequence[str]) -> dict[PurePosixPath, str]:
    """Every name by which a row can mean an image: its path, or the end of it when no other image shares that."""
    ends: dict[PurePosixPath, list[str]] = {}
    for image in images:
        parts = PurePosixPath(image).parts
        for first in range(1, len(parts)):
            ends.setdefault(PurePosixPath(*parts[first:]), []).append(image)
    names = {end: sharing[0] for end, sharing in ends.items() if len(sharing) == 1}
    return names | {PurePosixPath(image): image for image in images}


def _new_row(image: str) -> Row:
    # A spreadsheet takes a name like -1.png for a formula; ./-1.png is the same file.
    name = f"./{image}" if neutral_cell(image) != image else image
    return {"file": name, "label": _LABELS.get(PurePosixPath(image).parent.name.casefold(), ""), "keep": "True"}


def _annotation(row: Row) -> Annotation:
    x, y = _number(row.get("x", "")), _number(row.get("y", ""))
    label = row["label"].casefold()
    return Annotation(
        None if not label else label not in _FALSE,
        None if x is None or y is None else (x, y),
        row.get("keep", "").casefold() not in _FALSE,
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
