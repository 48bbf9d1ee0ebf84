"""How the numbers of a patch archive, which may be of any range, become display values in [0, 255]."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

_CHUNK = 256
_PERCENTILES = (0.1, 99.9)
_FAR = 10.0
"""How many times the range of nearly all pixels the whole range may be before a few extremes have made the scale."""
_MOST_PIXELS = 10_000_000


@dataclass(frozen=True)
class DisplayScale:
    """Per channel, the values that become 0 and 255; linear between.

    uint8 is taken as it is, and an archive that keeps within [0, 1] is scaled by 255. Any other range is stretched:
    each channel from its own smallest to its own largest finite value over the whole archive.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, images: np.ndarray) -> Self:
        """The scale of an archive (n, channels, rows, columns), read piece by piece."""
        channels = images.shape[1]
        if images.dtype == np.uint8:
            return cls((0.0,) * channels, (255.0,) * channels)
        low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
        for start in range(0, len(images), _CHUNK):
            piece = np.asarray(images[start : start + _CHUNK], dtype=np.float64)
            finite = np.isfinite(piece)
            low = np.minimum(low, np.where(finite, piece, np.inf).min(axis=(0, 2, 3)))
            high = np.maximum(high, np.where(finite, piece, -np.inf).max(axis=(0, 2, 3)))
        if low.min() >= 0 and high.max() <= 1 and images.dtype.kind in "bf":
            return cls((0.0,) * channels, (1.0,) * channels)
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    @property
    def is_stretched(self) -> bool:
        """Whether the range is the archive's own, and not that of uint8 or [0, 1]."""
        return set(self.low) != {0.0} or set(self.high) not in ({255.0}, {1.0})

    def made_by_few(self, images: np.ndarray) -> Iterator[tuple[int, str]]:
        """The channels of an archive whose stretched scale lies far outside nearly all pixels, and how far, in words.

        Of a large archive the percentiles are those of pixels spread evenly over it.
        """
        if not self.is_stretched:
            return
        step = -(-images[:, 0].size // _MOST_PIXELS)
        for channel, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            pieces = [
                images[start : start + _CHUNK, channel].ravel()[::step] for start in range(0, len(images), _CHUNK)
            ]
            values = np.concatenate(pieces).astype(np.float64)
            values = values[np.isfinite(values)]
            if not values.size:
                continue
            bottom, top = np.percentile(values, _PERCENTILES)
            if (top - bottom) * _FAR < high - low:
                yield (
                    channel,
                    (
                        f"its values from {low:g} to {high:g} become black to white, but {_PERCENTILES[0]} to "
                        f"{_PERCENTILES[1]} % of its pixels lie from {bottom:g} to {top:g}"
                    ),
                )

    def for_model(self, trained: Self) -> tuple[Self, str]:
        """The scale by which a model of an archive of scale `trained` reads this one, and what is wrong with it.

        One lesion's smallest and largest value are not those of a data set: a stretched scale is the training's.
        """
        if len(self.low) != len(trained.low) or not (self.is_stretched or trained.is_stretched):
            return self, ""
        if trained.is_stretched and (self.is_stretched or set(self.high) == {1.0}):
            return trained, ""
        return self, (
            "its numbers are of another kind than those of the archive that the model was trained on (whole numbers "
            "of 0 to 255, shares of 0 to 1, or any other range), so its predictions may mean little"
        )

    def to_dict(self) -> dict[str, list[float]]:
        """Plain lists for JSON; from_dict gives back an equal object."""
        return {"low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Sequence[float]]) -> Self:
        """The object whose to_dict gave `content`."""
        return cls(tuple(map(float, content["low"])), tuple(map(float, content["high"])))

    def apply(self, image: np.ndarray) -> np.ndarray:
        """(channels, rows, columns) to the same shape, float32 in [0, 255]; a channel of one value becomes 0."""
        low, high = (np.array(ends)[:, None, None] for ends in (self.low, self.high))
        span = np.where(high > low, high - low, 1.0)
        return np.clip((image.astype(np.float64) - low) / span * 255.0, 0.0, 255.0).astype(np.float32)
