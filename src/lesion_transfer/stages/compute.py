"""Where and how exactly a training computes: device, threads, determinism."""

import torch

from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import StageError


def prepare_compute(settings: Settings) -> torch.device:
    """The device of params.yaml; threads as set, deterministic algorithms only.

    Raises StageError where params.yaml asks for a GPU that is not there.
    """
    torch.set_num_threads(settings.threads)
    # The same switch as use_deterministic_algorithms, without its import of the compiler (1.5 s a stage).
    torch.set_deterministic_debug_mode("error")
    if settings.device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if settings.device == "cuda":
        raise StageError("device is cuda, but PyTorch finds no GPU here; set device: cpu or auto")
    return torch.device("cpu")
