"""Where and how exactly a training computes: device, threads, determinism, and the back end of independent tasks."""

import os
from functools import partial

import torch

from lesion_transfer.backends.backend import Backend, InProcess
from lesion_transfer.backends.ray_backend import RayBackend
from lesion_transfer.learning.allocator import keep_freed_memory
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import StageError


def prepare_compute(settings: Settings) -> torch.device:
    """The device of params.yaml; threads and determinism as set there.

    Raises StageError where params.yaml asks for a GPU that is not there.
    """
    prepare_process(settings.threads, settings.deterministic)
    if settings.device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if settings.device == "cuda":
        raise StageError("device is cuda, but PyTorch finds no GPU here; set device: cpu or auto")
    return torch.device("cpu")


def prepare_process(threads: int, deterministic: bool = True) -> None:
    """What has to be equal in every process that computes, for its results to be; and memory that is kept for reuse."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    # The same switch as use_deterministic_algorithms, without its import of the compiler (1.5 s a stage).
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # the mode also fills new memory with nan, an eighth of a step on a CPU; nothing here reads what was not written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # products with 10 bits behind the point: faster, and further from what a CPU computes
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not deterministic
    if deterministic:
        # cuBLAS repeats itself only with a workspace of its own, which it reads when a GPU is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def make_backend(settings: Settings, device: torch.device) -> Backend:
    """Where the independent trainings of a stage run, as `backend` in params.yaml says; use it in a `with` block."""
    asked = settings.backend
    if asked.kind == "in_process":
        return InProcess()
    return RayBackend(
        asked.address,
        asked.workers,
        threads=settings.threads,
        gpus=int(device.type == "cuda"),
        prepare=partial(prepare_process, settings.threads, settings.deterministic),
    )
