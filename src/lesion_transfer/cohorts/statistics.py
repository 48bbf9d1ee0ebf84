"""Mean and standard deviation of a patient's sequence, for the z-score (THESIS eq. 5.1)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from lesion_transfer.datasets.finding import SequenceSlice


class PatientStatistics:
    """Collects one patient's images by sequence; each image counts once, however many findings it shows.

    over: `finding_slices`, the slices themselves, or `series`, every image of the series that they belong to.
    """

    def __init__(self, over: Literal["finding_slices", "series"]) -> None:
        self._over = over
        self._slices: dict[str, list[np.ndarray]] = {}
        self._series: dict[str, dict[str, _Moments]] = {}

    def add(self, sequence: str, one: SequenceSlice) -> list[Path]:
        """Takes in a slice; the files that were read beyond it. RefusalError where one of them cannot be read."""
        if self._over == "series" and one.whole_series is not None:
            return self._add_series(sequence, one.series_uid or str(one.file.parent), one.whole_series())
        # Two findings of one slice hold it twice; equal pixels are the same slice.
        known = self._slices.setdefault(sequence, [])
        if not any(one.pixels is pixels or np.array_equal(one.pixels, pixels) for pixels in known):
            known.append(one.pixels)
        return []

    def _add_series(self, sequence: str, name: str, images: Iterator[tuple[Path, np.ndarray]]) -> list[Path]:
        known = self._series.setdefault(sequence, {})
        if name in known:
            return []
        moments, files = _Moments(), []
        for file, pixels in images:
            moments.add(pixels)
            files.append(file)
        known[name] = moments
        return files

    def mean_and_std(self, sequence: str) -> tuple[float, float]:
        """Over all pixels of the sequence's images; the population's standard deviation."""
        if sequence in self._series:
            together = _Moments()
            for moments in self._series[sequence].values():
                together.merge(moments)
            return together.mean, together.std
        pixels = np.concatenate([one.ravel() for one in self._slices[sequence]]).astype(np.float64)
        return float(pixels.mean()), float(pixels.std())


class _Moments:
    """Number, mean and sum of squared deviations of pixels that come image by image (Chan, Golub, LeVeque 1983)."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = 0.0
        self._squares = 0.0

    @property
    def std(self) -> float:
        return float(np.sqrt(self._squares / self.n))

    def add(self, pixels: np.ndarray) -> None:
        own = _Moments()
        values = pixels.astype(np.float64)
        own.n, own.mean = values.size, float(values.mean())
        own._squares = float(((values - own.mean) ** 2).sum())
        self.merge(own)

    def merge(self, other: "_Moments") -> None:
        n, step = self.n + other.n, other.mean - self.mean
        self._squares += other._squares + step**2 * self.n * other.n / n
        self.mean += step * other.n / n
        self.n = n
