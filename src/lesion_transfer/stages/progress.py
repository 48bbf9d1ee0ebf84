"""Progress bars on long work, on standard error, quiet where nobody looks at a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Move(Protocol):
    """Moves a bar to `completed` of `total` (None: as before), with a note behind it."""

    def __call__(self, completed: int, total: int | None = None, note: str = "") -> None: ...


@contextmanager
def progress_bar(title: str, total: int | None = None) -> Iterator[Move]:
    """Shows a bar for the block and gives the function that moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, note="")

        def move(completed: int, total: int | None = None, note: str = "") -> None:
            progress.update(task, completed=completed, total=total, note=note)

        yield move
