"""What the data sets of DICOM files share: the patients below a folder, and slices read once."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom.misc import is_dicom

from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError, relative_to_source
from lesion_transfer.datasets.tables import require_folder
from lesion_transfer.imaging.dicom_files import read_display_values
from lesion_transfer.imaging.dicom_index import DicomIndex, InstanceHeader, Series, index_folder, patient_key
from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.walk import files_below, name_problem


def dicom_files(source: Path) -> Iterator[Path]:
    """Every file below source that begins as a DICOM file does, sorted; DatasetError when source is no folder."""
    require_folder(source)
    return (path for path in files_below(source) if is_dicom_file(path))


def is_dicom_file(path: Path) -> bool:
    """Whether a file begins as DICOM files do; False where it may not be opened: the index cannot use it either."""
    try:
        return bool(is_dicom(path))
    except OSError:
        return False


def refuse_unreadable(patient_id: str, unreadable: Iterable[str], source: Path) -> None:
    """Raises RefusalError `unreadable_file` where one of the sentences names a folder of the patient's name.

    What cannot be read names no patient, but the folders of every published layout do.
    """
    for one in unreadable:
        if patient_key(patient_id) in map(patient_key, re.split(r"[\\/\s]", one)):
            raise RefusalError(
                Reason.UNREADABLE_FILE,
                f"None of the patient's images can be read: {relative_to_source(one, source)}",
            )


class DicomSource:
    """The images below a folder by patient; the headers are read when the first patient is asked for.

    A patient with any image that does not say that patient identity was removed is refused, unless allow_identified.
    """

    def __init__(self, source: Path, *, allow_identified: bool = False) -> None:
        require_folder(source)
        self._source = source
        self._allow_identified = allow_identified

    @cached_property
    def _index(self) -> DicomIndex:
        return index_folder(self._source)

    @cached_property
    def _patients(self) -> dict[str, list[InstanceHeader]]:
        return self._index.by_patient()

    def patient_ids(self) -> list[str]:
        """The PatientIDs of the images, as the headers write them, sorted."""
        return sorted({images[0].patient_id.strip() for images in self._patients.values()})

    def of_patient(self, patient_id: str) -> list[InstanceHeader]:
        """The images of a patient.

        Raises RefusalError: `not_in_source` when there are none, `unreadable_file` when a folder of the patient's name
        or all that it holds cannot be read, `identified` for an identity.
        """
        images = self._patients.get(patient_key(patient_id))
        if not images:
            refuse_unreadable(patient_id, self._index.unreadable, self._source)
            unread = len(self._index.unreadable)
            aside = f" ({unread} folders or DICOM files there could not be read)" if unread else ""
            raise RefusalError(Reason.NOT_IN_SOURCE, f"No image in the source has the PatientID {patient_id}{aside}.")
        identified = [image for image in images if image.identity_problem]
        if identified and not self._allow_identified:
            first = identified[0]
            raise RefusalError(
                Reason.IDENTIFIED,
                f"{first.file.relative_to(self._source)} {first.identity_problem}, as do {len(identified) - 1} more of "
                f"the patient's {len(images)} images. De-identify them, or allow it: allow_identified: true in the "
                "data set's entry of params.yaml, --allow-identified for a prediction.",
            )
        return images


class DisplayCache:
    """Slices in display values, each read once; made anew for every patient, so that memory stays small."""

    def __init__(self, source: Path, default_window: Window | None = None) -> None:
        self._source = source
        self._default_window = default_window
        self._read: dict[Path, np.ndarray] = {}

    def read(self, file: Path) -> np.ndarray:
        """(rows, columns) float32 in [0, 255], read-only; RefusalError `unreadable_file` when that fails."""
        if file not in self._read:
            pixels = self._read_anew(file)
            pixels.flags.writeable = False
            self._read[file] = pixels
        return self._read[file]

    def series_reader(self, series: Series) -> Callable[[], Iterator[tuple[Path, np.ndarray]]]:
        """What reads the images of a series one by one, file and display values, and keeps none of them."""

        def read() -> Iterator[tuple[Path, np.ndarray]]:
            for image in series.instances:
                kept = self._read.get(image.file)
                yield image.file, self._read_anew(image.file) if kept is None else kept

        return read

    def _read_anew(self, file: Path) -> np.ndarray:
        if problem := name_problem(file, self._source):
            raise RefusalError(Reason.UNREADABLE_FILE, problem)
        try:
            return read_display_values(file, self._default_window)
        except UnreadableFileError as error:
            raise RefusalError(Reason.UNREADABLE_FILE, relative_to_source(str(error), self._source)) from error
