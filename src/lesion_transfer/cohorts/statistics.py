"""Mean and standard deviation of a patient's sequence, for the z-score (THESIS eq. 5.1)."""

from collections.abc import Sequence
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

    def add(self, slices: Sequence[tuple[str, SequenceSlice]]) -> list[Path]:
        """Takes in the slices of one sample with their sequences; the files that were read beyond them.

        RefusalError where one of these cannot be read: then nothing of the sample is taken in.
        """
        files: list[Path] = []
        read: dict[tuple[str, str], _Moments] = {}
        beside = []
        for sequence, one in slices:
            if self._over != "series" or one.whole_series is None:
                beside.append((sequence, one.pixels))
                continue
            name = one.series_uid or str(one.file.parent)
            if name in self._series.get(sequence, {}) or (sequence, name) in read:
                continue
            moments = read[sequence, name] = _Moments()
            for file, pixels in one.whole_series():
                moments.add(pixels)
                files.append(file)
        for (sequence, name), moments in read.items():
            self._series.setdefault(sequence, {})[name] = moments
        for sequence, pixels in beside:
            # Two findings of one slice hold it twice; equal pixels are the same slice.
            known = self._slices.setdefault(sequence, [])
            if not any(pixels is other or np.array_equal(pixels, other) for other in known):
                known.append(pixels)
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
