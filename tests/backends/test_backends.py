"""Independent tasks give the same results wherever they run; a killed worker costs nothing, a fault stays a fault."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from lesion_transfer.backends import ray_backend
from lesion_transfer.backends.backend import Backend, BackendError, InProcess, Tell
from lesion_transfer.backends.ray_backend import RayBackend
from lesion_transfer.errors import LesionError


@pytest.fixture(scope="module")
def on_ray():
    with RayBackend(n_workers=2, prepare=partial(torch.set_num_threads, 1)) as backend:
        yield backend


@pytest.fixture(params=["in_process", pytest.param("ray", marks=pytest.mark.slow)])
def backend(request) -> Backend:
    return InProcess() if request.param == "in_process" else request.getfixturevalue("on_ray")


def test_results_come_in_the_order_of_the_tasks_and_each_is_told_once(backend):
    def wait_and_square(task: float) -> float:
        import time

        time.sleep(task)
        return task * task

    told: dict[int, float] = {}
    tasks = [0.3, 0.0, 0.1, 0.05]
    results = backend.run(wait_and_square, tasks, on_result=told.__setitem__)
    assert results == [task * task for task in tasks]
    assert told == dict(enumerate(results))


def test_what_a_task_tells_reaches_the_caller_while_it_runs_and_in_order(backend, tmp_path):
    """A task goes on telling until the caller has heard it."""

    def tell_until_heard(task: int, tell: Tell, folder: Path) -> int:
        import time

        for step in range(1200):
            tell((task, step))
            if (folder / str(task)).exists():
                return step
            time.sleep(0.05)
        raise LesionError("nobody listens")

    heard: dict[int, list[int]] = {0: [], 1: []}

    def hear(message: tuple[int, int]) -> None:
        task, step = message
        heard[task].append(step)
        (tmp_path / str(task)).touch()

    with backend.listening(hear) as tell:
        backend.run(partial(tell_until_heard, tell=tell, folder=tmp_path), [0, 1])
    for steps in heard.values():
        assert steps == list(range(len(steps)))
    assert backend.run(len, ["a"]) == [1], "and goes on without anybody who listens"


def test_no_task_is_no_work(backend):
    assert backend.run(len, []) == []


def test_what_is_bound_to_the_function_reaches_every_task(backend):
    weights = torch.arange(6.0).reshape(2, 3)

    def product(task: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
        return shared @ task

    tasks = [torch.full((3,), float(k)) for k in range(3)]
    results = backend.run(partial(product, shared=weights), tasks)
    assert all(torch.equal(result, weights @ task) for result, task in zip(results, tasks, strict=True))


def test_a_fault_of_the_user_stops_everything_with_its_own_sentence_and_is_not_tried_again(backend, tmp_path):
    def fail(task: int, log: Path) -> int:
        with log.open("a") as file:
            file.write(f"{task}\n")
        if task == 1:
            raise LesionError("Row 3 of findings.csv has no label: fill it in.")
        return task

    with pytest.raises(LesionError) as caught:
        backend.run(partial(fail, log=tmp_path / "log"), [0, 1, 2, 3, 4, 5])
    assert str(caught.value) == "Row 3 of findings.csv has no label: fill it in."
    assert (tmp_path / "log").read_text().splitlines().count("1") == 1
    assert backend.run(len, ["still", "there"]) == [5, 5]


def test_an_error_of_our_own_keeps_its_type(backend):
    def fail(task: int) -> int:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        backend.run(fail, [0])


def test_a_fault_of_the_listener_stops_everything(backend):
    def refuse(number: int, result: int) -> None:
        raise LesionError("The disk is full.")

    with pytest.raises(LesionError, match="The disk is full"):
        backend.run(abs, [1, 2, 3], on_result=refuse)


@pytest.mark.slow
def test_no_more_tasks_run_at_a_time_than_asked_for(tmp_path):
    def alone(task: int, folder: Path) -> int:
        import time

        (folder / str(task)).touch()
        time.sleep(0.2)
        n_running = len(list(folder.iterdir()))
        (folder / str(task)).unlink()
        return n_running

    with RayBackend(n_workers=1) as one:
        assert one.run(partial(alone, folder=tmp_path), [0, 1, 2]) == [1, 1, 1]


@pytest.mark.slow
def test_a_worker_has_the_threads_it_was_told_and_no_token_is_left_at_home(on_ray):
    def what(task: int) -> tuple[int, str | None]:
        return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")

    before = (Path.home() / ".ray").exists()
    assert on_ray.run(what, [0, 1]) == [(1, "1"), (1, "1")]
    assert (Path.home() / ".ray").exists() == before


@pytest.mark.slow
def test_a_worker_with_other_code_is_refused(on_ray, monkeypatch):
    """As of a cluster that was started from another checkout."""
    monkeypatch.setattr(ray_backend, "code_sha256", lambda: "other")
    with pytest.raises(BackendError, match="runs other code than this checkout"):
        on_ray.run(abs, [1])


@pytest.mark.slow
def test_the_task_of_a_killed_worker_runs_again(on_ray, tmp_path):
    def die_once(task: int, folder: Path) -> int:
        if task == 2 and not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task * 10

    assert on_ray.run(partial(die_once, folder=tmp_path), [0, 1, 2, 3]) == [0, 10, 20, 30]
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_a_task_that_always_kills_its_worker_is_given_up_with_a_sentence(on_ray):
    def die(task: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(BackendError, match="Task 1 of 1 was given up"):
        on_ray.run(die, [0])


@pytest.mark.slow
def test_a_worker_that_no_node_has_room_for_is_refused(on_ray):
    on_ray.run(abs, [1])
    with RayBackend(gpus=1) as needing, pytest.raises(BackendError, match="A worker needs 1 CPUs and 1 GPUs"):
        needing.run(abs, [1])
