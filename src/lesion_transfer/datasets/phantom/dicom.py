"""DICOM files with fixed UIDs and nothing that differs between two writings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

# the root under which pydicom lets anybody derive UIDs; the version must not follow the installed pydicom's
_IMPLEMENTATION_UID = UID("1.2.826.0.1.3680043.8.498.1")
_IMPLEMENTATION_VERSION = "LESION_PHANTOM"


def phantom_uid(*names: object) -> UID:
    """The UID of these names, always the same."""
    return generate_uid(entropy_srcs=["lesion_transfer.phantom", *(f"\x1f{name}" for name in names)])


def decimal(value: float, digits: int = 9) -> str:
    """A decimal string of at most 16 characters (DICOM's DS), never `-0.000`."""
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def decimals(values: Sequence[float], digits: int = 9) -> list[str]:
    """Each value as a decimal string."""
    return [decimal(value, digits) for value in values]


def phantom_dataset(modality: str, patient_id: str, study_uid: UID, series_uid: UID, sop_class: UID) -> Dataset:
    """What all images of a series share: a de-identified patient of whom only the PatientID is known."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = sop_class
    for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "PatientBirthDate", "PatientSex", "StudyID"):
        setattr(dataset, keyword, "")
    dataset.Modality = modality
    dataset.Manufacturer = "PHANTOM"
    dataset.ReferringPhysicianName = ""
    dataset.PatientName = patient_id
    dataset.PatientID = patient_id
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Synthetic image, no patient"
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = series_uid
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    return dataset


def write_slice(
    path: Path, shared: Dataset, sop_uid: UID, number: int, position_lps_mm: Sequence[float], pixels: np.ndarray
) -> None:
    """Writes one image: pixels (rows, columns) uint16 or int16. `shared` is filled in anew for every slice."""
    shared.SOPInstanceUID = sop_uid
    shared.InstanceNumber = number
    shared.ImagePositionPatient = decimals(position_lps_mm)
    shared.Rows, shared.Columns = pixels.shape
    shared.PixelData = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    shared["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = shared.SOPClassUID
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    meta.ImplementationVersionName = _IMPLEMENTATION_VERSION
    shared.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, shared, enforce_file_format=True)


def stored(values: np.ndarray, low: int, high: int, dtype: type) -> np.ndarray:
    """The values rounded half up and held within [low, high], as integers: the only rounding on the way to a file."""
    rounded = np.floor(values + np.float32(0.5))
    held: np.ndarray = np.minimum(np.maximum(rounded, np.float32(low)), np.float32(high)).astype(dtype)
    return held
