"""Where findings lie: positions that the user names, a table of positions in mm, a table of pixels of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Self, TypeVar

from lesion_transfer.cohorts.cohort import POSITION_COLUMNS
from lesion_transfer.datasets import lungx
from lesion_transfer.datasets.brain_tables import GROUND_TRUTH, GROUND_TRUTH_COLUMNS
from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import TableRow, checked_label, checked_numbers, read_table
from lesion_transfer.errors import LesionError
from lesion_transfer.imaging.dicom_index import InstanceHeader, patient_key

Position = tuple[Sequence[float], str]
"""A point in LPS mm and what it is called."""
Pixel = tuple[float, float, str]
"""Column and row, 0-based, and what lies there."""
Named = TypeVar("Named", Position, Pixel)
PUBLISHED = ("ProxID", "fid", "pos")
_SOP_UID = "_sop_uid"
_LABEL_NAMES = {None: "", True: " positive", False: " negative"}


@dataclass(frozen=True)
class Positions:
    """Where findings lie.

    everywhere: those that count for whatever is opened. by_patient: those of a published table, or of a cohort's
    findings.csv where the images are no DICOM, by `patient_key`.
    by_image: those of a cohort's findings.csv, by SOPInstanceUID. by_number: those of LUNGx's tables, by `patient_key`
    and InstanceNumber.
    """

    everywhere: tuple[Position, ...] = ()
    by_patient: dict[str, list[Position]] = field(default_factory=dict)
    by_image: dict[str, list[Pixel]] = field(default_factory=dict)
    by_number: dict[tuple[str, int], list[Pixel]] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    """Names of the table's findings that some image was asked for: empty where the table is of other images."""

    @classmethod
    def of(cls, named: Sequence[str], table: Path | None) -> Self:
        """From texts `X,Y,Z` and from a CSV: PROSTATEx's findings, LUNGx's nodules, or the findings.csv of a cohort.

        Raises LesionError for a text that is no position, DatasetError for a table of neither kind.
        """
        everywhere = tuple((_position(text), "") for text in named)
        if table is None:
            return cls(everywhere)
        rows = read_table(table, ())
        columns = rows[0].cells if rows else {}
        channels = [column.removesuffix(_SOP_UID) for column in columns if column.endswith(_SOP_UID)]
        if "finding_key" in columns and channels:
            volumes = [row for row in rows if not any(row[f"{channel}{_SOP_UID}"] for channel in channels)]
            return cls(everywhere, _of_volumes(volumes), by_image=_by_image(rows, channels))
        if set(lungx.PLACE_COLUMNS) <= set(columns):
            return cls(everywhere, by_number=_by_number(rows))
        if not set(PUBLISHED) <= set(columns):
            raise DatasetError(
                f"{table} says of no finding where it lies. Needed is a table with {', '.join(PUBLISHED)}, as "
                f"PROSTATEx publishes it, or with {', '.join(lungx.PLACE_COLUMNS)}, as LUNGx does, or the findings.csv "
                "of a cohort."
            )
        return cls(everywhere, _by_patient(rows))

    def of_patient(self, key: str) -> list[Position]:
        """What counts for the images of a patient; `key` as `patient_key` makes it."""
        return [*self.everywhere, *self._given(self.by_patient.get(key, []))]

    def of_image(self, image: InstanceHeader) -> list[Pixel]:
        """What lies on an image by a table that names the image itself; LUNGx's tables name images of CT alone."""
        numbered = image.instance_number if image.modality in {"CT", ""} else None
        of_number = [] if numbered is None else self.by_number.get((patient_key(image.patient_id), numbered), [])
        return self._given([*self.by_image.get(image.sop_uid, []), *of_number])

    def of_path(self, file: Path) -> list[Position]:
        """What counts for a volume that names no patient: those whose folder, or whose name at its start, it bears."""
        parts = {patient_key(part) for part in file.parts[:-1]}
        name = patient_key(file.name)
        keys = [key for key in self.by_patient if key in parts or name.startswith((f"{key}-", f"{key}_", f"{key}."))]
        return [*self.everywhere, *self._given([position for key in keys for position in self.by_patient[key]])]

    def _given(self, found: list[Named]) -> list[Named]:
        self.given.extend(str(one[-1]) for one in found)
        return found

    def in_picture(self, file: Path) -> list[Pixel]:
        """(x, y, name) of the lesions that the nearest ground_truth.csv above a picture names for it."""
        for folder in list(file.absolute().parents)[:3]:
            table = folder / GROUND_TRUTH
            if table.is_file():
                own = PurePosixPath(file.absolute().relative_to(folder).as_posix()).parts
                rows = read_table(table, GROUND_TRUTH_COLUMNS)
                named = [(PurePosixPath(row["file"].replace("\\", "/")).parts, row) for row in rows]
                # the whole path, or the end of one, as the data set reads it
                return [found for parts, row in named if parts and parts == own[-len(parts) :] for found in _pixel(row)]
        return []


def _by_patient(rows: Sequence[TableRow]) -> dict[str, list[Position]]:
    found: dict[str, list[Position]] = {}
    for row in rows:
        try:
            position, name = checked_numbers(row, "pos", 3), f"finding {row['fid']}{_label(row, 'ClinSig')}"
        except RefusalError:
            continue  # a finding without a place cannot be marked; the pipeline lists it as excluded
        found.setdefault(patient_key(row["ProxID"]), []).append((position, name))
    return found


def _of_volumes(rows: Sequence[TableRow]) -> dict[str, list[Position]]:
    found: dict[str, list[Position]] = {}
    for row in rows:
        try:
            position = [checked_numbers(row, column, 1)[0] for column in POSITION_COLUMNS]
        except RefusalError:
            continue  # pictures have no place in the patient
        name = f"{row['finding_key']}{_label(row, 'label')}"
        found.setdefault(patient_key(row["patient_id"]), []).append((position, name))
    return found


def _by_image(rows: Sequence[TableRow], channels: Sequence[str]) -> dict[str, list[Pixel]]:
    found: dict[str, list[Pixel]] = {}
    for row in rows:
        for channel in channels:
            try:
                x, y = (checked_numbers(row, f"{channel}_centre_{axis}", 1)[0] for axis in "xy")
                name = f"{row['finding_key']}{_label(row, 'label')}"
            except RefusalError:
                continue
            found.setdefault(row[f"{channel}{_SOP_UID}"], []).append((x, y, name))
    found.pop("", None)  # images that are no DICOM
    return found


def _by_number(rows: Sequence[TableRow]) -> dict[tuple[str, int], list[Pixel]]:
    found: dict[tuple[str, int], list[Pixel]] = {}
    for row in rows:
        try:
            place = lungx.nodule_place(row)
        except RefusalError:
            continue  # footnotes too
        try:
            label = lungx.nodule_label(row)
        except RefusalError:
            label = None
        name = f"nodule {lungx.nodule_name(row)}{_LABEL_NAMES[label]}"
        found.setdefault((patient_key(place.patient_id), place.image_number), []).append((*place.centre_xy, name))
    return found


def _pixel(row: TableRow) -> list[Pixel]:
    try:
        return [(checked_numbers(row, "x", 1)[0], checked_numbers(row, "y", 1)[0], _label(row, "label").strip())]
    except RefusalError:
        return []


def _label(row: TableRow, column: str) -> str:
    """The label behind a name; nothing where the table gives none that is known: the place counts without it."""
    try:
        return _LABEL_NAMES[checked_label(row, column)]
    except RefusalError:
        return ""


def _position(text: str) -> Sequence[float]:
    row = TableRow("the command line", 1, {"position": text})
    try:
        return checked_numbers(row, "position", 3)
    except RefusalError:
        raise LesionError(f"{text!r} is no position: write X,Y,Z in mm (LPS), for instance 25.7,31.9,-38.5.") from None
