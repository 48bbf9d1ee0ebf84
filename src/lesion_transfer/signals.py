"""Ctrl-C and termination as exceptions, which come between the calls of a store and never within one."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

QUICK_SECONDS = 5.0
"""What takes less may hold signals back; slower epochs are kept one by one, and Ctrl-C does not wait for their end."""


@contextmanager
def terminable() -> Iterator[None]:
    """Turns SIGTERM into an exception, so that what is stopped from outside can be closed."""

    def stop(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the block is over.

    Within a write to sqlite they would leave its transaction open, and with it the database locked for the very call
    that is to close the run.
    """
    if threading.current_thread() is not threading.main_thread():  # Python calls handlers in the main thread alone
        yield
        return
    waiting: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: waiting.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if waiting:
            signal.raise_signal(waiting[0])


class WholeCalls:
    """An object whose methods no signal interrupts."""

    def __init__(self, wrapped: object) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        return _whole(found) if callable(found) else found


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        with held_back():
            return function(*arguments, **named)

    return call
