"""How long a training will take, from one step and one scoring that leave no trace."""

import copy
import time

import torch
from torch import nn

from lesion_transfer.learning.batches import BatchSource
from lesion_transfer.learning.losses import LossFunction
from lesion_transfer.learning.scoring import ScoredRows, score
from lesion_transfer.learning.updates import WeightUpdate


def seconds_an_epoch(
    trained: nn.Module,
    batches: BatchSource,
    scored: list[ScoredRows],
    loss_of: LossFunction,
    update: WeightUpdate,
    device: torch.device,
) -> float:
    """Measured on a copy of `trained`: the second of two steps, which is warm, times the batches, and one scoring.

    Draws from torch's global generator (dropout): call it inside streams.global_stream.
    """
    scratch = copy.deepcopy(trained)
    copied = update.like(scratch.parameters())
    # scored before the steps: a step of a hopeless learning rate is for the training itself to report
    begun = time.perf_counter()
    for rows in scored:
        score(scratch, rows, loss_of)
    _finish(device)
    scoring = time.perf_counter() - begun
    source = batches.epoch(1)
    seconds = 0.0
    for _ in range(2):
        begun = time.perf_counter()
        inputs, labels = next(source, (None, None))
        if inputs is None or labels is None:
            break
        copied.zero_grad()
        loss_of(scratch(inputs), labels).backward()
        copied.step()
        _finish(device)
        seconds = time.perf_counter() - begun
    return seconds * batches.plan.batches_an_epoch + scoring


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
