"""Random numbers made of a generator's integers alone, so that no mathematical library of a CPU has a say."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_STEPS = 65536
_TERMS = 12


def uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A number in [low, high), on a grid of 65536 steps."""
    return low + (high - low) * (int(generator.integers(_STEPS)) / _STEPS)


def pick(generator: np.random.Generator, items: Sequence[T]) -> T:
    """One of the items, each as likely."""
    return items[int(generator.integers(len(items)))]


def shuffled(generator: np.random.Generator, items: Sequence[T]) -> list[T]:
    """The items in random order."""
    return [items[int(i)] for i in generator.permutation(len(items))]


def unit_normals(generator: np.random.Generator, n: int) -> list[float]:
    """n numbers, nearly normal, mean 0, variance 1: sums of 12 uniform integers (Irwin and Hall)."""
    rows = generator.integers(_STEPS, size=(n, _TERMS))
    return [(sum(int(x) for x in row) - _TERMS * (_STEPS - 1) / 2) / _STEPS for row in rows]


def noise(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Independent float32 numbers of this shape, mean 0, variance 1: the sum of two bytes, one draw a number."""
    draws = generator.integers(_STEPS, size=shape, dtype=np.uint16)
    both = (draws & np.uint16(255)) + (draws >> np.uint16(8))
    centred: np.ndarray = both.astype(np.float32)
    centred -= np.float32(255)
    centred *= np.float32(1 / 104.5)
    return centred


def shares_to_counts(shares: Sequence[float], n: int) -> list[int]:
    """How many of n fall to each share, the first taking what rounding leaves."""
    counts = [int(n * share + 0.5) for share in shares]
    counts[0] += n - sum(counts)
    return counts


def exactly(generator: np.random.Generator, n: int, share: float) -> list[bool]:
    """n booleans in random order of which a share, rounded, is True (at least one of each where n allows it)."""
    n_true = min(max(int(n * share + 0.5), 1), max(n - 1, 1))
    return shuffled(generator, [i < n_true for i in range(n)])
