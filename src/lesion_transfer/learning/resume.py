"""A training's state in one file, written whole and checked when read, so that a killed training can go on."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lesion_transfer.files import clear_temporaries, replacing
from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.errors import LearningError
from lesion_transfer.learning.state import StatePlace as StatePlace
from lesion_transfer.learning.state import TrainingState
from lesion_transfer.signals import QUICK_SECONDS

log = logging.getLogger(__name__)
SHARE_OF_TIME = 0.02
"""Of a process's time, what copying and writing states may take: quick epochs are not kept one by one."""


class ResumeError(LearningError):
    """A state that must not be gone on from: a sentence that says why."""


def save_state(path: Path, state: TrainingState, fingerprint: str) -> None:
    """Writes the state as one safetensors file; `fingerprint` says of which training it is."""
    values = json.dumps({"epoch": state.epoch, **state.values})
    checked = {"fingerprint": fingerprint, "values": values, "sha256": _sha256(state, values, fingerprint)}
    with replacing(path) as temporary:
        save_file(state.tensors, temporary, metadata=checked)


def load_state(path: Path, fingerprint: str) -> TrainingState | None:
    """The state in `path`, None where there is no file; raises ResumeError for one that is damaged or of another."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            # copies, for the file may be replaced while its tensors are in use
            tensors = {name: file.get_tensor(name).clone() for name in names}
        if metadata["fingerprint"] != fingerprint:
            raise ResumeError(f"{path} is of another training (other settings, code or data)")
        values = json.loads(metadata["values"])
        state = TrainingState(values.pop("epoch"), tensors, values)
        if metadata["sha256"] != _sha256(state, metadata["values"], fingerprint):
            raise ResumeError(f"{path} is damaged: its content is not what was written")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ResumeError(f"{path} is damaged: {error}") from error
    return state


class StateFile:
    """Keeps the newest state of the training `name`; use as `with`, so that the last one is written in any case.

    state: where to go on from, None at the start of a training. place: None keeps nothing. n_beside: how many are kept
    in this process at a time.
    A state is copied and written when the last time is so long ago that it takes SHARE_OF_TIME at most, or
    QUICK_SECONDS ago. SIGKILL, and an exception amid an epoch, lose what came after it. What ends a training between
    two epochs loses nothing.
    """

    def __init__(self, place: StatePlace | None, name: str, n_beside: int = 1) -> None:
        self._place = place
        self._share = SHARE_OF_TIME / n_beside
        self._newest: Callable[[], TrainingState | None] | None = None
        self._next_time = 0.0
        self.state: TrainingState | None = None
        if place is None:
            return
        clear_temporaries(place.path)
        try:
            self.state = load_state(place.path, place.fingerprint)
        except ResumeError as error:
            log.warning("%s; %s starts anew", error, name)
        if self.state is not None:
            log.info("%s goes on after epoch %d, where it was interrupted", name, self.state.epoch)

    @property
    def keep(self) -> Callable[[Callable[[], TrainingState | None]], None] | None:
        """Takes what gives the newest state: `on_state` of a training; None where nothing is kept."""
        return None if self._place is None else self._keep

    def _keep(self, newest: Callable[[], TrainingState | None]) -> None:
        self._newest = newest
        if time.monotonic() >= self._next_time:
            self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def _write(self) -> None:
        begun = time.monotonic()
        if self._place is None or self._newest is None or (state := self._newest()) is None:
            return
        try:
            save_state(self._place.path, state, self._place.fingerprint)
        except (OSError, SafetensorError) as error:
            # what is there to protect a training must not end it: a full disk, a folder that is another machine's
            log.warning("no state is kept from here on, so that a killed training starts anew: %s", error)
            self._place = None
        self._newest = None
        ended = time.monotonic()
        self._next_time = ended + min((ended - begun) / self._share, QUICK_SECONDS)


def _sha256(state: TrainingState, values: str, fingerprint: str) -> str:
    return hashlib.sha256(f"{fingerprint}\x1f{values}\x1f{state_sha256(state.tensors)}".encode()).hexdigest()
