"""The one interface behind which independent tasks are computed, and its simplest form."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from lesion_transfer.errors import LesionError

T = TypeVar("T")
R = TypeVar("R")
Tell = Callable[[Any], None]
"""Takes a message."""


class BackendError(LesionError):
    """Tasks that could not be computed for a reason that lies outside them."""


class Backend(Protocol):
    """Runs a function over tasks. Use it in a `with` block: afterwards nothing that it started is left running.

    in_process: whether tasks run in the caller's own process. n_beside: how many of them run at a time.
    """

    in_process: bool

    @property
    def n_beside(self) -> int: ...

    @contextmanager
    def listening(self, on_message: Tell) -> Iterator[Tell]:
        """Inside the block, what a `run` function calls with a message that is to reach `on_message` in this process.

        Bind it to the function with functools.partial. From another process messages come a second late or so, a task's
        own in their order, and its last ones perhaps not before its result, or never.
        """

    def run(
        self,
        function: Callable[[T], R],
        tasks: Sequence[T],
        on_result: Callable[[int, R], None] | None = None,
    ) -> list[R]:
        """function(task) of every task, in the order of the tasks.

        function: depends on its task alone (a task may run twice, if its worker is killed) and is importable or
        picklable. What all tasks share is bound to it with functools.partial: it travels once, not once a task.
        on_result: gets a task's number and result in the caller's process, as soon as it is there, in any order.
        The first exception of `function` or `on_result` stops everything and is raised as it is.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class InProcess:
    """One task after the other, here."""

    in_process = True
    n_beside = 1

    @contextmanager
    def listening(self, on_message: Tell) -> Iterator[Tell]:
        """As Backend.listening, at once."""
        yield on_message

    def run(
        self,
        function: Callable[[T], R],
        tasks: Sequence[T],
        on_result: Callable[[int, R], None] | None = None,
    ) -> list[R]:
        """As Backend.run."""
        results = []
        for number, task in enumerate(tasks):
            results.append(function(task))
            if on_result is not None:
                on_result(number, results[-1])
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing was started."""
