"""A patch archive: findings that arrive already cut out, `images.npy` with a row of `findings.csv` for each image."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding, KeyCounter, SequenceSlice
from lesion_transfer.datasets.patch_scale import DisplayScale
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import (
    TableRow,
    by_patient,
    checked_id,
    checked_label,
    checked_numbers,
    placeholder_id,
    read_table,
    refuse_merged,
    require_folder,
)
from lesion_transfer.imaging.walk import files_below, name_problem

log = logging.getLogger(__name__)
IMAGES = "images.npy"
FINDINGS = "findings.csv"
_SEPARATORS = ",;\t"
"""Tabs too: people make this table themselves, and Excel's "Unicode text" has them."""


@dataclass(frozen=True)
class _PatchRow:
    finding_key: str
    patient_id: str
    finding_id: str
    index: int
    row: TableRow
    """None: an image without a row."""


def published_tables(source: Path) -> list[Path]:
    """The archive's findings.csv; DatasetError when it is not there or not beside an images.npy."""
    return [_archive(source) / FINDINGS]


def image_files(source: Path) -> Iterator[Path]:
    """The archive's images.npy."""
    yield _archive(source) / IMAGES


def _archive(source: Path) -> Path:
    """source itself, or the one folder below it that holds both files."""
    require_folder(source)
    if (source / IMAGES).is_file() and (source / FINDINGS).is_file():
        return source
    found = [path.parent for path in files_below(source) if path.name == IMAGES and (path.parent / FINDINGS).is_file()]
    if len(found) != 1:
        raise DatasetError(
            f"{source} holds {len(found) or 'no'} folders with {IMAGES} and {FINDINGS}. "
            "Name the folder of one patch archive."
        )
    if problem := name_problem(found[0], source):
        raise DatasetError(f"{source}: {problem}")
    return found[0]


def display_scale(source: Path) -> DisplayScale:
    """How the archive's own numbers become display values; DatasetError where they cannot be read."""
    return DisplayScale.of(_open_images(_archive(source) / IMAGES))


def read_findings(
    source: Path, tables: Path, channels: Sequence[str], slice_rule: str, trained: DisplayScale | None = None
) -> Iterator[Finding | Exclusion]:
    """The findings of the archive in display values, patient by patient.

    channels names the archive's channels, all of them, in their order. Without x, y the lesion is the centre of the
    patch; without spacing_x, spacing_y the spacing is unknown. pos, where given, is the position in the patient (LPS,
    mm). slice_rule is not read: slices were chosen before. trained: the scale of the archive that a model was trained
    on, which numbers of no range of their own are read by (DisplayScale.for_model).
    """
    file = _archive(source) / IMAGES
    images = _open_images(file)
    if len(channels) != images.shape[1]:
        raise DatasetError(
            f"{file} has {images.shape[1]} channels and {len(channels)} were named ({', '.join(channels) or 'none'}). "
            "Name each of them, in order."
        )
    scale = DisplayScale.of(images)
    if trained is not None:
        scale, concern = scale.for_model(trained)
        if concern:
            log.warning("%s: %s", file, concern)
    if scale is not trained:
        for channel, words in scale.made_by_few(images):
            log.warning("%s, channel %s: %s", file, channels[channel], words)
    rows = _rows(tables / FINDINGS)
    if len(rows) != len(images):
        raise DatasetError(
            f"{file} holds {len(images)} images and {FINDINGS} has {len(rows)} rows: nobody can tell which belong "
            "together. Give each image its row, in the same order."
        )
    for patient in by_patient(rows):
        for patch in patient:
            try:
                finding = _finding(patch, file, images, scale, channels)
            except RefusalError as refusal:
                yield refusal.exclusion(patch.finding_key, patch.patient_id, patch.finding_id)
            else:
                yield finding


def _open_images(file: Path) -> np.ndarray:
    """The memory-mapped (n, channels, rows, columns) array; DatasetError for anything else."""
    try:
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise DatasetError(f"{file} is not an array that can be read ({error}). Write it with numpy.save.") from error
    if not isinstance(images, np.ndarray) or images.ndim != 4 or images.dtype.kind not in "buif" or not images.size:
        raise DatasetError(
            f"{file} is not an array of real numbers (images, channels, rows, columns): it has shape "
            f"{getattr(images, 'shape', None)} and type {getattr(images, 'dtype', None)}."
        )
    return images


def _rows(table: Path) -> list[_PatchRow]:
    counter = KeyCounter()
    found = []
    for index, row in enumerate(read_table(table, ["patient_id", "finding_id"], _SEPARATORS)):
        patient_id, finding_id = placeholder_id(row, "patient_id"), placeholder_id(row, "finding_id")
        found.append(_PatchRow(counter.key(patient_id, finding_id), patient_id, finding_id, index, row))
    refuse_merged(str(table), ((one.patient_id, one.row["patient_id"]) for one in found))
    return found


def _finding(patch: _PatchRow, file: Path, images: np.ndarray, scale: DisplayScale, channels: Sequence[str]) -> Finding:
    row = patch.row
    checked_id(row, "patient_id")
    checked_id(row, "finding_id")
    label = checked_label(row, "label") if row["label"] else None  # an archive may be labelled in part
    stored = np.asarray(images[patch.index])
    if not np.isfinite(stored).all():
        raise RefusalError(Reason.NOT_FINITE, f"Image {patch.index} of {IMAGES} has pixels that are not finite.")
    rows, columns = stored.shape[1:]
    x = checked_numbers(row, "x", 1)[0] if row["x"] else (columns - 1) / 2
    y = checked_numbers(row, "y", 1)[0] if row["y"] else (rows - 1) / 2
    if not (-0.5 <= x <= columns - 0.5 and -0.5 <= y <= rows - 0.5):
        raise RefusalError(Reason.OUTSIDE_VOLUME, f"The centre {x:g}, {y:g} of {row.place} is outside its image.")
    pixels = scale.apply(stored)
    slices = {
        channel: SequenceSlice(pixels[number], _spacing_mm(row), (x, y), file)
        for number, channel in enumerate(channels)
    }
    return Finding(
        finding_key=patch.finding_key,
        patient_id=patch.patient_id,
        finding_id=patch.finding_id,
        label=label,
        slices=slices,
        zone=row["zone"],
        position_lps_mm=checked_numbers(row, "pos", 3) if row["pos"] else None,
    )


def _spacing_mm(row: TableRow) -> tuple[float, float] | None:
    if not row["spacing_x"] and not row["spacing_y"]:
        return None
    between_columns, between_rows = (
        checked_numbers(row, column, 1, Reason.BAD_SPACING)[0] for column in ("spacing_x", "spacing_y")
    )
    if min(between_columns, between_rows) <= 0:
        raise RefusalError(Reason.BAD_SPACING, f"The spacing in {row.place} is not above 0.")
    return between_rows, between_columns
