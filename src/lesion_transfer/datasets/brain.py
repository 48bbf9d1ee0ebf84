"""Brain MRI images (Kaggle): single JPG and PNG images with a lesion's pixel position in a table."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lesion_transfer.datasets.brain_tables import BrainRow, Lesion, brain_table, read_brain_rows
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding, KeyCounter, SequenceSlice
from lesion_transfer.datasets.options import CHANNELS_OF_KIND
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError, relative_to_source
from lesion_transfer.datasets.tables import by_patient, refuse_merged, require_folder
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.raster import read_grey
from lesion_transfer.imaging.walk import files_below, name_problem

log = logging.getLogger(__name__)

CHANNELS = CHANNELS_OF_KIND["brain"]
_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class _Row:
    finding_key: str
    patient_id: str
    finding_id: str
    raw: BrainRow


def published_tables(source: Path) -> list[Path]:
    """The one table of the data set; DatasetError when there is none or more than one."""
    return [brain_table(source)]


def image_files(source: Path) -> Iterator[Path]:
    """Every JPG and PNG file below source, sorted."""
    require_folder(source)
    return (path for path in files_below(source) if path.suffix.lower() in _SUFFIXES)


def read_findings(
    source: Path, tables: Path, channels: Sequence[str], slice_rule: str
) -> Iterator[Finding | Exclusion]:
    """The lesions of the table, each with its image in grey (channel `grey`); spacing is unknown.

    A patient is a `patient_group` where the table has one, else an image: its folder and name, `yes-Y1`. slice_rule
    is not read: an image is all there is.
    """
    if list(channels) != list(CHANNELS):
        raise DatasetError(f"Brain images have one channel, grey; asked for {', '.join(channels) or 'none'}.")
    counter = KeyCounter()
    rows = []
    table = brain_table(tables)
    for raw in read_brain_rows(table):
        patient_id, finding_id = _safe(_patient_of(raw)), _safe(raw.finding_id)
        rows.append(_Row(counter.key(patient_id, finding_id), patient_id, finding_id, raw))
    refuse_merged(str(table), ((row.patient_id, _patient_of(row.raw)) for row in rows))
    images = _Images(source)
    for patient in by_patient(rows):
        for row in patient:
            try:
                file = images.find(row.raw)
                lesion = row.raw.read()
                one_slice = _slice(lesion, file, row.raw, source)
            except RefusalError as refusal:
                yield refusal.exclusion(row.finding_key, row.patient_id, row.finding_id)
            else:
                yield Finding(
                    row.finding_key,
                    row.patient_id,
                    row.finding_id,
                    lesion.label,
                    {"grey": one_slice},
                    group=row.raw.group,
                )


def _patient_of(row: BrainRow) -> str:
    return row.group or _image_name(row.image)


def _image_name(image: str) -> str:
    """`yes/Y1.jpg` -> `yes-Y1`: names repeat from folder to folder."""
    path = PurePosixPath(image.replace("\\", "/"))
    stem = path.stem if path.suffix.lower() in _SUFFIXES else path.name
    return f"{path.parent.name}-{stem}" if path.parent.name else stem


def _safe(name: str) -> str:
    return re.sub(r"[^\w .+-]", "_", name)[:128].strip(" .+-") or "unnamed"


def _slice(lesion: Lesion, file: Path, row: BrainRow, source: Path) -> SequenceSlice:
    try:
        pixels = read_grey(file)
    except UnreadableFileError as error:
        raise RefusalError(Reason.UNREADABLE_FILE, relative_to_source(str(error), source)) from error
    rows, columns = pixels.shape
    x, y = lesion.centre_xy
    if not (0 <= x <= columns - 1 and 0 <= y <= rows - 1):
        raise RefusalError(
            Reason.OUTSIDE_VOLUME,
            f"The position {x:g}, {y:g} in {row.place} is outside {row.image}, which is {columns} x {rows} pixels.",
        )
    return SequenceSlice(pixels=pixels, spacing_mm=None, centre_xy=lesion.centre_xy, file=file)


class _Images:
    """The images below source by path and by name: a table can name no file outside."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._by_name: dict[str, list[tuple[PurePosixPath, Path]]] = {}
        self._by_stem: dict[str, list[tuple[PurePosixPath, Path]]] = {}
        self._unreadable: list[str] = []
        self._misnamed: list[tuple[PurePosixPath, str]] = []
        for path in files_below(source, self._unreadable.append):
            if path.suffix.lower() not in _SUFFIXES:
                continue
            relative = PurePosixPath(path.relative_to(source).as_posix())
            if problem := name_problem(path, source):
                self._misnamed.append((_ascii(relative), problem))
                continue
            self._by_name.setdefault(relative.name, []).append((relative, path))
            self._by_stem.setdefault(relative.stem, []).append((relative, path))
        for problem in (*self._unreadable, *(problem for _, problem in self._misnamed)):
            log.warning("%s", problem)

    def find(self, row: BrainRow) -> Path:
        """The image that a row names. A path may leave out leading folders; of several files the least deep counts.

        Raises RefusalError: `bad_path`, `ambiguous_file`, `not_in_source`, and in place of the last `unreadable_file`
        where the file's name is no UTF-8, or while there are folders that cannot be read: the image may be in one.
        """
        wanted = PurePosixPath(row.image.replace("\\", "/"))
        if wanted.is_absolute() or ".." in wanted.parts or not wanted.parts:
            raise RefusalError(
                Reason.BAD_PATH, f"The file {row.image[:60]!r} in {row.place} is no path below the source."
            )
        if row.by_stem:
            found = self._by_stem.get(wanted.name, [])
            # Standard folders tell apart images of one name.
            found = [one for one in found if one[0].parent.name == row.folder] or found
        else:
            found = [
                (relative, path)
                for relative, path in self._by_name.get(wanted.name, [])
                if relative.parts[-len(wanted.parts) :] == wanted.parts
            ]
        if not found:
            self._refuse_hidden(row, _ascii(wanted))
            raise RefusalError(
                Reason.NOT_IN_SOURCE, f"The image {row.image} of {row.place} is not in the source folder."
            )
        depth = min(len(relative.parts) for relative, _ in found)
        nearest = [one for one in found if len(one[0].parts) == depth]
        if len(nearest) > 1:
            raise RefusalError(
                Reason.AMBIGUOUS_FILE,
                f"{row.image} of {row.place} may be {nearest[0][0]} or {nearest[1][0]}: name its folder.",
            )
        return nearest[0][1]

    def _refuse_hidden(self, row: BrainRow, wanted: PurePosixPath) -> None:
        """Raises RefusalError `unreadable_file` where an image that was not found may be there all the same."""
        for relative, problem in self._misnamed:
            named = relative.with_suffix("") if row.by_stem else relative
            if named.parts[-len(wanted.parts) :] == wanted.parts:
                raise RefusalError(Reason.UNREADABLE_FILE, problem)
        if self._unreadable:
            raise RefusalError(
                Reason.UNREADABLE_FILE,
                f"The image {row.image} of {row.place} was not found, and may be in what cannot be read: "
                f"{relative_to_source(self._unreadable[0], self._source)}",
            )


def _ascii(path: PurePosixPath) -> PurePosixPath:
    """The path with ? for all that is not ASCII: equal for a name in Latin-1 and the same in a table of UTF-8."""
    return PurePosixPath(str(path).encode("ascii", "replace").decode("ascii"))
