"""Where an interrupted phase left off: a folder a training below .lesion/resume, outside of all that DVC deletes.

The folder's name is a fingerprint of everything that the bytes of the training depend on, so that another setting, code
or data never goes on from it. Queue jobs share the folder of folders; each folder has one owner at a time.
"""

import hashlib
import json
import logging
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from lesion_transfer.files import code_sha256, write_json
from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.resume import ResumeError, StatePlace, load_state
from lesion_transfer.stages.training.phase_start import Start
from lesion_transfer.tracking import flatten, project_root

log = logging.getLogger(__name__)
ABOUT_FILE, RUN_FILE = "about.json", "mlflow.json"
CODE = ("cohorts", "learning", "randomness.py", "stages/training", "transfer")
"""The code that a training's bytes depend on, its data and its start being given: rooms and files."""
WHY = {"code": "the code", "data": "the data", "start": "the model to start from", "machine": "versions or processor"}


@dataclass(frozen=True)
class Interrupted:
    """What an earlier process left of a phase, in `folder`; None where another process owns it and nothing is kept."""

    folder: Path | None
    fingerprint: str

    def place(self, member: str, rows: str = "") -> StatePlace | None:
        """Where the training of this name keeps its states; rows: a hash of those of its data that it uses."""
        if self.folder is None:
            return None
        return StatePlace(self.folder / f"{member}.safetensors", f"{self.fingerprint} {member} {rows}".rstrip())

    def history(self, member: str) -> list[dict[str, float]]:
        """The rows of the epochs that this training has done; none at a first start or where its state is damaged."""
        place = self.place(member)
        try:
            state = None if place is None else load_state(place.path, place.fingerprint)
        except ResumeError:
            return []
        return [] if state is None else state.history

    @property
    def run_id(self) -> str | None:
        """The MLflow run that the earlier process left."""
        return None if self.folder is None else _read(self.folder / RUN_FILE).get("run_id")

    def remember_run(self, run_id: str) -> None:
        """The MLflow run that a later process is to go on with."""
        if self.folder is not None:
            write_json(self.folder / RUN_FILE, {"run_id": run_id})


def identity_of_starts(params: Mapping[str, Any], starts: Sequence[Start], device: torch.device) -> dict[str, Any]:
    """That of all replicates of a phase; `params` name it."""
    data = [data for start in starts for data in (start.loaded.data, start.target.data)]
    networks = [
        [state_sha256(start.network.state_dict()), *(ancestor["model_sha256"] for ancestor in start.lineage)]
        for start in starts
    ]
    return identity(params["phase"], params, data, networks, device)


def identity(
    phase: str,
    params: Mapping[str, Any],
    data: Sequence[TrainingData],
    start: Sequence[Sequence[str]],
    device: torch.device,
) -> dict[str, Any]:
    """Everything that the bytes of a training depend on, as JSON values; start: hashes of what it starts from."""
    return {
        "phase": phase,
        "params": flatten(params),
        "code": code_sha256(*CODE),
        "data": [_data_sha256(one) for one in data],
        "start": start,
        "machine": f"{platform.machine()} {_processor(device)} torch {torch.__version__} numpy {np.__version__}",
    }


@contextmanager
def resuming(about: Mapping[str, Any]) -> Iterator[Interrupted]:
    """Gives what an earlier process left of the phase `about`; leaves nothing behind when the block succeeds.

    Where another process is at the same phase, nothing is resumed or kept: both end with the same bytes.
    """
    fingerprint = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    folder = project_root() / ".lesion" / "resume" / fingerprint[:32]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("%s: another process trains the same; this one keeps no state to resume from", about["phase"])
        yield Interrupted(None, fingerprint)
        return
    try:
        if not (folder / ABOUT_FILE).exists():
            _say_what_is_not_used(about, folder)
        write_json(folder / ABOUT_FILE, about)
        yield Interrupted(folder, fingerprint)
        shutil.rmtree(folder, ignore_errors=True)
    except (KeyboardInterrupt, SystemExit):
        log.warning("%s: interrupted; the same command goes on from its last finished epoch", about["phase"])
        raise
    finally:
        lock.release()


def _say_what_is_not_used(about: Mapping[str, Any], folder: Path) -> None:
    """Names the interrupted trainings of the same phase that this one is not, and in what they differ."""
    for path in sorted(folder.parent.glob(f"*/{ABOUT_FILE}")):
        other = _read(path)
        if other.get("phase") == about["phase"] and (reason := _difference(other, about)):
            log.info("the interrupted %s in %s is not gone on with: %s", about["phase"], path.parent, reason)


def _difference(other: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """What the other training was made with that this one is not; empty where nothing differs."""
    theirs, ours = other.get("params", {}), about["params"]
    keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    parts = [f"{key} was {theirs.get(key)} and is {ours.get(key)}" for key in keys[:5]]
    return ", ".join([*parts, *(f"{word} differs" for key, word in WHY.items() if other.get(key) != about[key])])


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where a killed process left none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _processor(device: torch.device) -> str:
    """A type of processor: others give other last bits."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()


def _data_sha256(data: TrainingData) -> str:
    return state_sha256({name: getattr(data, name) for name in TrainingData.__annotations__})
