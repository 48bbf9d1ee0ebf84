"""How long a training will take, from one step and one scoring that leave no trace."""

import copy
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from lesion_transfer.learning.course import Course
from lesion_transfer.learning.gradients import GradientRecorder
from lesion_transfer.learning.scoring import score

OnEstimate = Callable[[float, int, str], None]
"""Gets the seconds that an epoch takes, the number of epochs to go, and how that was found: one of the two below."""
ON_ONE_BATCH = "timed on one batch"
ON_THE_FIRST_EPOCH = "timed on the first epoch"


def seconds_an_epoch(course: Course, device: torch.device) -> float:
    """Measured on a copy of what is trained: the second of two steps (warm) times the batches, and one scoring.

    Draws from torch's global generator (dropout): call it inside streams.global_stream.
    """
    scratch = copy.deepcopy(course.trained)
    copied = course.parts.update.like(scratch.parameters())
    step = replace(course.forth_and_back(), module=scratch, update=copied, recorder=GradientRecorder(scratch))
    # scored before the steps: a step of a hopeless learning rate is for the training itself to report
    begun = time.perf_counter()
    for rows in course.scored:
        score(scratch, rows, course.loss_of)
    _finish(device)
    scoring = time.perf_counter() - begun
    source = course.sources.batches.epoch(1)
    seconds = 0.0
    for _ in range(2):
        begun = time.perf_counter()
        inputs, labels = next(source, (None, None))
        if inputs is None or labels is None:
            break
        step.read(step(inputs, labels))
        copied.step()
        _finish(device)
        seconds = time.perf_counter() - begun
    return seconds * course.sources.batches.plan.batches_an_epoch + scoring


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
