"""Findings -> a cohort folder: crop, count what could not be used, write."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.cohorts.cohort import (
    EXCLUDED_COLUMNS,
    NUMERIC_SUFFIXES,
    POSITION_COLUMNS,
    Cohort,
    CohortError,
    image_sha256,
    load_cohort,
)
from lesion_transfer.cohorts.crop import CropError, crop_patch
from lesion_transfer.cohorts.near_duplicates import perceptual_hash
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.cohorts.samples import LostSample, Sample, samples_of
from lesion_transfer.cohorts.statistics import PatientStatistics
from lesion_transfer.datasets.finding import Exclusion, Finding
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.files import replacing, write_csv, write_json

FINDING_COLUMNS = ("finding_key", "patient_id", "finding_id", "label", "zone", "group", "concern", *POSITION_COLUMNS)
CHANNEL_COLUMNS = ("series_uid", "sop_uid", "file", *NUMERIC_SUFFIXES, "phash")


def build_cohort(
    findings: Iterable[Finding | Exclusion],
    options: CohortOptions,
    out: Path,
    source_sha256: Mapping[str, str],
    progress: Callable[[int], None] | None = None,
    root: Path | None = None,
    display_scale: Mapping[str, Any] | None = None,
) -> Cohort:
    """Crops every finding and writes images.npy, findings.csv, excluded.csv and cohort.json into `out`.

    findings: those of one patient consecutive (CHANNEL_mean and _std are over that patient's slices), read one by one.
    source_sha256: of every source file, by str(SequenceSlice.file). progress: called with the number of findings and
    exclusions seen so far. root: CHANNEL_file and cohort.json name files relative to it, so that bytes do not depend
    on where the data lie. display_scale: noted in cohort.json as it is.

    In mode separate each sequence of a finding is an image of its own, and a column `sequence` says which.

    A finding (or sequence of one) that cannot be cropped becomes a row of excluded.csv. Raises CohortError when this
    befalls more than max_excluded_share of the patients present, when no finding is left, or when the findings
    contradict the contract.
    """
    building = _Building(options, source_sha256, root)
    for count, item in enumerate(findings, start=1):
        building.add(item)
        if progress is not None:
            progress(count)
    building.finish_patient()
    sequence = ["sequence"] if options.mode == "separate" else []
    write_csv(out / "excluded.csv", pd.DataFrame(building.excluded, columns=[*EXCLUDED_COLUMNS, *sequence]))
    _refuse_if_too_few(building, out / "excluded.csv")
    with replacing(out / "images.npy") as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, np.stack(building.images), allow_pickle=False)
    channel_columns = [f"{channel}_{name}" for channel in options.image_channels for name in CHANNEL_COLUMNS]
    columns = [*FINDING_COLUMNS, *sequence, *channel_columns, "image_sha256"]
    write_csv(out / "findings.csv", pd.DataFrame(building.rows, columns=columns))
    scale = {} if display_scale is None else {"display_scale": display_scale}
    write_json(out / "cohort.json", _info(building) | scale)
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
    _waiting: list[tuple[dict[str, Any], Sample]] = field(default_factory=list)
    _statistics: PatientStatistics = field(init=False)
    _patients: set[str] = field(default_factory=set)
    _keys: set[str] = field(default_factory=set)
    _shown: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """Of the current patient: by sequence and image_sha256 the row that a repeat is compared with."""

    def __post_init__(self) -> None:
        self._statistics = PatientStatistics(self.options.zscore_over)

    def add(self, item: Finding | Exclusion) -> None:
        """Crops a finding, or notes why it has no patch."""
        if isinstance(item, Exclusion):
            self._exclude(item)
            return
        self._check_order(item)
        for sample in samples_of(item, self.options):
            if isinstance(sample, LostSample):
                self._exclude(sample.exclusion, sample.sequence)
                continue
            try:
                self._keep(sample)
            except (CropError, RefusalError) as error:
                names = item.finding_key, item.patient_id, item.finding_id
                self._exclude(Exclusion(*names, error.reason, str(error)), sample.sequence)

    def finish_patient(self) -> None:
        """Fills in mean and std of each sequence of the patient (THESIS eq. 5.1)."""
        for row, sample in self._waiting:
            for channel in sample.slices:
                mean, std = self._statistics.mean_and_std(sample.statistic_of(channel))
                row.update({f"{channel}_mean": mean, f"{channel}_std": std})
        self._waiting = []
        self._shown = {}
        self._statistics = PatientStatistics(self.options.zscore_over)

    def _check_order(self, finding: Finding) -> None:
        if finding.patient_id != self._patient:
            self.finish_patient()
            self._patient = finding.patient_id
            if finding.patient_id in self._patients:
                raise CohortError(
                    f"Patient {finding.patient_id}: finding {finding.finding_key} comes after those of another "
                    "patient; the data set's reader must yield the findings of one patient one after the other."
                )
            self._patients.add(finding.patient_id)
        if finding.finding_key in self._keys:
            raise CohortError(
                f"finding_key {finding.finding_key!r} comes twice; the data set's reader must number repeats."
            )
        self._keys.add(finding.finding_key)

    def _keep(self, sample: Sample) -> None:
        """Crops a sample and keeps image and row; CropError or RefusalError where that is impossible."""
        crops = [crop_patch(one, self.options) for one in sample.slices.values()]
        image = np.stack([patch for patch, _ in crops])
        read = self._statistics.add([(sample.statistic_of(channel), one) for channel, one in sample.slices.items()])
        for file in (*(file for one in sample.slices.values() for file in one.companions), *read):
            self._file(file, sample.finding.finding_key)
        row = self._row(sample, image, [share for _, share in crops])
        self._compare_with_shown(row)
        self.images.append(image)
        self.rows.append(row)
        self._waiting.append((row, sample))

    def _compare_with_shown(self, row: dict[str, Any]) -> None:
        """Says in the row's concern which earlier finding of the patient has the same image, perhaps another label."""
        shown = self._shown.setdefault((row["sequence"], row["image_sha256"]), row)
        if shown is row:
            return
        concern = f"shows the same image as {shown['finding_key']}"
        if {shown["label"], row["label"]} == {"True", "False"}:
            concern += ", and their labels contradict each other"
        row["concern"] = "; ".join(filter(None, [row["concern"], concern]))
        if not shown["label"]:
            self._shown[row["sequence"], row["image_sha256"]] = row

    def _exclude(self, item: Exclusion, sequence: str = "") -> None:
        # A sentence may name a file below root by its absolute path: excluded.csv must not depend on where that is.
        detail = item.detail if self.root is None else item.detail.replace(f"{self.root}/", "")
        cells = (item.patient_id, item.finding_id, item.reason.value, item.finding_key, detail)
        row = dict(zip(EXCLUDED_COLUMNS, cells, strict=True))
        self.excluded.append(row | ({"sequence": sequence} if self.options.mode == "separate" else {}))

    def _row(self, sample: Sample, image: np.ndarray, padded: list[float]) -> dict[str, Any]:
        finding = sample.finding
        row: dict[str, Any] = {
            "finding_key": finding.finding_key,
            "patient_id": finding.patient_id,
            "finding_id": finding.finding_id,
            "label": "" if finding.label is None else str(finding.label),
            "zone": finding.zone,
            "group": finding.group,
            "concern": finding.concern,
            "sequence": sample.sequence,
            **dict(zip(POSITION_COLUMNS, finding.position_lps_mm or (np.nan,) * 3, strict=True)),
        }
        for (channel, source), share in zip(sample.slices.items(), padded, strict=True):
            spacing = source.spacing_mm or (np.nan, np.nan)
            values = {
                "series_uid": source.series_uid,
                "sop_uid": source.sop_uid,
                "file": self._file(source.file, finding.finding_key),
                "distance_mm": np.nan if source.distance_mm is None else source.distance_mm,
                "centre_x": float(source.centre_xy[0]),
                "centre_y": float(source.centre_xy[1]),
                "spacing_row_mm": float(spacing[0]),
                "spacing_column_mm": float(spacing[1]),
                "image_rows": float(source.pixels.shape[0]),
                "image_columns": float(source.pixels.shape[1]),
                "padded_share": share,
                "phash": perceptual_hash(source.pixels),
            }
            row.update({f"{channel}_{name}": value for name, value in values.items()})
        row["image_sha256"] = image_sha256(image)
        return row

    def _file(self, file: Path, finding_key: str) -> str:
        """The name of a file, relative to root where it lies below it; its hash is noted."""
        inside = self.root is not None and file.is_relative_to(self.root)
        name = file.relative_to(self.root).as_posix() if inside and self.root else file.as_posix()
        try:
            self.used_sha256[name] = self.source_sha256[str(file)]
        except KeyError:
            raise CohortError(
                f"{finding_key}: {file} is not in the data set's manifest, so its content cannot be recorded; "
                "run the acquire stage again."
            ) from None
        return name


def _refuse_if_too_few(building: _Building, table: Path) -> None:
    """Raises CohortError when too many patients have lost a finding, or when no finding is left."""
    reasons = Counter(row["reason"] for row in building.excluded)
    counts = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items())) or "no finding at all"
    failed = {row["patient_id"] for row in building.excluded if not Reason(row["reason"]).is_declared}
    present = failed | {row["patient_id"] for row in building.rows}
    limit = building.options.max_excluded_share
    if failed and len(failed) / len(present) > limit:
        raise CohortError(
            f"{len(failed)} of {len(present)} patients that are present have a finding that cannot be used, more than "
            f"max_excluded_share ({limit}) allows: {counts}. {table} says why for each."
        )
    if not building.rows:
        raise CohortError(f"No finding of {building.options.dataset} is left: {counts}. {table} says why for each.")


def _info(building: _Building) -> dict[str, Any]:
    """cohort.json: how the cohort was made and of which bytes; no time, no absolute path."""
    options = building.options
    pitch_mm = None if options.crop_mm is None else options.crop_mm / options.patch_pixels
    share = None if options.crop_fraction is None else [part / options.patch_pixels for part in options.crop_fraction]
    label_of = {row["finding_key"]: row["label"] for row in building.rows}
    labels = Counter(label_of.values())
    return {
        "channels": options.image_channels,
        "patch_pixels": options.patch_pixels,
        "margin_pixels": options.margin_pixels,
        "pitch_mm": pitch_mm,
        "pitch_image_share": share,
        "interpolation": "cubic B-spline, Gaussian before it where the pitch is coarser than the source pixel",
        "options": options.model_dump(mode="json"),
        "n_images": len(building.rows),
        "n_findings": len(label_of),
        "n_positive": labels["True"],
        "n_negative": labels["False"],
        "n_unknown": labels[""],
        "n_patients": len({row["patient_id"] for row in building.rows}),
        "n_concerns": dict(sorted(Counter(row["concern"] for row in building.rows if row["concern"]).items())),
        "n_excluded": dict(sorted(Counter(row["reason"] for row in building.excluded).items())),
        "source_sha256": dict(sorted(building.used_sha256.items())),
    }
