"""A cohort: the folder of aligned patches that trainings read, whoever made it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.datasets.finding import KeyCounter
from lesion_transfer.errors import LesionError
from lesion_transfer.files import file_sha256, plain_cell

NUMERIC_SUFFIXES = (
    "distance_mm",
    "centre_x",
    "centre_y",
    "spacing_row_mm",
    "spacing_column_mm",
    "image_rows",
    "image_columns",
    "mean",
    "std",
    "padded_share",
)
"""Columns CHANNEL_SUFFIX of findings.csv that hold numbers; every other column is text."""
POSITION_COLUMNS = ("position_x_lps_mm", "position_y_lps_mm", "position_z_lps_mm")
"""Where the lesion lies in the patient; empty where unknown."""
EXCLUDED_COLUMNS = ("patient_id", "finding_id", "reason", "finding_key", "detail")
"""Columns of excluded.csv."""
_LABELS = {"true": True, "false": False, "": None}
_ROWS_AT_ONCE = 256


class CohortError(LesionError):
    """The cohort cannot be built or read: a sentence that says what, where and what to do."""


@dataclass(frozen=True)
class Cohort:
    """Patches and their findings, in one order.

    images: (n, channels, rows, columns) float32 display values, memory-mapped; rows = columns =
        patch_pixels + 2 * margin_pixels, the lesion in the centre of the central pixel.
    findings: a row an image; ids are text, label is True, False or None, CHANNEL_mean and the like are float64.
        finding_key, patient_id, finding_id, label, zone, group and image_sha256 are always there; with a column
        sequence, a finding has a row for each of its sequences.
    info: cohort.json.
    """

    folder: Path
    images: np.ndarray
    findings: pd.DataFrame
    info: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name, by which params.yaml knows the cohort."""
        return self.folder.name

    @cached_property
    def images_sha256(self) -> str:
        """Of images.npy: by it models know what they were trained on."""
        return file_sha256(self.folder / "images.npy")

    @property
    def channels(self) -> list[str]:
        """The channels' names, in the order of images' second axis."""
        return list(self.info["channels"])

    @property
    def patch_pixels(self) -> int:
        """Side of the final patch, what a network sees."""
        return int(self.info["patch_pixels"])

    @property
    def margin_pixels(self) -> int:
        """Pixels stored on every side beyond the final patch."""
        return int(self.info["margin_pixels"])

    @property
    def patches(self) -> np.ndarray:
        """(n, channels, patch_pixels, patch_pixels): a view of the images without their margin."""
        return self.images[:, :, self.inner, self.inner]

    @property
    def inner(self) -> slice:
        """Of the stored rows, or columns, those of the final patch."""
        return slice(self.margin_pixels, self.margin_pixels + self.patch_pixels)

    @property
    def excluded(self) -> pd.DataFrame:
        """excluded.csv, text: the findings that could not be cut out, and why; none where there is no such file."""
        path = self.folder / "excluded.csv"
        if not path.is_file():
            return pd.DataFrame(columns=list(EXCLUDED_COLUMNS))
        return pd.read_csv(path, dtype=str, keep_default_na=False)


def load_cohort(folder: Path, info: Mapping[str, Any] | None = None) -> Cohort:
    """The cohort in a folder, checked.

    info: channels, patch_pixels and margin_pixels where the folder has no cohort.json. Needed are images.npy and
    findings.csv with patient_id; finding_key, finding_id, label, zone, group and image_sha256 are filled in where
    absent. Raises CohortError when the files contradict each other or the form.
    """
    folder = Path(folder).absolute()
    images = _load_images(folder / "images.npy")
    findings = _load_findings(folder / "findings.csv")
    if len(findings) != len(images):
        raise CohortError(
            f"{folder}: images.npy holds {len(images)} images and findings.csv {len(findings)} rows; "
            "a row describes the image of the same number, so build the cohort again."
        )
    path = folder / "cohort.json"
    known = _load_info(path) if path.is_file() or info is None else dict(info)
    _check_info(known, images.shape, path)
    _numbers(findings, known["channels"], folder / "findings.csv")
    if "image_sha256" not in findings:
        findings["image_sha256"] = [image_sha256(image) for image in images]
    return Cohort(folder, images, findings, known)


def image_sha256(image: np.ndarray) -> str:
    """The SHA-256 of a patch's pixels (channels, rows, columns), as little-endian float32 in C order."""
    return hashlib.sha256(np.ascontiguousarray(image, dtype="<f4").tobytes()).hexdigest()


def _load_images(path: Path) -> np.ndarray:
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise CohortError(
            f"{path} is missing: a cohort is a folder with images.npy and findings.csv; "
            "build it with `lesion cohort` or fetch it with `dvc pull`."
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise CohortError(f"{path} is not a NumPy array that can be read safely ({error}); write it again.") from error
    if not isinstance(images, np.ndarray) or images.dtype != np.float32 or images.ndim != 4 or not images.size:
        form = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise CohortError(
            f"{path} holds {form}; needed is float32 (n, channels, rows, columns) with at least one image."
        )
    for start in range(0, len(images), _ROWS_AT_ONCE):
        finite = np.isfinite(images[start : start + _ROWS_AT_ONCE]).all(axis=(1, 2, 3))
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise CohortError(f"{path}: image {row} (counted from 0) holds nan or infinity; remove or correct it.")
    return images


def _load_findings(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").astype(object)
    except FileNotFoundError:
        raise CohortError(f"{path} is missing: a row an image, with at least patient_id; write it.") from None
    except (OSError, ValueError) as error:
        raise CohortError(f"{path} cannot be read as a CSV ({error}); write it again.") from error
    if "patient_id" not in table or (table["patient_id"] == "").any():
        raise CohortError(f"{path}: every row needs a patient_id, because splits are drawn by patient; add it.")
    for name in ("finding_id", "label", "zone", "group"):
        if name not in table:
            table[name] = ""
    table["label"] = _labels(table["label"], path)
    for name in table.columns[table.columns.str.endswith("_file")]:
        table[name] = table[name].map(plain_cell)  # as cohort.json has them
    if "finding_key" not in table:
        counter = KeyCounter()
        pairs = zip(table["patient_id"], table["finding_id"], strict=True)
        table["finding_key"] = [counter.key(patient, finding) for patient, finding in pairs]
    own = ["finding_key", "sequence"] if "sequence" in table else ["finding_key"]
    repeated = table["finding_key"][table.duplicated(own)]
    if len(repeated):
        raise CohortError(
            f"{path}: finding_key {repeated.iloc[0]!r} stands in more than one row; it joins every table, "
            "so it must be unique (PATIENT/FID/n), with a column sequence for each sequence."
        )
    return table


def _labels(texts: pd.Series, path: Path) -> pd.Series:
    unknown = ~texts.str.strip().str.lower().isin(_LABELS.keys())
    if unknown.any():
        row = int(np.argmax(unknown.to_numpy()))
        raise CohortError(
            f"{path}, line {row + 2}: label is {texts.iloc[row]!r}; write True, False or nothing (unknown)."
        )
    return pd.Series([_LABELS[text.strip().lower()] for text in texts], index=texts.index, dtype=object)


def _load_info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CohortError(
            f"{path} is missing: it names channels, patch_pixels and margin_pixels; "
            'write it, for instance {"channels": ["dwi"], "patch_pixels": 65, "margin_pixels": 16}.'
        ) from None
    except (OSError, ValueError) as error:
        raise CohortError(f"{path} is not JSON ({error}); write it again.") from error
    if not isinstance(info, dict):
        raise CohortError(f"{path} holds {type(info).__name__}; needed is an object with channels and patch_pixels.")
    return info


def _check_info(info: dict[str, Any], shape: tuple[int, ...], path: Path) -> None:
    channels = info.get("channels")
    names = [name for name in channels if isinstance(name, str) and name] if isinstance(channels, list) else []
    if names != channels or len(names) != shape[1] or len(set(names)) != len(names):
        raise CohortError(
            f"{path}: channels is {channels!r}, but images.npy has {shape[1]} channel(s); list one name for each."
        )
    patch: Any = info.get("patch_pixels")
    margin: Any = info.get("margin_pixels")
    # type() and not isinstance: True is an int, but no number of pixels.
    whole = type(patch) is int and type(margin) is int and patch > 0 and margin >= 0
    if not whole or shape[2:] != (patch + 2 * margin,) * 2:
        raise CohortError(
            f"{path}: patch_pixels {patch!r} and margin_pixels {margin!r} do not explain images of {shape[2]} x "
            f"{shape[3]} pixels; a side is patch_pixels + 2 * margin_pixels."
        )


def _numbers(table: pd.DataFrame, channels: list[str], path: Path) -> None:
    """Turns the numeric columns that are there into float64, empty cells into nan."""
    for name in (*POSITION_COLUMNS, *(f"{channel}_{suffix}" for channel in channels for suffix in NUMERIC_SUFFIXES)):
        if name in table:
            try:
                table[name] = table[name].replace("", "nan").astype(np.float64)
            except ValueError as error:
                raise CohortError(f"{path}: column {name} holds something that is no number ({error}).") from error
