"""Findings -> a cohort folder: crop, count what could not be used, write."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.cohorts.cohort import Cohort, CohortError, image_sha256, load_cohort
from lesion_transfer.cohorts.crop import CropError, crop_patch
from lesion_transfer.cohorts.near_duplicates import perceptual_hash
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets.finding import Exclusion, Finding, SequenceSlice
from lesion_transfer.files import replacing, write_csv, write_json

DECLARED_EXCLUSIONS = frozenset({"not_in_source", "not_kept", "uncertain_label"})
"""Reasons that the data set itself gives: counted, but no sign that something went wrong."""

EXCLUDED_COLUMNS = ("patient_id", "finding_id", "reason", "finding_key", "detail")
FINDING_COLUMNS = ("finding_key", "patient_id", "finding_id", "label", "zone", "group")
CHANNEL_COLUMNS = (
    "series_uid",
    "sop_uid",
    "file",
    "distance_mm",
    "centre_x",
    "centre_y",
    "spacing_row_mm",
    "spacing_column_mm",
    "mean",
    "std",
    "padded_share",
    "phash",
)


def build_cohort(
    findings: Iterable[Finding | Exclusion],
    options: CohortOptions,
    out: Path,
    source_sha256: Mapping[str, str],
    progress: Callable[[int], None] | None = None,
    root: Path | None = None,
) -> Cohort:
    """Crops every finding and writes images.npy, findings.csv, excluded.csv and cohort.json into `out`.

    findings: those of one patient consecutive (CHANNEL_mean and _std are over that patient's slices), read one by one.
    source_sha256: of every source file, by str(SequenceSlice.file). progress: called with the number of findings and
    exclusions seen so far. root: CHANNEL_file and cohort.json name files relative to it, so that bytes do not depend
    on where the data lie.

    A finding that cannot be cropped becomes a row of excluded.csv. Raises CohortError when more than
    max_excluded_share of the findings present are, when none is left, or when the findings contradict the contract.
    """
    building = _Building(options, source_sha256, root)
    for count, item in enumerate(findings, start=1):
        building.add(item)
        if progress is not None:
            progress(count)
    building.finish_patient()
    write_csv(out / "excluded.csv", pd.DataFrame(building.excluded, columns=list(EXCLUDED_COLUMNS)))
    _refuse_if_too_few(building, out / "excluded.csv")
    with replacing(out / "images.npy") as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, np.stack(building.images), allow_pickle=False)
    channel_columns = [f"{channel}_{name}" for channel in options.channels for name in CHANNEL_COLUMNS]
    columns = [*FINDING_COLUMNS, *channel_columns, "image_sha256"]
    write_csv(out / "findings.csv", pd.DataFrame(building.rows, columns=columns))
    write_json(out / "cohort.json", _info(building))
    return load_cohort(out)


@dataclass
class _Building:
    """What has been cropped so far; slices are held for the current patient only."""

    options: CohortOptions
    source_sha256: Mapping[str, str]
    root: Path | None
    images: list[np.ndarray] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)
    used_sha256: dict[str, str] = field(default_factory=dict)
    _patient: str | None = None
    _first_row: int = 0
    _slices: dict[str, dict[bytes, np.ndarray]] = field(default_factory=dict)
    _patients: set[str] = field(default_factory=set)
    _keys: set[str] = field(default_factory=set)

    def add(self, item: Finding | Exclusion) -> None:
        """Crops a finding, or notes why it has no patch."""
        if isinstance(item, Exclusion):
            self._exclude(item, item.reason, item.detail)
            return
        if item.patient_id != self._patient:
            self.finish_patient()
            self._patient = item.patient_id
            if item.patient_id in self._patients:
                raise CohortError(
                    f"Patient {item.patient_id}: finding {item.finding_key} comes after those of another patient; "
                    "the data set's reader must yield the findings of one patient one after the other."
                )
            self._patients.add(item.patient_id)
        if item.finding_key in self._keys:
            raise CohortError(
                f"finding_key {item.finding_key!r} comes twice; the data set's reader must number repeats."
            )
        self._keys.add(item.finding_key)
        try:
            image, padded = self._crop(item)
        except CropError as error:
            self._exclude(item, error.reason, str(error))
            return
        self.images.append(image)
        self.rows.append(self._row(item, image, padded))
        for channel in self.options.channels:
            # Two findings of one slice hold it twice; equal pixels are the same slice, and count once.
            pixels = np.ascontiguousarray(item.slices[channel].pixels)
            digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
            self._slices.setdefault(channel, {}).setdefault(digest, pixels)

    def finish_patient(self) -> None:
        """Fills in mean and std (population) over all pixels of the patient's distinct slices (THESIS eq. 5.1)."""
        for channel, slices in self._slices.items():
            pixels = np.concatenate([pixels.ravel() for pixels in slices.values()]).astype(np.float64)
            statistics = {f"{channel}_mean": float(pixels.mean()), f"{channel}_std": float(pixels.std())}
            for row in self.rows[self._first_row :]:
                row.update(statistics)
        self._slices = {}
        self._first_row = len(self.rows)

    def _crop(self, finding: Finding) -> tuple[np.ndarray, list[float]]:
        """(channels, rows, columns) float32 and the padded share of each channel."""
        missing = [channel for channel in self.options.channels if channel not in finding.slices]
        if missing:
            raise CropError(
                "missing_channel",
                f"{finding.finding_key} has no slice of {', '.join(missing)}; "
                "find the series, or take the channel out of this cohort.",
            )
        crops = [crop_patch(finding.slices[channel], self.options) for channel in self.options.channels]
        return np.stack([patch for patch, _ in crops]), [share for _, share in crops]

    def _exclude(self, item: Finding | Exclusion, reason: str, detail: str) -> None:
        # A sentence may name a file below root by its absolute path: excluded.csv must not depend on where that is.
        if self.root is not None:
            detail = detail.replace(f"{self.root}/", "")
        cells = (item.patient_id, item.finding_id, reason, item.finding_key, detail)
        self.excluded.append(dict(zip(EXCLUDED_COLUMNS, cells, strict=True)))

    def _row(self, finding: Finding, image: np.ndarray, padded: list[float]) -> dict[str, Any]:
        label = "" if finding.label is None else str(finding.label)
        row: dict[str, Any] = {
            "finding_key": finding.finding_key,
            "patient_id": finding.patient_id,
            "finding_id": finding.finding_id,
            "label": label,
            "zone": finding.zone,
            "group": finding.group,
        }
        for channel, share in zip(self.options.channels, padded, strict=True):
            source = finding.slices[channel]
            spacing = source.spacing_mm or (np.nan, np.nan)
            values = {
                "series_uid": source.series_uid,
                "sop_uid": source.sop_uid,
                "file": self._file(source, finding.finding_key),
                "distance_mm": np.nan if source.distance_mm is None else source.distance_mm,
                "centre_x": float(source.centre_xy[0]),
                "centre_y": float(source.centre_xy[1]),
                "spacing_row_mm": float(spacing[0]),
                "spacing_column_mm": float(spacing[1]),
                "padded_share": share,
                "phash": perceptual_hash(source.pixels),
            }
            row.update({f"{channel}_{name}": value for name, value in values.items()})
        row["image_sha256"] = image_sha256(image)
        return row

    def _file(self, source: SequenceSlice, finding_key: str) -> str:
        """The slice's file, relative to root where it lies below it; its hash is noted."""
        inside = self.root is not None and source.file.is_relative_to(self.root)
        name = source.file.relative_to(self.root).as_posix() if inside and self.root else source.file.as_posix()
        try:
            self.used_sha256[name] = self.source_sha256[str(source.file)]
        except KeyError:
            raise CohortError(
                f"{finding_key}: {source.file} is not in the data set's manifest, so its content cannot be recorded; "
                "run the acquire stage again."
            ) from None
        return name


def _refuse_if_too_few(building: _Building, table: Path) -> None:
    reasons = Counter(row["reason"] for row in building.excluded)
    failed = sum(n for reason, n in reasons.items() if reason not in DECLARED_EXCLUSIONS)
    present = len(building.rows) + failed
    counts = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items())) or "no finding at all"
    limit = building.options.max_excluded_share
    if failed and failed / present > limit:
        raise CohortError(
            f"{failed} of {present} findings that are present cannot be used, more than max_excluded_share ({limit}) "
            f"allows: {counts}. {table} says why for each."
        )
    if not building.rows:
        raise CohortError(f"No finding of {building.options.dataset} is left: {counts}. {table} says why for each.")


def _info(building: _Building) -> dict[str, Any]:
    """cohort.json: how the cohort was made and of which bytes; no time, no absolute path."""
    options = building.options
    pitch_mm = None if options.crop_mm is None else options.crop_mm / options.patch_pixels
    share = None if options.crop_fraction is None else [part / options.patch_pixels for part in options.crop_fraction]
    labels = Counter(row["label"] for row in building.rows)
    return {
        "channels": options.channels,
        "patch_pixels": options.patch_pixels,
        "margin_pixels": options.margin_pixels,
        "pitch_mm": pitch_mm,
        "pitch_image_share": share,
        "interpolation": "cubic B-spline, Gaussian before it where the pitch is coarser than the source pixel",
        "options": options.model_dump(mode="json"),
        "n_findings": len(building.rows),
        "n_positive": labels["True"],
        "n_negative": labels["False"],
        "n_unknown": labels[""],
        "n_patients": len({row["patient_id"] for row in building.rows}),
        "n_excluded": dict(sorted(Counter(row["reason"] for row in building.excluded).items())),
        "source_sha256": dict(sorted(building.used_sha256.items())),
    }
