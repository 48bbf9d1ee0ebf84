"""A population: trainings that do not know of each other, computed side by side where a back end has room for it."""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from lesion_transfer.backends.backend import Backend, InProcess, Tell
from lesion_transfer.learning.course import TrainingResult
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.member import Member as Member
from lesion_transfer.learning.member import Stopped as Stopped
from lesion_transfer.learning.member import Trained as Trained
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits
from lesion_transfer.learning.resume import StateFile
from lesion_transfer.learning.stacked import Hooks, stacks, train_stacked
from lesion_transfer.learning.training import DEFAULT_LIMITS, train

OnEpoch = Callable[[int, dict[str, float]], None]
"""Gets a member's number and a row of its history."""
OnEstimate = Callable[[int, float, int, str], None]
"""Gets a member's number and what `estimate.OnEstimate` gets; seconds are its share where others train beside it."""


@dataclass(frozen=True)
class _Common:
    """What all members share."""

    images: list[Tensor]
    augmentation: AugmentationOptions
    frozen: bool
    patch_pixels: int
    device: str | torch.device
    limits: GradientLimits
    tolerant: bool
    estimated: bool


@dataclass(frozen=True)
class _Task:
    """A member on its way to a worker: its images stay behind, as a number into those that all share."""

    number: int
    member: Member
    images: int


def train_population(
    members: Sequence[Member],
    augmentation: AugmentationOptions,
    *,
    frozen: bool,
    patch_pixels: int = 65,
    device: str | torch.device = "cpu",
    backend: Backend | None = None,
    limits: GradientLimits = DEFAULT_LIMITS,
    on_epoch: OnEpoch | None = None,
    on_estimate: OnEstimate | None = None,
    on_result: Callable[[int, Trained], None] | None = None,
    on_stopped: Callable[[int, Stopped], None] | None = None,
) -> list[Trained]:
    """Trains each member as `training.train` would alone, to the same bytes, and returns them in their order.

    Members of one `stack` agree with that but for rounding; their bytes, too, are the same on every back end. A
    population of one member or one stack is trained in this process, whatever the back end. on_epoch: called after each
    epoch, once a row, of a member on a worker a second later or when it has come back. on_estimate: called before
    and after a member's first epoch.
    on_stopped: gets a member that `training.train` would have raised a TrainingError for; the others go on and are
    returned without it. Where None the first such error is raised.
    Raises what `training.train` raises, and BackendError.
    """
    groups = stacks(members, frozen, device)
    backend = InProcess() if backend is None or len(groups) == 1 else backend
    images, bare = _without_images(members)
    tasks = [[bare[number] for number in group] for group in groups]
    tolerant, asked = on_stopped is not None, on_estimate is not None
    common = _Common(images, augmentation, frozen, patch_pixels, device, limits, tolerant, asked)
    beside = min(backend.n_beside, len(groups))
    # a retried worker tells again
    estimated: set[tuple[int, str]] = set()
    last = [0.0] * len(members)

    def hear(message: tuple[str, int, Any]) -> None:
        kind, number, content = message
        if kind == "estimate" and on_estimate is not None:
            seconds, epochs, how = content
            if (number, how) not in estimated:
                estimated.add((number, how))
                on_estimate(number, seconds / beside, epochs, how)
        elif kind == "epoch" and content["epoch"] > last[number]:
            last[number] = content["epoch"]
            if on_epoch is not None:
                on_epoch(number, content)

    def told(group: int, outcomes: list[Trained | Stopped]) -> None:
        for number, outcome in zip(groups[group], outcomes, strict=True):
            # the last ones may have been lost on their way from a worker
            for row in () if backend.in_process else outcome.history:
                hear(("epoch", number, row))
            if isinstance(outcome, Stopped):
                assert on_stopped is not None
                on_stopped(number, outcome)
            elif on_result is not None:
                on_result(number, outcome)

    with backend.listening(hear) as tell:
        outcomes = backend.run(partial(_train_together, common, tell), tasks, told)
    by_number = dict(zip(chain(*groups), chain(*outcomes), strict=True))
    return [trained for number in range(len(members)) if isinstance(trained := by_number[number], Trained)]


def _without_images(members: Sequence[Member]) -> tuple[list[Tensor], list[_Task]]:
    """The different image tensors, and the members without them."""
    images: list[Tensor] = []
    tasks = []
    for number, member in enumerate(members):
        own = member.data.images
        place = next((n for n, known in enumerate(images) if known is own), len(images))
        if place == len(images):
            images.append(own)
        bare = replace(member, data=replace(member.data, images=own[:0]))
        tasks.append(_Task(number, bare, place))
    return images, tasks


def _train_together(common: _Common, tell: Tell, tasks: Sequence[_Task]) -> list[Trained | Stopped]:
    """One member alone, or a stack of several."""
    members = [_with_images(task, common) for task in tasks]
    begun = time.monotonic()
    with ExitStack() as files:
        states = [files.enter_context(StateFile(member.place, member.name, len(members))) for member in members]
        histories = [[] if state.state is None else list(state.state.history) for state in states]
        hooks = [
            _hooks(task.number, state, history, tell, common.estimated)
            for task, state, history in zip(tasks, states, histories, strict=True)
        ]
        results = _train_one(common, members[0], hooks[0]) if len(members) == 1 else _stack(common, members, hooks)
    seconds = (time.monotonic() - begun) / len(members)
    return [
        Stopped(str(result), history, seconds) if isinstance(result, TrainingError) else Trained(result, seconds)
        for result, history in zip(results, histories, strict=True)
    ]


def _hooks(number: int, states: StateFile, history: list[dict[str, float]], tell: Tell, estimated: bool) -> Hooks:
    """What one member tells and keeps; `history` gets its rows."""

    def after_epoch(row: dict[str, float]) -> None:
        history.append(row)
        tell(("epoch", number, row))

    def on_estimate(seconds: float, epochs: int, how: str) -> None:
        tell(("estimate", number, (seconds, epochs, how)))

    return Hooks(after_epoch, on_estimate if estimated else None, states.state, states.keep)


def _with_images(task: _Task, common: _Common) -> Member:
    return replace(task.member, data=replace(task.member.data, images=common.images[task.images]))


def _stack(common: _Common, members: Sequence[Member], hooks: Sequence[Hooks]) -> list[TrainingResult | TrainingError]:
    return train_stacked(
        members,
        hooks,
        common.augmentation,
        patch_pixels=common.patch_pixels,
        device=common.device,
        limits=common.limits,
        tolerant=common.tolerant,
    )


def _train_one(common: _Common, member: Member, hooks: Hooks) -> list[TrainingResult | TrainingError]:
    try:
        result = train(
            copy.deepcopy(member.network),
            member.data,
            member.options,
            common.augmentation,
            frozen=common.frozen,
            seed=member.seed,
            name=member.name,
            patch_pixels=common.patch_pixels,
            device=common.device,
            probe=member.probe,
            limits=common.limits,
            on_epoch=hooks.on_epoch,
            on_estimate=hooks.on_estimate,
            resume_from=hooks.resume_from,
            on_state=hooks.on_state,
        )
    except TrainingError as error:
        if not common.tolerant:
            raise
        return [error]
    return [result]
