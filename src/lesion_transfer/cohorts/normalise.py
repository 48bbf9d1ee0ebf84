"""The z-score (THESIS eq. 5.1), applied when a training loads a cohort and kept with its model."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from lesion_transfer.cohorts.cohort import Cohort, CohortError
from lesion_transfer.cohorts.options import CohortOptions

_FLAT = 1e-6
"""A std below this, in display values of 0 to 255, is rounding noise of a constant image: divide by 1 instead."""


@dataclass(frozen=True)
class ZScore:
    """(pixel - mean) / std with each patient's own statistics, or with one mean and std a channel for the data set."""

    scope: Literal["patient", "dataset"]
    channels: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def apply(self, cohort: Cohort) -> np.ndarray:
        """(n, channels, rows, columns) float32: the cohort's images, margin included, normalised.

        scope patient: by the columns CHANNEL_mean and CHANNEL_std; where a column is absent or has an empty cell,
        by the images of the patient's own rows. Raises CohortError when the channels are others than those fitted.
        """
        if tuple(cohort.channels) != self.channels:
            raise CohortError(
                f"Cohort {cohort.folder} has the channels {cohort.channels}, the normalisation was made for "
                f"{list(self.channels)}; use a cohort with these channels in this order."
            )
        normalised = np.empty(cohort.images.shape, dtype=np.float32)
        for index, channel in enumerate(self.channels):
            if self.scope == "patient":
                mean, std = _patient_statistics(cohort, index, channel)
            else:
                mean, std = (np.full(len(cohort.images), values[index]) for values in (self.mean, self.std))
            std = np.where(std < _FLAT, 1.0, std)
            pixels = cohort.images[:, index].astype(np.float64)
            normalised[:, index] = (pixels - mean[:, None, None]) / std[:, None, None]
        return normalised

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, text and numbers for JSON; from_dict gives back an equal object."""
        return {"scope": self.scope, "channels": list(self.channels), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The object whose to_dict gave `content`; ValueError where it is not of that form."""
        scope, channels = content["scope"], tuple(content["channels"])
        mean, std = (tuple(float(value) for value in content[name]) for name in ("mean", "std"))
        expected = len(channels) if scope == "dataset" else 0
        finite = all(np.isfinite(value) for value in (*mean, *std))
        if scope not in ("patient", "dataset") or {len(mean), len(std)} != {expected} or not finite:
            raise ValueError(
                f"{content} is no normalisation: scope patient has no mean and std, dataset one a channel."
            )
        return cls(scope, channels, mean, std)


def fit_zscore(cohort: Cohort, train_rows: npt.ArrayLike, options: CohortOptions) -> ZScore:
    """The normalisation that `options` asks for, fitted on the training rows alone.

    train_rows: row numbers or a mask (n,) bool. scope dataset: mean and population std over all pixels of these rows'
    central patch_pixels**2, what a network sees (the thesis takes whole images, which a cohort does not keep);
    zscore_rows all_rows takes every row, the thesis's leak. scope patient: nothing to fit.
    """
    channels = tuple(cohort.channels)
    if options.zscore == "patient":
        return ZScore("patient", channels)
    rows = np.asarray(train_rows)
    if options.zscore_rows == "all_rows":
        rows = np.arange(len(cohort.images))
    elif rows.dtype == bool:
        if rows.shape != (len(cohort.images),):
            raise CohortError(f"{cohort.folder}: a mask of {rows.shape} does not fit {len(cohort.images)} rows.")
        rows = np.flatnonzero(rows)
    # In row order whatever the caller's order: sums of floats, and so bytes, depend on it.
    rows = np.unique(rows)
    if not len(rows):
        raise CohortError(f"{cohort.folder}: no training row to take mean and std from; look at the split.")
    patches = cohort.patches[rows].astype(np.float64)
    mean, std = patches.mean(axis=(0, 2, 3)), patches.std(axis=(0, 2, 3))
    return ZScore("dataset", channels, tuple(mean.tolist()), tuple(std.tolist()))


def _patient_statistics(cohort: Cohort, index: int, channel: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std of each row's patient in one channel, (n,) float64 each."""
    columns = [f"{channel}_mean", f"{channel}_std"]
    if all(name in cohort.findings and np.isfinite(cohort.findings[name]).all() for name in columns):
        mean, std = (cohort.findings[name].to_numpy(dtype=np.float64) for name in columns)
        return mean, std
    mean, std = np.empty(len(cohort.images)), np.empty(len(cohort.images))
    patients = cohort.findings["patient_id"].to_numpy()
    for patient in dict.fromkeys(patients):
        rows = np.flatnonzero(patients == patient)
        pixels = cohort.images[rows, index].astype(np.float64)
        mean[rows], std[rows] = pixels.mean(), pixels.std()
    return mean, std
