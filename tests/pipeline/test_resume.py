"""A real `lesion train` that is killed at any moment goes on, and ends with the bytes of one that was left alone."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML

from lesion_transfer.stages.acquire import acquire
from lesion_transfer.stages.assign import assign
from lesion_transfer.stages.check import check
from lesion_transfer.stages.cohort import cohort
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.roulette import roulette
from lesion_transfer.stages.split import split

pytestmark = pytest.mark.slow
EPOCHS = 40
KILLS = 20
REPORT = "reports/ds1_full.json"
SERVER = """
import os, signal, sys, torch, mlflow.store.tracking.sqlalchemy_store, lesion_transfer.stages.train
from lesion_transfer.cli import main
for line in sys.stdin:
    if not (child := os.fork()):
        root = line.strip()
        os.environ["DVC_ROOT"], sys.argv = root, ["lesion", "train"]
        os.chdir(root)
        # a parent in the background of a shell has it ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open("stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.exit(main())
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, make_project):
    """A project with one cohort and a roulette's winner, where `lesion train` is the next thing to run."""
    project = make_project(tmp_path_factory.mktemp("resume") / "project")
    content = YAML().load(project.root / "params.yaml")
    content["transfer"], content["evaluation"]["after"] = {}, "ds1_full"
    for section, kept in (("datasets", "prostatex"), ("cohorts", "prostatex_dwi")):
        content[section] = {kept: content[section][kept]}
    content["epochs"], content["plateau_factor"], content["dropout"] = EPOCHS, 0.5, 0.2
    content["gradient_flow"]["every"] = EPOCHS
    YAML().dump(content, project.root / "params.yaml")
    layout = Layout(project.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(project.root))
        acquire(layout, "prostatex")
        cohort(layout, "prostatex_dwi")
        check(layout, "prostatex_dwi")
        split(layout, "prostatex")
        assign(layout)
        roulette(layout)
    project.environment["DVC_ROOT"] = str(project.root)
    return project


@pytest.fixture(scope="module")
def whole(prepared) -> dict[str, bytes]:
    """The files of a training that nothing interrupted."""
    prepared.run("lesion", "train")
    assert not list((prepared.root / ".lesion/resume").iterdir()), "a training that succeeded leaves no state"
    found = results(prepared.root)
    shutil.rmtree(prepared.root / "models/ds1_full")
    (prepared.root / REPORT).unlink()
    return found


@pytest.fixture
def project(prepared, whole, tmp_path):
    shutil.copytree(prepared.root, tmp_path / "project", symlinks=True)
    project = type(prepared)(tmp_path / "project")
    project.environment["DVC_ROOT"] = str(project.root)
    return project


def results(root: Path) -> dict[str, bytes]:
    """Everything that the stage wrote, by name."""
    files = [*sorted((root / "models/ds1_full").rglob("*")), root / REPORT]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files if file.is_file()}


class Training:
    """A running `lesion train`."""

    def __init__(self, server: subprocess.Popen[str], project) -> None:
        self._server, self._messages = server, project.root / "stderr.txt"
        server.stdin.write(f"{project.root}\n")
        server.stdin.flush()
        self._pid = int(server.stdout.readline())

    def send(self, number: int) -> int:
        """Sends a signal to the process and returns what it ended with, negative for the signal that killed it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)
        return self.wait()

    def wait(self) -> int:
        return int(self._server.stdout.readline())

    @property
    def messages(self) -> str:
        """What it has written to standard error, as one line."""
        return " ".join(self._messages.read_text().split())


@pytest.fixture(scope="module")
def start(prepared):
    """A function that starts `lesion train` in a project: forked from a process that has imported what that imports."""
    command, pipe = [sys.executable, "-c", SERVER], subprocess.PIPE
    with subprocess.Popen(command, env=prepared.environment, stdin=pipe, stdout=pipe, text=True) as server:
        yield lambda project: Training(server, project)
        server.stdin.close()


def state_file(project) -> Path | None:
    return next((project.root / ".lesion/resume").glob("*/r000_*.safetensors"), None)


def wait_for_state(project, newer_than: int = 0) -> None:
    """Returns when a state has been written, or the training has left none because it is done."""
    for _ in range(6000):
        file = state_file(project)
        if (file is not None and file.stat().st_mtime_ns > newer_than) or (project.root / REPORT).exists():
            return
        time.sleep(0.01)
    raise AssertionError("no state was written within a minute")


def the_run(project) -> Run:
    """The only MLflow run of the phase beside the one of the training that nothing interrupted."""
    client = MlflowClient(tracking_uri=f"sqlite:///{project.root}/mlflow.db")
    experiment = client.get_experiment_by_name("lesion-transfer")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "attributes.run_name = 'ds1_full'")
    newest, *others = sorted(runs, key=lambda run: -run.info.start_time)
    assert len(others) == 1, "one run, however often the training was interrupted"
    return newest


def epochs_logged(project, run: Run) -> list[int]:
    client = MlflowClient(tracking_uri=f"sqlite:///{project.root}/mlflow.db")
    return [entry.step for entry in client.get_metric_history(run.info.run_id, "train_loss")]


def test_twenty_kills_at_random_moments_change_no_byte(project, whole, start):
    chance = random.Random(7)
    ends: list[int] = []
    for _ in range(KILLS):
        file = state_file(project)
        training = start(project)
        wait_for_state(project, file.stat().st_mtime_ns if file else 0)
        time.sleep(chance.uniform(0, 0.3))
        ends.append(training.send(signal.SIGKILL))
    assert ends == [-signal.SIGKILL] * KILLS, "every kill must hit a training"
    training = start(project)
    assert training.wait() == 0
    assert "goes on after epoch" in training.messages
    assert results(project.root) == whole
    assert not list((project.root / ".lesion/resume").iterdir())
    assert not list(project.root.rglob(".*.tmp"))
    run = the_run(project)
    assert run.info.status == "FINISHED"
    assert run.data.tags["lesion.resumed"] == str(KILLS)
    assert epochs_logged(project, run) == list(range(1, EPOCHS + 1))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, "KILLED"), (signal.SIGTERM, "FAILED")])
def test_ctrl_c_and_termination_close_the_run_and_lose_no_epoch_that_was_done(project, whole, start, number, status):
    training = start(project)
    wait_for_state(project)
    time.sleep(0.3)
    assert training.send(number) > 0
    run = the_run(project)
    assert run.info.status == status
    done = epochs_logged(project, run)[-1]
    assert done < EPOCHS
    again = start(project)
    assert again.wait() == 0
    # the signal can come between an epoch's line in MLflow and its state
    assert any(f"goes on after epoch {epoch}," in again.messages for epoch in (done, done - 1))
    assert results(project.root) == whole
    finished = the_run(project)
    assert (finished.info.run_id, finished.info.status) == (run.info.run_id, "FINISHED")
    assert epochs_logged(project, finished) == list(range(1, EPOCHS + 1))


def test_a_damaged_state_is_refused_with_a_reason_and_the_training_starts_anew(project, whole, start):
    kill(project, start)
    file = state_file(project)
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    again = start(project)
    assert again.wait() == 0
    assert "is damaged: its content is not what was written; ds1_full starts anew" in again.messages
    assert results(project.root) == whole


def test_other_settings_do_not_go_on_from_it_and_the_log_says_why(project, whole, start):
    kill(project, start)
    project.change_params({"epochs": 2, "lr": 0.01})
    other = start(project)
    assert other.wait() == 0
    assert f"is not gone on with: epochs was {EPOCHS} and is 2, lr was 0.001 and is 0.01" in other.messages
    assert json.loads(results(project.root)["models/ds1_full/model.json"])["hyperparameters"]["lr"] == 0.01
    project.change_params({"epochs": EPOCHS, "lr": 0.001})
    first = start(project)
    assert first.wait() == 0
    assert "goes on after epoch" in first.messages
    assert results(project.root) == whole


def test_a_second_process_at_the_same_training_keeps_no_state_and_disturbs_nothing(project, whole, start):
    kill(project, start)
    state = state_file(project)
    before = state.read_bytes()
    with FileLock(state.parent / "lock"):
        second = start(project)
        assert second.wait() == 0
    assert "another process trains the same" in second.messages
    assert results(project.root) == whole
    assert state.read_bytes() == before


def kill(project, start) -> None:
    training = start(project)
    wait_for_state(project)
    assert training.send(signal.SIGKILL) == -signal.SIGKILL
