"""What every test may use: the real data where there is some, and a maker of small DICOM files."""

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with the longest tests first, so that two processes end at about the same time."""
    longest = ("test_experiments.py", "test_pipeline.py", "test_resume.py", "test_ledger_truth.py")
    order = {name: place for place, name in enumerate(longest)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data (LESION_REAL_DATA, else ../shared/data beside the repository); skips without it."""
    named = os.environ.get("LESION_REAL_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; name its folder in LESION_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def browser():
    """Chromium without a network of its own accord; one a test process, for two of them cannot live in one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=flags)
        yield opened
        opened.close()


def dicom_dataset(pixels: np.ndarray | None = None, *, b_value: bytes | None = None, **tags: Any) -> Dataset:
    """A transverse MR image of (rows, columns) pixels, 2 mm wide, 12 of 16 bits; `tags` replace or (None) remove."""
    pixels = np.zeros((6, 5), np.uint16) if pixels is None else pixels
    bits = pixels.dtype.itemsize * 8
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = {
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": generate_uid(),
        "PatientID": "P1",
        "PatientIdentityRemoved": "YES",
        "Modality": "MR",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "SeriesNumber": 4,
        "SeriesDescription": "t2_tse_tra",
        "InstanceNumber": 1,
        "ImagePositionPatient": [0.0, 0.0, 0.0],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [2.0, 2.0],
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": 12 if bits == 16 else bits,
        "HighBit": 11 if bits == 16 else bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        **tags,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if b_value is not None:
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "OB", b_value)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


@pytest.fixture
def make_dicom() -> Callable[..., Dataset]:
    """`dicom_dataset`: a DICOM image in memory."""
    return dicom_dataset


@pytest.fixture
def write_dicom() -> Callable[..., Path]:
    """write_dicom(path, pixels=None, **tags): writes a DICOM image and returns its path."""

    def write(path: Path, pixels: np.ndarray | None = None, **tags: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        dicom_dataset(pixels, **tags).save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def write_enhanced() -> Callable[..., Path]:
    """write_enhanced(path, pixels (frames, rows, columns), gap_mm, **tags): an enhanced MR image.

    Its geometry stands in its functional groups alone: pixels of 2 x 0.5 mm, frames gap_mm apart from -10, 20, 0 on.
    """

    def group(name: str, **tags: Any) -> tuple[str, Sequence]:
        item = Dataset()
        item.update(tags)
        return name, Sequence([item])

    def write(path: Path, pixels: np.ndarray, gap_mm: float = 3.0, **tags: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        placeless = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
        size = {"NumberOfFrames": len(pixels), "Rows": pixels.shape[1], "Columns": pixels.shape[2]}
        dataset = dicom_dataset(pixels, **placeless, **size, **{"SOPClassUID": EnhancedMRImageStorage, **tags})
        shared, frames = Dataset(), []
        shared.update(
            dict(
                [
                    group("PixelMeasuresSequence", PixelSpacing=[2.0, 0.5], SliceThickness=gap_mm),
                    group("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
                ]
            )
        )
        for number in range(len(pixels)):
            frame = Dataset()
            frame.update(dict([group("PlanePositionSequence", ImagePositionPatient=[-10.0, 20.0, gap_mm * number])]))
            frames.append(frame)
        dataset.SharedFunctionalGroupsSequence = Sequence([shared])
        dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def make_unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """make_unreadable(path): opening the file, or listing the folder, is refused. Root, as tests run, passes chmod."""
    refused = set()

    def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *others: Any, **named: Any) -> Any:
            if isinstance(path, str | os.PathLike) and Path(path) in refused:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return function(path, *others, **named)

        return call

    for module, name in ((os, "scandir"), (io, "open"), (builtins, "open")):
        monkeypatch.setattr(module, name, guarded(getattr(module, name)))
    return refused.add
