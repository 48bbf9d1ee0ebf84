"""The Ktrans map of a PROSTATEx patient (`PATIENT-Ktrans.mhd` with its .zraw), whose slices are chosen by position."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lesion_transfer.datasets.dicom_source import refuse_unreadable
from lesion_transfer.datasets.finding import SequenceSlice
from lesion_transfer.datasets.prostatex_tables import ImageRow, Position
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError, relative_to_source
from lesion_transfer.imaging.dicom_index import patient_key
from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.errors import GeometryError, UnreadableFileError
from lesion_transfer.imaging.geometry import SliceGeometry
from lesion_transfer.imaging.metaimage import SUFFIXES, data_file, read_metaimage
from lesion_transfer.imaging.volume import Grid
from lesion_transfer.imaging.walk import files_below, name_problem

KTRANS = "ktrans"
KTRANS_WINDOW = Window.spanning(0.0, 10.0)
"""Per minute. The published maps end at 40; around lesions one pixel in a hundred is above 10."""


@dataclass(frozen=True)
class KtransMap:
    """One patient's map: display values (slices, rows, columns) float32, where they and the first slice lie, and the
    files they are in."""

    shown: np.ndarray
    grid: Grid
    plane: SliceGeometry
    file: Path
    data: Path | None

    def slice_of(self, position_lps_mm: Position, rule: str, rows: Sequence[ImageRow]) -> SequenceSlice:
        """The slice that shows the position, or with `instance_number` the table's k (a map has no numbers of its own).

        Raises RefusalError: `missing_slice`, `negative_k`, `outside_volume`.
        """
        place, y, x = self.grid.index_of(position_lps_mm)
        chosen = math.floor(place + 0.5) if rule == "world" else self._table_k(rows)
        n_slices, n_rows, n_columns = self.shown.shape
        if not (0 <= chosen < n_slices and -0.5 <= x <= n_columns - 0.5 and -0.5 <= y <= n_rows - 0.5):
            raise RefusalError(
                Reason.OUTSIDE_VOLUME,
                f"The position falls on slice {place:.1f}, row {y:.1f}, column {x:.1f} of the Ktrans map, which has "
                f"{n_slices} x {n_rows} x {n_columns}.",
            )
        between_slices, between_rows, between_columns = self.grid.spacing_mm
        return SequenceSlice(
            pixels=self.shown[chosen],
            spacing_mm=(between_rows, between_columns),
            centre_xy=(x, y),
            file=self.file,
            distance_mm=abs(place - chosen) * between_slices,
            whole_series=self._whole,
            companions=() if self.data is None else (self.data,),
        )

    def _whole(self) -> Iterator[tuple[Path, np.ndarray]]:
        yield self.file, self.shown

    @staticmethod
    def _table_k(rows: Sequence[ImageRow]) -> int:
        if not rows:
            raise RefusalError(Reason.MISSING_SLICE, "The Ktrans table has no row of this finding.")
        k = int(rows[0].ijk[2])
        if k < 0:
            raise RefusalError(Reason.NEGATIVE_K, f"The Ktrans table puts the finding on slice {k}.")
        return k


class KtransSource:
    """The maps below a folder; a map names its patient in its file name alone."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._unreadable: list[str] = []

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in files_below(self._source, self._unreadable.append):
            if is_ktrans_header(path):
                patient = path.stem[: -len(KTRANS)].rstrip("-_ ")
                found.setdefault(patient_key(patient), []).append(path)
        return found

    def of_patient(self, patient_id: str, absent: Reason) -> KtransMap:
        """The patient's map; RefusalError `absent` where there is none, `ambiguous_file` or `unreadable_file`."""
        files = self._files.get(patient_key(patient_id), [])
        if not files:
            refuse_unreadable(patient_id, self._unreadable, self._source)
            raise RefusalError(absent, f"No file {patient_id}-Ktrans.mhd is in the source folder.")
        if len(files) > 1:
            names = [path.relative_to(self._source).as_posix() for path in files]
            raise RefusalError(Reason.AMBIGUOUS_FILE, f"The Ktrans map of {patient_id} may be {' or '.join(names)}.")
        if problem := name_problem(files[0], self._source):
            raise RefusalError(Reason.UNREADABLE_FILE, problem)
        try:
            return read_ktrans(files[0])
        except UnreadableFileError as error:
            raise RefusalError(Reason.UNREADABLE_FILE, relative_to_source(str(error), self._source)) from error


def is_ktrans_header(path: Path) -> bool:
    """Whether a file is called as the header of a Ktrans map is."""
    return path.suffix.lower() in SUFFIXES and path.stem.casefold().endswith(KTRANS)


def files_of_map(header: Path) -> list[Path]:
    """The header and the file of voxels that it names; the header alone where that cannot be told."""
    try:
        data = data_file(header)
    except (UnreadableFileError, OSError):
        data = None
    return [header] if data is None else [header, data]


def read_ktrans(file: Path) -> KtransMap:
    """The map in a file; UnreadableFileError.

    It lies where `centres_of_map` says.
    """
    volume = read_metaimage(file)
    if volume.grid is None or volume.voxels.shape[0] != 1:
        raise UnreadableFileError(f"{file}: the map does not say where in the patient it lies, or has several times.")
    voxels = volume.voxels[0]
    if not np.isfinite(voxels).all():
        raise UnreadableFileError(f"{file}: the map has voxels that are not finite.")
    shown = KTRANS_WINDOW.apply(voxels).astype(np.float32)
    shown.flags.writeable = False
    grid = centres_of_map(volume.grid)
    try:
        plane = grid.plane
    except GeometryError as error:
        raise UnreadableFileError(f"{file}: {error}") from error
    return KtransMap(shown, grid, plane, file, data_file(file))


def centres_of_map(corner: Grid) -> Grid:
    """Where the voxels of a map lie whose header gives `corner`.

    The header's Offset is the corner of the first voxel, half a voxel before the centre that the format says: it equals
    the corner-based WorldMatrix of the dynamic series that the map was computed from, on all 330 training findings; and
    only so do maps lie where T2 and ADC that were planned on the same centre lie.
    """
    return Grid(np.array(corner.position_lps_mm_of((0.5, 0.5, 0.5))), corner.steps_lps_mm)
