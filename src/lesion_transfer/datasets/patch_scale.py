"""How the numbers of a patch archive, which may be of any range, become display values in [0, 255]."""

from dataclasses import dataclass
from typing import Self

import numpy as np

_CHUNK = 256


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

    def apply(self, image: np.ndarray) -> np.ndarray:
        """(channels, rows, columns) to the same shape, float32 in [0, 255]; a channel of one value becomes 0."""
        low, high = (np.array(ends)[:, None, None] for ends in (self.low, self.high))
        span = np.where(high > low, high - low, 1.0)
        return np.clip((image.astype(np.float64) - low) / span * 255.0, 0.0, 255.0).astype(np.float32)
