"""Finding DICOM images in a folder of any layout, by what their headers say and never by folder name."""

import logging
import multiprocessing
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from lesion_transfer.imaging.dicom_files import TRANSFER_SYNTAXES, NotDicomError, check_size, open_dicom
from lesion_transfer.imaging.dicom_scan import Elements, dataset_of, scan_elements
from lesion_transfer.imaging.errors import GeometryError, UnreadableFileError
from lesion_transfer.imaging.geometry import SliceGeometry, pixel_spacing_mm
from lesion_transfer.imaging.privacy import KEYWORDS as PRIVACY_KEYWORDS
from lesion_transfer.imaging.privacy import identity_problem
from lesion_transfer.imaging.walk import files_below

logger = logging.getLogger(__name__)

# Nothing that tells who the patient is beyond the PatientID that the tables use.
_KEYWORDS = (
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
    *("SeriesNumber", "SeriesDescription", "InstanceNumber", "Modality", "ImageType", "DiffusionBValue"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"),
    *PRIVACY_KEYWORDS,
)
_SIEMENS_CREATOR = Tag(0x0019, 0x0010)
_SIEMENS_B_VALUE = Tag(0x0019, 0x100C)
_TAGS: list[BaseTag] = [Tag(tag_for_keyword(keyword) or 0) for keyword in _KEYWORDS]
_TAGS += [_SIEMENS_CREATOR, _SIEMENS_B_VALUE]
_WANTED = frozenset(map(int, _TAGS))
_SOP_UID, _INSTANCE_NUMBER, _POSITION = 0x00080018, 0x00200013, 0x00200032
"""What differs from image to image of a series; all else is worked out once."""
_UID = re.compile(rb"[0-9.]+\0?").fullmatch
_WHOLE = re.compile(rb" *[+-]?[0-9]{1,9} *").fullmatch
_NUMBER = rb" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *"
_THREE_NUMBERS = re.compile(rb"\\".join([_NUMBER] * 3)).fullmatch

PARALLEL_FROM_FILES = 50_000
"""From here on several processes read: a header takes 0.1 to 0.2 ms, starting a pool on two cores 2 to 3 s."""


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What is needed of one image to choose it; numbers are None where the header has none.

    b_value is in s/mm2; Siemens also writes one, that of the source images, into maps computed from them (ADC).
    geometry is None, and geometry_problem a sentence, where the header does not place the image in the patient.
    """

    file: Path
    patient_id: str
    study_uid: str
    series_uid: str
    series_number: int | None
    series_description: str
    sop_uid: str
    instance_number: int | None
    modality: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    frames: int
    spacing_mm: tuple[float, float] | None
    slice_thickness_mm: float | None
    b_value: float | None
    geometry: SliceGeometry | None
    geometry_problem: str = ""
    identity_problem: str = ""
    """Empty where the header says that patient identity was removed."""


@dataclass(frozen=True)
class Series:
    """Images of one series, sorted by instance number."""

    study_uid: str
    series_uid: str
    number: int | None
    description: str
    instances: tuple[InstanceHeader, ...]

    @property
    def shown_description(self) -> str:
        """The description, a free text, for people to read; empty unless every image says that identity was removed."""
        return "" if any(image.identity_problem for image in self.instances) else self.description

    @property
    def name(self) -> str:
        """What messages call the series."""
        return f"series {self.number} ({self.shown_description or 'no description'})"


@dataclass(frozen=True)
class DicomIndex:
    """The images found, in the order of their paths, and a sentence for each DICOM file or folder not readable."""

    instances: tuple[InstanceHeader, ...]
    unreadable: tuple[str, ...]

    def by_patient(self) -> dict[str, list[InstanceHeader]]:
        """PatientID (blanks around it removed, letter case ignored: see `patient_key`) to its images."""
        patients: dict[str, list[InstanceHeader]] = {}
        for instance in self.instances:
            patients.setdefault(patient_key(instance.patient_id), []).append(instance)
        return patients


def patient_key(patient_id: str) -> str:
    """The form in which patient ids of headers and of tables are compared."""
    return patient_id.strip().casefold()


def index_folder(folder: Path) -> DicomIndex:
    """The images below `folder`, from headers alone; an image that a patient has twice (SOPInstanceUID) counts once.

    A copy under another PatientID is that patient's image too: only so is it seen that the two share one. Images of one
    SOPInstanceUID that are not in one place, or not of one number and series, are no copies, whatever the standard
    says.
    """
    instances: dict[tuple[object, ...], InstanceHeader] = {}
    unreadable: list[str] = []
    for found in _headers(list(files_below(folder, unreadable.append))):
        if isinstance(found, InstanceHeader):
            place = None if found.geometry is None else found.geometry.position_lps_mm
            copies = (found.sop_uid or str(found.file), *_series_key(found), found.instance_number, place)
            instances.setdefault(copies, found)
        elif found is not None:
            unreadable.append(found)
    if unreadable:
        n_unread = len(unreadable)
        logger.warning(
            "%d folders and DICOM files below %s cannot be read. The first: %s", n_unread, folder, unreadable[0]
        )
    return DicomIndex(tuple(instances.values()), tuple(unreadable))


def _headers(paths: Sequence[Path]) -> Iterator[InstanceHeader | str | None]:
    """In the order of paths: the header, the reason why there is none, or None for what is no DICOM image."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(paths) < PARALLEL_FROM_FILES or workers == 1:
        yield from map(_header_or_reason, paths)
        return
    logger.info("Reading the headers of %d files below one folder with %d processes.", len(paths), workers)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_header_or_reason, paths, chunksize=256)


def _header_or_reason(path: Path) -> InstanceHeader | str | None:
    try:
        return read_header(path)
    except NotDicomError:
        return None
    except UnreadableFileError as error:
        return str(error)


def read_header(path: Path) -> InstanceHeader | None:
    """The header of an image; None for DICOM objects without pixels (reports, directories).

    Raises NotDicomError or UnreadableFileError.
    """
    try:
        elements = scan_elements(path, _WANTED, TRANSFER_SYNTAXES)
        if elements is not None:
            return _image_of(elements, path)
    except Exception:  # pydicom finds it again, and what it says counts
        logger.debug("%s is left to pydicom", path)
    dataset = open_dicom(path, only=_TAGS)
    try:
        return _image(dataset, path)
    except UnreadableFileError:
        raise
    except Exception as error:  # values are converted on access, and a hostile one can fail in any way
        kind = type(error).__name__  # its text would quote the value
        raise UnreadableFileError(f"{path}: the header has a value that cannot be used ({kind}).") from error


def _image(dataset: Dataset, path: Path) -> InstanceHeader | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts that break the standard's rules are common and harmless here
        if not dataset.get("Rows") and not dataset.get("Columns") and not _claims_pixels(dataset):
            return None
        check_size(dataset, path)
        return _header(dataset, path)


def _image_of(elements: Elements, path: Path) -> InstanceHeader | None:
    """What `_image` gives, pydicom being asked once for all images that share all but their own elements."""
    own = {tag: elements.pop(tag, (b"", b"")) for tag in (_SOP_UID, _INSTANCE_NUMBER, _POSITION)}
    shared = _shared(tuple(elements.items()))
    if shared is None:
        return None
    values = {
        "SOPInstanceUID": _plain(own[_SOP_UID], b"UI", _UID),
        "InstanceNumber": _plain(own[_INSTANCE_NUMBER], b"IS", _WHOLE),
        "ImagePositionPatient": _plain(own[_POSITION], b"DS", _THREE_NUMBERS).split("\\"),
        "ImageOrientationPatient": shared.orientation,
        "PixelSpacing": shared.spacing,
    }
    geometry, problem = _geometry(values, path)
    return replace(
        shared.header,
        file=path,
        sop_uid=values["SOPInstanceUID"],
        instance_number=_whole(values["InstanceNumber"]),
        geometry=geometry,
        geometry_problem=problem,
    )


@dataclass(frozen=True, slots=True)
class _Shared:
    """What images of a series share: a header that lacks its own elements, and two values as pydicom has them."""

    header: InstanceHeader
    orientation: Any
    spacing: Any


@lru_cache(maxsize=2**10)
def _shared(elements: tuple[tuple[int, tuple[bytes, bytes]], ...]) -> _Shared | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dataset_of(dict(elements))
        header = _image(dataset, Path())
        if header is None:
            return None
        return _Shared(header, dataset.get("ImageOrientationPatient"), dataset.get("PixelSpacing"))


def _plain(element: tuple[bytes, bytes], vr: bytes, fits: Callable[[bytes], object]) -> str:
    """The text of an element that is absent, empty or of the plain form; ValueError for what pydicom has to judge."""
    if element[1] and not (element[0] == vr and fits(element[1])):
        raise ValueError(element)
    return element[1].decode("ascii").strip("\0 ")


def _claims_pixels(dataset: Dataset) -> bool:
    """Whether the file says that it is an image: then a missing size is damage, and worth telling."""
    return "Image Storage" in UID(dataset.file_meta.get("MediaStorageSOPClassUID") or "").name


def _header(dataset: Dataset, path: Path) -> InstanceHeader:
    geometry, problem = _geometry(dataset, path)
    return InstanceHeader(
        file=path,
        patient_id=_text(dataset, "PatientID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        series_number=_whole(dataset.get("SeriesNumber")),
        series_description=_text(dataset, "SeriesDescription"),
        sop_uid=_text(dataset, "SOPInstanceUID"),
        instance_number=_whole(dataset.get("InstanceNumber")),
        modality=_text(dataset, "Modality"),
        image_type=_texts(dataset.get("ImageType")),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        frames=int(dataset.get("NumberOfFrames") or 1),
        spacing_mm=geometry.spacing_mm if geometry else pixel_spacing_mm(dataset),
        slice_thickness_mm=_positive(dataset.get("SliceThickness")),
        b_value=_b_value(dataset),
        geometry=geometry,
        geometry_problem=problem,
        identity_problem=identity_problem(dataset),
    )


def _geometry(values: Dataset | Mapping[str, Any], path: Path) -> tuple[SliceGeometry | None, str]:
    """Where the image lies, or why that is not known."""
    try:
        return SliceGeometry.from_dataset(values), ""
    except GeometryError as error:
        return None, f"{path}: {error}"


def _text(dataset: Dataset, keyword: str) -> str:
    return sys.intern(str(dataset.get(keyword) or "").strip())  # most texts repeat in thousands of images


def _texts(value: Any) -> tuple[str, ...]:
    if value is None or isinstance(value, str):
        return (value,) if value else ()
    return tuple(str(part) for part in value)


def _whole(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


def _positive(value: Any) -> float | None:
    number = None if value in (None, "") else float(value)
    return number if number is not None and np.isfinite(number) and number > 0 else None


def _b_value(dataset: Dataset) -> float | None:
    """The standard DiffusionBValue, else Siemens' private one: text in bytes (OB, UN) or a number (IS)."""
    standard = dataset.get("DiffusionBValue")
    if standard is not None:
        return _non_negative(standard)
    creator = dataset.get(_SIEMENS_CREATOR)
    if creator is not None and not str(creator.value).strip().upper().startswith("SIEMENS"):
        return None  # another maker's element of the same number
    element = dataset.get(_SIEMENS_B_VALUE)
    if element is None:
        return None
    value = element.value
    return _non_negative(value.decode("ascii", "ignore").strip("\0 ") if isinstance(value, bytes) else value)


def _non_negative(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number >= 0 else None


def group_series(instances: Iterable[InstanceHeader]) -> list[Series]:
    """The series that images belong to, each of one patient, sorted by study, number, UID and description.

    Images that share a SeriesInstanceUID, or lack one, and differ in SeriesNumber or SeriesDescription are of different
    series: some tools for de-identification give all images of a study one.
    """
    groups: dict[tuple[object, ...], list[InstanceHeader]] = {}
    for instance in instances:
        groups.setdefault(_series_key(instance), []).append(instance)
    series = []
    for members in groups.values():
        members.sort(key=lambda one: (one.instance_number is None, one.instance_number or 0, str(one.file)))
        first = members[0]
        series.append(
            Series(first.study_uid, first.series_uid, first.series_number, first.series_description, tuple(members))
        )
    return sorted(
        series,
        key=lambda one: (one.study_uid, -1 if one.number is None else one.number, one.series_uid, one.description),
    )


def _series_key(image: InstanceHeader) -> tuple[object, ...]:
    """What images of one series have in common."""
    return (
        patient_key(image.patient_id),
        image.study_uid,
        image.series_uid,
        image.series_number,
        image.series_description,
    )
