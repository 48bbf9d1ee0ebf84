"""A thing to look at, before it is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lesion_transfer.imaging.volume import Grid
from lesion_transfer.viewing.positions import Position
from lesion_transfer.viewing.stack import Mark, Stack

Moved = Callable[[int, int], None]
"""Is told how many of how many images are read."""


@dataclass(frozen=True)
class Entry:
    """One thing to look at: its title, its size in words, how many voxels it has (0: not known before it is read)."""

    title: str
    size: str
    n_voxels: int
    read: Callable[[Moved], Stack]


def inside(grid: Grid | None, shape: Sequence[int]) -> Callable[[Sequence[float]], tuple[float, float, float] | None]:
    """What tells the (slice, row, column) of a point in LPS mm in voxels of `shape`; None of one outside them."""

    def index_of(position_lps_mm: Sequence[float]) -> tuple[float, float, float] | None:
        index = None if grid is None else grid.index_of(position_lps_mm)
        if index is None or not all(-0.5 <= part <= n - 0.5 for part, n in zip(index, shape, strict=True)):
            return None
        return index

    return index_of


def marks_at(
    wanted: Sequence[Position],
    index_of: Callable[[Sequence[float]], tuple[float, float, float] | None],
) -> tuple[tuple[Mark, ...], tuple[str, ...]]:
    """The marks of positions that lie in the images, and a note for each that does not."""
    placed = [(index_of(position), position, name) for position, name in wanted]
    outside = tuple(
        f"{name or 'The position'} at {', '.join(f'{part:g}' for part in position)} mm is outside these images."
        for index, position, name in placed
        if index is None
    )
    return tuple(Mark(index, name) for index, _, name in placed if index is not None), outside
