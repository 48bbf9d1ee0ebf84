"""Tasks on Ray's workers: a private cluster on this machine, or a running one by its address (docs/cluster.md)."""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from lesion_transfer.backends.backend import BackendError, Tell
from lesion_transfer.files import PACKAGE, code_sha256

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 3
"""How often a task is run again when its worker is killed."""
KNOCK_SECONDS = 10
LISTENING_SECONDS = 1.0
AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class RayBackend:
    """A window of `n_workers` tasks at a time. A killed worker's task runs again; a task's own exception does not.

    address: None starts a private cluster on this machine, listening behind a token of its own; HOST:PORT or auto joins
    a running one, whose nodes have this package: the very code, or a task is refused. n_workers: None is one a GPU or,
    on CPUs, as many as there are cores for `threads` each. gpus: of one worker. prepare: called in a worker before each
    task, to set what a process needs (threads, determinism).
    """

    in_process = False

    def __init__(
        self,
        address: str | None = None,
        n_workers: int | None = None,
        *,
        threads: int = 1,
        gpus: int = 0,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._address, self._n_workers = address, n_workers
        self._threads, self._gpus, self._prepare = threads, gpus, prepare
        self._started = False
        self._heard: tuple[Any, Tell] | None = None

    @property
    def n_beside(self) -> int:
        """Tasks that run at a time; joins the cluster."""
        self._connect()
        return self._window()

    @contextmanager
    def listening(self, on_message: Tell) -> Iterator[Tell]:
        """As Backend.listening."""
        self._connect()
        import ray

        inbox = ray.remote(num_cpus=0)(_Inbox).remote()
        self._heard = inbox, on_message
        try:
            yield _Teller(inbox)
        finally:
            self._heard = None

    def run(
        self,
        function: Callable[[T], R],
        tasks: Sequence[T],
        on_result: Callable[[int, R], None] | None = None,
    ) -> list[R]:
        """As Backend.run; raises BackendError where a task's workers are killed again and again."""
        if not tasks:
            return []
        self._connect()
        import ray

        remote: Any = ray.remote(
            num_cpus=self._threads, num_gpus=self._gpus, max_retries=RETRIES, retry_exceptions=False
        )(_run_task)
        # in a list, for Ray not to unpickle it before the worker's code is known to be ours
        shared = [ray.put((self._prepare, function))]
        window = self._window()
        waiting = list(enumerate(tasks))[::-1]
        running: dict[Any, int] = {}
        results: dict[int, R] = {}
        try:
            while waiting or running:
                while waiting and len(running) < window:
                    number, task = waiting.pop()
                    running[remote.remote(code_sha256(), shared, task)] = number
                finished, _ = ray.wait(list(running), timeout=None if self._heard is None else LISTENING_SECONDS)
                self._listen()
                if not finished:
                    continue
                number = running.pop(done := finished[0])
                results[number] = _result(done, number, len(tasks))
                if on_result is not None:
                    on_result(number, results[number])
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
        return [results[number] for number in range(len(tasks))]

    def _listen(self) -> None:
        """Hands on the messages that have come; a lost inbox costs messages, and no training."""
        if self._heard is None:
            return
        import ray

        inbox, on_message = self._heard
        try:
            messages = ray.get(inbox.take.remote())
        except ray.exceptions.RayError:
            self._heard = None
            return
        for message in messages:
            on_message(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leaves the cluster; a private one ends."""
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def _connect(self) -> None:
        """Joins or starts the cluster once; one that this process is already joined to is used and left as it is."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if self._address is None and not any(name in os.environ for name in AUTHENTICATION):
            # Ray listens on every interface, and a token that it makes itself stays at home and upsets later clusters.
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        import ray

        if ray.is_initialized():
            return
        _reachable(self._address)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
        # of a cluster on this machine, the checkout that this process runs, whichever the nodes were started from
        path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
        of_worker = {"OMP_NUM_THREADS": str(self._threads), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": path}
        environment = {"env_vars": of_worker}
        try:
            if self._address is None:
                n_cpus = (self._n_workers or max(1, _n_cores() // self._threads)) * self._threads
                ray.init(address="local", num_cpus=n_cpus, include_dashboard=False, runtime_env=environment, **quiet)
            else:
                ray.init(address=self._address, runtime_env=environment, **quiet)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            if self._address is None:
                raise BackendError(f"Ray cannot be started: {error}") from error
            raise BackendError(
                f"the Ray cluster {self._address} cannot be joined: {error}. Is it running, and does this shell have "
                "its token (docs/cluster.md)?"
            ) from error
        self._started = True

    def _window(self) -> int:
        """Tasks to hand out at a time; BackendError where the cluster has not even one worker's CPUs and GPUs."""
        import ray

        resources = ray.cluster_resources()
        room = int(resources.get("CPU", 0) // self._threads)
        if self._gpus:
            room = min(room, int(resources.get("GPU", 0) // self._gpus))
        if room < 1:
            raise BackendError(
                f"A worker needs {self._threads} CPUs and {self._gpus} GPUs, but Ray finds {resources.get('CPU', 0):g} "
                f"and {resources.get('GPU', 0):g}; lower `threads`, set device: cpu, or add a node."
            )
        return min(room, self._n_workers or room)


class _Inbox:
    """Where messages of all workers wait; an actor."""

    def __init__(self) -> None:
        self._messages: list[Any] = []

    def add(self, messages: Sequence[Any]) -> None:
        self._messages += messages

    def take(self) -> list[Any]:
        messages, self._messages = self._messages, []
        return messages


class _Teller:
    """Sends a worker's messages to the inbox, together what comes within LISTENING_SECONDS, and waits for nothing."""

    def __init__(self, inbox: Any) -> None:
        self._inbox = inbox
        self._waiting: list[Any] = []
        self._next_time = 0.0

    def __call__(self, message: Any) -> None:
        self._waiting.append(message)
        if time.monotonic() >= self._next_time:
            self._inbox.add.remote(self._waiting)
            self._waiting = []
            self._next_time = time.monotonic() + LISTENING_SECONDS


def _run_task(expected_sha256: str, shared: Sequence[Any], task: Any) -> Any:
    import ray

    if code_sha256() != expected_sha256:
        raise BackendError(
            f"a worker on {socket.gethostname()} runs other code than this checkout, from {PACKAGE}; have the same "
            "commit there (docs/cluster.md)"
        )
    prepare, function = ray.get(shared[0])
    if prepare is not None:
        prepare()
    return function(task)


def _result(reference: Any, number: int, n_tasks: int) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise BackendError(
            f"Task {number + 1} of {n_tasks} was given up: its worker was lost {RETRIES + 1} times, often for lack of "
            f"memory; lower backend.workers or batch_size. Ray says: {error}"
        ) from error


def _reachable(address: str | None) -> None:
    """Knocks at HOST:PORT, for Ray would try for minutes; BackendError where nobody opens."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
    except OSError as error:
        raise BackendError(
            f"the Ray cluster {address} cannot be joined: nothing listens there ({error}); "
            "start its head node (docs/cluster.md) or mend backend.address"
        ) from error


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
