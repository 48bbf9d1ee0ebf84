"""Cohorts and patch archives to look at: a finding is a slice, a channel a point in time."""

from pathlib import Path

import numpy as np

from lesion_transfer.cohorts.cohort import Cohort
from lesion_transfer.datasets.finding import Finding
from lesion_transfer.datasets.patch_archive import IMAGES, read_findings
from lesion_transfer.errors import LesionError
from lesion_transfer.imaging.display import DISPLAY_MAX, Window
from lesion_transfer.viewing.stack import Mark, Stack, same_window

_DISPLAY = Window.spanning(0.0, DISPLAY_MAX)


def cohort_stack(cohort: Cohort) -> Stack:
    """The patches of a cohort in its display values, margin included, each lesion marked in the centre."""
    n, channels, rows, columns = cohort.images.shape
    names = tuple(
        _name(key, label) for key, label in zip(cohort.findings["finding_key"], cohort.findings["label"], strict=True)
    )
    marks = tuple(Mark((number, (rows - 1) / 2, (columns - 1) / 2), "") for number in range(n))
    pitch_mm = cohort.info.get("pitch_mm")
    return Stack(
        cohort.name,
        cohort.images.transpose(1, 0, 2, 3),
        same_window(_DISPLAY, channels, n),
        "display range",
        time_names=tuple(cohort.channels),
        slice_names=names,
        marks=marks,
        reslice=False,
        pixel_mm=(pitch_mm, pitch_mm) if pitch_mm else None,
    )


def archive_stack(folder: Path) -> Stack:
    """The patches of an archive in display values; a finding that cannot be used is left out, with a note."""
    images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    channels = [f"channel {number + 1}" for number in range(images.shape[1] if images.ndim == 4 else 0)]
    found = list(read_findings(folder, folder, channels, "world"))
    findings = [one for one in found if isinstance(one, Finding)]
    if not findings:
        raise LesionError(f"{folder} holds no finding that can be shown.")
    voxels = np.array([[one.slices[channel].pixels for one in findings] for channel in channels])
    centres = [one.slices[channels[0]].centre_xy for one in findings]
    return Stack(
        folder.name,
        voxels,
        same_window(_DISPLAY, len(channels), len(findings)),
        "display range",
        time_names=tuple(channels) if len(channels) > 1 else (),
        slice_names=tuple(_name(one.finding_key, one.label) for one in findings),
        marks=tuple(Mark((number, y, x), "") for number, (x, y) in enumerate(centres)),
        notes=tuple(one.detail for one in found if not isinstance(one, Finding)),
        reslice=False,
    )


def _name(finding_key: str, label: bool | None) -> str:
    return finding_key if label is None else f"{finding_key} {'positive' if label else 'negative'}"
