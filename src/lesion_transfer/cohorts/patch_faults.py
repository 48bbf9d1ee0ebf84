"""Patches that show nothing: pixels that are no numbers, one value all over, or black."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Fault = Literal["nan", "black", "constant"]
_BLACK = 1.0
"""Of 255: what every viewer shows as black."""
_STEADY = 1e-3
_NAMED = 3


@dataclass(frozen=True)
class PatchFault:
    """One channel of one patch that shows nothing."""

    finding_key: str
    channel: str
    fault: Fault


def patch_faults(patches: np.ndarray, finding_keys: Sequence[str], channels: Sequence[str]) -> list[PatchFault]:
    """The faults of patches (n, channels, rows, columns) in display values; a channel has the first that applies.

    nan: a pixel is not finite; black: none is above 1 of 255; constant: all are equal but for rounding.
    """
    found = []
    for patch, key in zip(patches, finding_keys, strict=True):
        for pixels, channel in zip(patch, channels, strict=True):
            if not np.isfinite(pixels).all():
                found.append(PatchFault(key, channel, "nan"))
            elif pixels.max() <= _BLACK:
                found.append(PatchFault(key, channel, "black"))
            elif np.ptp(pixels) < _STEADY:
                found.append(PatchFault(key, channel, "constant"))
    return found


def faults_in_words(faults: Sequence[PatchFault]) -> str:
    """How many of each kind, and the first few findings: `nan 1 (A/1/1), black 9 (B/1/1, B/2/1, C/1/1, ...)`."""
    words = []
    for fault in get_args(Fault):
        keys = [one.finding_key for one in faults if one.fault == fault]
        named = list(dict.fromkeys(keys))
        shown = ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")
        words += [f"{fault} {len(keys)} ({shown})"] if keys else []
    return ", ".join(words)
