"""What every data set yields: findings with one slice a channel, or the reason why a finding has none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.errors import LesionError


class DatasetError(LesionError):
    """The data set cannot be read at all: a sentence that says what, where and what to do."""


@dataclass(frozen=True)
class SequenceSlice:
    """One 2-D image of a finding.

    pixels: (rows, columns) float32 display values in [0, 255].
    spacing_mm: (between rows, between columns), as DICOM's PixelSpacing; None where unknown.
    centre_xy: the lesion's centre (column, row) in pixels, 0-based, pixel centres at whole numbers.
    distance_mm: from the lesion's position to the plane of the slice; None where unknown.
    companions: further files that hold part of the image (the voxels of a .mhd header).
    whole_series: reads the file and the display values of every image of the slice's series, one by one, raising
        RefusalError where one cannot be read; None where the slice is all there is.
    """

    pixels: np.ndarray
    spacing_mm: tuple[float, float] | None
    centre_xy: tuple[float, float]
    file: Path
    series_uid: str = ""
    sop_uid: str = ""
    distance_mm: float | None = None
    companions: tuple[Path, ...] = ()
    whole_series: Callable[[], Iterator[tuple[Path, np.ndarray]]] | None = None


@dataclass(frozen=True)
class Finding:
    """A lesion: who, which, its label (None: unknown), and a slice for each channel that could be had.

    finding_key is PATIENT/FID/n, n counting the table's rows of that patient and finding_id from 1.
    group names images that no split may separate beyond the patient (duplicates); empty: none.
    lacking: why there is no slice, for the channels asked for that have none.
    concern: says what looks wrong with a finding that is usable all the same; empty: nothing does.
    position_lps_mm: where the lesion lies in the patient; None where unknown. No network sees it, baselines do.
    """

    finding_key: str
    patient_id: str
    finding_id: str
    label: bool | None
    slices: dict[str, SequenceSlice]
    zone: str = ""
    group: str = ""
    lacking: "Mapping[str, Exclusion]" = field(default_factory=dict)
    concern: str = ""
    position_lps_mm: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Exclusion:
    """A finding that cannot be used: the kind of fault, and a sentence for people."""

    finding_key: str
    patient_id: str
    finding_id: str
    reason: Reason
    detail: str = ""


@dataclass
class KeyCounter:
    """Counts the rows of a (patient, finding id) in table order, so that keys are unique where ids repeat."""

    _seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def key(self, patient_id: str, finding_id: str) -> str:
        """The finding_key of the next row of this patient and finding id."""
        n = self._seen[(patient_id, finding_id)] = self._seen.get((patient_id, finding_id), 0) + 1
        return f"{patient_id}/{finding_id}/{n}"
