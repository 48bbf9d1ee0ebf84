"""A population: trainings that do not know of each other, computed side by side where a back end has room for it."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from lesion_transfer.backends.backend import Backend, InProcess
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, TrainingOptions
from lesion_transfer.learning.resume import StateFile, StatePlace
from lesion_transfer.learning.training import DEFAULT_LIMITS, Probe, TrainingResult, train

OnEpoch = Callable[[int, dict[str, float]], None]
"""Gets a member's number and a row of its history."""
OnEstimate = Callable[[int, float, int], None]
"""Gets a member's number, the seconds that one of its epochs will take, and the number of epochs that it has to go."""


@dataclass(frozen=True)
class Member:
    """One training of a population: its own start, rows, hyperparameters (lr, dropout, ...), and random streams.

    network: the start, left as it is. data: members may share one `images` tensor; it then travels once. name, seed: of
    its random streams. probe: as of `training.train`. place: where its states are kept, so that it goes on from the
    last one when its process or worker was killed.
    """

    name: str
    network: LesionNetwork
    data: TrainingData
    options: TrainingOptions
    seed: int
    probe: Probe | None = None
    place: StatePlace | None = None


@dataclass(frozen=True)
class Trained:
    """A member's result and how long it took; the seconds are for people and must reach no output."""

    result: TrainingResult
    seconds: float


@dataclass(frozen=True)
class _Common:
    """What all members share."""

    images: list[Tensor]
    augmentation: AugmentationOptions
    frozen: bool
    patch_pixels: int
    device: str | torch.device
    limits: GradientLimits


@dataclass(frozen=True)
class _Hooks:
    """What a member trained in this process calls, with its number first."""

    on_epoch: OnEpoch | None
    on_estimate: OnEstimate | None


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
) -> list[Trained]:
    """Trains each member as `training.train` would alone, to the same bytes, and returns them in their order.

    A population of one is trained in this process, whatever the back end. on_epoch: called after each epoch where
    members are trained in this process, else when a member has come back from its worker, once a row. on_estimate:
    called before a member's first epoch where members are trained in this process.
    Raises what `training.train` raises, and BackendError.
    """
    backend = InProcess() if backend is None or len(members) == 1 else backend
    images, tasks = _without_images(members)
    common = _Common(images, augmentation, frozen, patch_pixels, device, limits)
    live = backend.in_process

    def told(number: int, trained: Trained) -> None:
        if on_epoch is not None and not live:
            for row in trained.result.history:
                on_epoch(number, row)
        if on_result is not None:
            on_result(number, trained)

    hooks = _Hooks(on_epoch, on_estimate) if live else _Hooks(None, None)
    return backend.run(partial(_train_one, common, hooks), tasks, told)


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


def _train_one(common: _Common, hooks: _Hooks, task: _Task) -> Trained:
    member = task.member
    begun = time.monotonic()
    with StateFile(member.place, member.name) as states:
        result = train(
            copy.deepcopy(member.network),
            replace(member.data, images=common.images[task.images]),
            member.options,
            common.augmentation,
            frozen=common.frozen,
            seed=member.seed,
            name=member.name,
            patch_pixels=common.patch_pixels,
            device=common.device,
            on_epoch=None if hooks.on_epoch is None else partial(hooks.on_epoch, task.number),
            probe=member.probe,
            limits=common.limits,
            on_estimate=None if hooks.on_estimate is None else partial(hooks.on_estimate, task.number),
            resume_from=states.state,
            on_state=states.keep,
        )
    return Trained(result, time.monotonic() - begun)
