"""Side by side: members whose extractors are frozen train all their decision makers in one batched product.

What a member draws, learns from and is scored on is what it would be alone; its numbers differ from those in the last
bits only, for the products are summed in another order.
"""

import copy
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lesion_transfer.learning.alarm import nothing_alarming
from lesion_transfer.learning.batches import Bank
from lesion_transfer.learning.course import Course, OnEpoch, OnState, Sources, TrainingResult, encoder, prepare, set_up
from lesion_transfer.learning.errors import NotFiniteError, TrainingError
from lesion_transfer.learning.estimate import ON_ONE_BATCH, ON_THE_FIRST_EPOCH, OnEstimate
from lesion_transfer.learning.losses import sample_losses
from lesion_transfer.learning.member import Member
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits
from lesion_transfer.learning.scoring import score
from lesion_transfer.learning.stacked_layers import StackedLayers, unstackable_layer
from lesion_transfer.learning.stacked_update import StackedUpdate
from lesion_transfer.learning.state import TrainingState
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.views import DataViews
from lesion_transfer.signals import QUICK_SECONDS, held_back

log = logging.getLogger(__name__)
LARGEST_STACK = 20
"""Members that are trained side by side at most; part of what a result depends on, so no setting of a back end."""


@dataclass(frozen=True)
class Hooks:
    """What one member keeps and tells."""

    on_epoch: OnEpoch | None = None
    on_estimate: OnEstimate | None = None
    resume_from: TrainingState | None = None
    on_state: OnState | None = None


def reason_to_train_alone(member: Member, frozen: bool, device: torch.device) -> str | None:
    """Why this member cannot be trained side by side with others, None where it can."""
    layers = member.network.decision_maker
    if not frozen:
        return "its extractor is not frozen"
    if member.options.augmentation_mode == "live":
        return "its augmentation is live: its features are never the same"
    if member.options.autocast != "off":
        return "bfloat16 rounds too coarsely for one and many to agree"
    if kind := unstackable_layer(layers):
        return f"its decision maker has a {kind} layer"
    if device.type == "cuda" and member.options.dropout and any(isinstance(layer, nn.Dropout) for layer in layers):
        return "a GPU draws dropout in another order for one than for many"
    return None


def stacks(members: Sequence[Member], frozen: bool, device: str | torch.device) -> list[list[int]]:
    """Numbers of members that are trained together, in order; those that cannot be are alone, and the log says why.

    Which they are depends on those of one `stack` only, not on other members or on where they are trained.
    """
    reasons = [
        reason_to_train_alone(member, frozen, torch.device(device)) if member.stack else None for member in members
    ]
    if frozen:
        for why in dict.fromkeys(filter(None, reasons)):
            log.info("%d of %d members are trained one by one: %s", reasons.count(why), len(members), why)
    groups: dict[object, list[list[int]]] = {}
    for number, (member, reason) in enumerate(zip(members, reasons, strict=True)):
        own = groups.setdefault(_kind(member) if reason is None and member.stack else number, [[]])
        if len(own[-1]) == LARGEST_STACK:
            own.append([])
        own[-1].append(number)
    return sorted(numbers for own in groups.values() for numbers in own)


def train_stacked(
    members: Sequence[Member],
    hooks: Sequence[Hooks],
    augmentation: AugmentationOptions,
    *,
    patch_pixels: int = 65,
    device: str | torch.device = "cpu",
    limits: GradientLimits,
    tolerant: bool = False,
) -> list[TrainingResult | TrainingError]:
    """Trains what one of `stacks` holds; each member's result as `training.train` gives it, but for rounding.

    float64 agrees to 1e-10. Each ends, resumes and is told of on its own: members may be at different epochs.
    tolerant: what `training.train` would raise of one member stands in the place of its result, and the others go on;
    otherwise the first is raised.
    """
    device = torch.device(device)
    shared: dict[object, Sources] = {}
    courses: dict[int, Course] = {}
    outcomes: dict[int, TrainingResult | TrainingError] = {}
    for number, (member, hook) in enumerate(zip(members, hooks, strict=True)):
        network = copy.deepcopy(member.network)
        prepare(network, member.options, True, device)
        key = _draws(member)
        try:
            if key not in shared:
                shared[key] = _sources(_views(member, network, augmentation, patch_pixels, device))
        except TrainingError as error:
            if not tolerant:
                raise
            outcomes[number] = error
            continue
        courses[number] = set_up(
            network,
            member.options,
            shared[key],
            limits,
            member.name,
            frozen=True,
            probe=member.probe,
            resume_from=hook.resume_from,
            on_epoch=hook.on_epoch,
            on_state=hook.on_state,
        )
    stack: _Stack | None = None
    seconds = math.inf
    while going := [course for course in courses.values() if not course.over]:
        epoch = min(course.epoch for course in going)
        # last bits depend on the whole stack: one that was further when it was killed takes its place, not learning
        present = [number for number, course in courses.items() if not course.over or course.epoch > epoch]
        if stack is None or stack.numbers != present:
            fresh = stack is None
            mine, theirs = [courses[n] for n in present], [members[n] for n in present]
            stack = _Stack(present, mine, theirs, limits, device, tolerant)
            if fresh and any(hook.on_estimate for hook in hooks):
                share = stack.seconds_an_epoch() / len(present)
                _tell_estimate({n: courses[n] for n in present}, hooks, share, ON_ONE_BATCH)
        begun = time.monotonic()
        with held_back() if seconds < QUICK_SECONDS else nullcontext():
            learnt = stack.epoch(epoch)
            for course, row in learnt:
                with _stopping(course, tolerant):
                    course.close_epoch(row)
        is_first, seconds = seconds == math.inf, time.monotonic() - begun
        if is_first and learnt:
            _tell_estimate(courses, hooks, seconds / len(learnt), ON_THE_FIRST_EPOCH)
    outcomes |= {number: course.stopped or course.result() for number, course in courses.items()}
    return [outcomes[number] for number in range(len(members))]


@contextmanager
def _stopping(course: Course, tolerant: bool) -> Iterator[None]:
    """An error of the block stops the course alone where that is tolerated."""
    try:
        yield
    except TrainingError as error:
        if not tolerant:
            raise
        course.stopped = error


class _Stack:
    """Courses of equal decision makers, for as many epochs as all of them go on."""

    def __init__(
        self,
        numbers: list[int],
        courses: Sequence[Course],
        members: Sequence[Member],
        limits: GradientLimits,
        device: torch.device,
        tolerant: bool,
    ) -> None:
        self.numbers, self.courses, self._members = numbers, courses, members
        self._limits, self._device, self._tolerant = limits, device, tolerant
        self.update = StackedUpdate([course.parts.update for course in courses])
        network: LesionNetwork = courses[0].parts.network
        dropout = [course.options.dropout for course in courses]
        self.layers = StackedLayers(network.decision_maker, self.update.weights, dropout)
        self._losses = sample_losses(courses[0].options.loss)
        banks: dict[int, Bank] = {}
        for course in courses:
            bank = course.sources.batches
            assert isinstance(bank, Bank)
            banks[id(bank)] = bank
        starts = np.cumsum([0, *(bank.contents[..., 0].numel() for bank in banks.values())])
        self._start = dict(zip(banks, starts.tolist(), strict=False))
        self._features = torch.cat([bank.contents.flatten(0, 1) for bank in banks.values()])

    def epoch(self, epoch: int) -> list[tuple[Course, dict[str, float]]]:
        """One epoch of every course whose next it is, with the beginning of its history row."""
        learns = [course.epoch == epoch and course.stopped is None for course in self.courses]
        rows = [course.begin_epoch() if own else {} for course, own in zip(self.courses, learns, strict=True)]
        before = self.update.weights.clone()
        generators = self._generators("dropout", str(epoch))
        for number, batch in enumerate(self._batches(epoch), start=1):
            active = [
                own and size > 0 and course.stopped is None
                for own, size, course in zip(learns, batch.sizes, self.courses, strict=True)
            ]
            losses, gradients = self.forward_and_back(batch, generators)
            self._check(losses.tolist(), self.layers.statistics(gradients).cpu().numpy(), active, number)
            active = [own and course.stopped is None for own, course in zip(active, self.courses, strict=True)]
            if number == 1:
                shares = self.update.measured_step(gradients, active)
                for row, share in zip(rows, shares, strict=True):
                    row["lost_update_share"] = share
            else:
                self.update.step(gradients, active)
        for row, share in zip(rows, self.update.moved_shares(before), strict=True):
            row["moved_weight_share"] = share
        return [
            (course, row)
            for course, row, own in zip(self.courses, rows, learns, strict=True)
            if own and course.stopped is None
        ]

    def forward_and_back(self, batch: "_Batch", generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Losses (K,) and gradients (K, P)."""
        logits = self.layers(self._features[batch.rows], generators, batch.sizes)
        each = self._losses(logits.flatten(0, 1), batch.labels.flatten()).view_as(batch.labels)
        losses = (each * batch.weights).sum(1)
        return losses.detach(), self.layers.gradients(losses.sum())

    def seconds_an_epoch(self) -> float:
        """From one scoring and the second of two batches, which is warm; nothing is moved."""
        begun = time.perf_counter()
        for course in self.courses:
            with _stopping(course, self._tolerant):
                try:
                    for rows in course.scored:
                        score(course.trained, rows, course.loss_of)
                except NotFiniteError as error:
                    raise course.start_error() from error
        scoring = time.perf_counter() - begun
        batches = list(self._batches(1))
        generators, seconds = self._generators("estimate"), 0.0
        for batch in batches[:2]:
            begun = time.perf_counter()
            self.layers.statistics(self.forward_and_back(batch, generators)[1]).cpu()
            seconds = time.perf_counter() - begun
        return seconds * len(batches) + scoring

    def _generators(self, *names: str) -> list[torch.Generator]:
        """Each member's own stream of these names."""
        starts = [torch_generator(member.seed, member.name, *names).initial_seed() for member in self._members]
        return [torch.Generator(self._device).manual_seed(start) for start in starts]

    def _check(self, losses: list[float], values: np.ndarray, active: Sequence[bool], number: int) -> None:
        """Looks at losses and notes the statistics (K, n_layers, 3) of a batch; alarms before the step."""
        calm = nothing_alarming(values, self._limits)
        for course, loss, own, seen, at_rest in zip(self.courses, losses, values, active, calm, strict=True):
            if not seen:
                continue
            with _stopping(course, self._tolerant):
                course.check_loss(loss, number)
                course.parts.recorder.note(course.epoch, own)
                if at_rest:
                    course.parts.alarm.rest()
                else:
                    course.parts.alarm.check(own, course.epoch, number)

    def _batches(self, epoch: int) -> "Iterator[_Batch]":
        """An epoch of every course, batch by batch, padded; a course with fewer batches has none in the last."""
        drawn = {id(course.sources.batches): self._drawn(course, epoch) for course in self.courses}
        own = [drawn[id(course.sources.batches)] for course in self.courses]
        starts = torch.tensor([self._start[id(course.sources.batches)] for course in self.courses])[:, None]
        for draws in zip_longest(*own, fillvalue=(_NONE, _NONE)):
            sizes = [len(rows) for rows, _ in draws]
            rows, labels = (pad_sequence(list(column), batch_first=True) for column in zip(*draws, strict=True))
            n = torch.tensor(sizes)[:, None]
            present = torch.arange(rows.shape[1]) < n
            # what pads a member's batch is its own: 0 times another's nan would be nan
            first = torch.where(n > 0, rows[:, :1], starts)
            rows = torch.where(present, rows, first)
            weights = present / n.clamp(min=1).to(self.update.weights.dtype)
            yield _Batch(rows.to(self._device), labels.to(self._device), weights.to(self._device), sizes)

    def _drawn(self, course: Course, epoch: int) -> list[tuple[Tensor, Tensor]]:
        """Rows of the features and labels of each batch."""
        bank = course.sources.batches
        assert isinstance(bank, Bank)
        n_copies, start = bank.contents.shape[1], self._start[id(bank)]
        return [(start + places * n_copies + copies, labels) for places, copies, labels in bank.draws(epoch)]


_NONE = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class _Batch:
    """A batch of K members, padded to the largest, B. rows, labels: (K, B) int64. weights: (K, B), 1 / size or 0."""

    rows: Tensor
    labels: Tensor
    weights: Tensor
    sizes: list[int]


def _tell_estimate(courses: Mapping[int, Course], hooks: Sequence[Hooks], seconds: float, how: str) -> None:
    """seconds: an epoch's of one member, its share of what the stack takes."""
    for number, course in courses.items():
        tell = hooks[number].on_estimate
        if tell is not None and not course.over:
            tell(seconds, course.to_go, how)


def _sources(views: DataViews) -> Sources:
    sources = Sources.of(views)
    # draws once, for a TrainingError of what cannot be balanced to come before any epoch
    _ = sources.batches.plan.batches_an_epoch
    return sources


def _kind(member: Member) -> object:
    """Equal where decision makers are."""
    layers = member.network.decision_maker
    shapes = tuple((name, tuple(weight.shape)) for name, weight in layers.named_parameters())
    return member.stack, repr([type(layer) for layer in layers]), shapes, member.options.precision, member.options.loss


def _draws(member: Member) -> object:
    """Equal where members have the same features, batches and scored rows: the rates of one fold of a grid."""
    data, options = member.data, member.options
    rows = tuple(part.numpy().tobytes() for part in (data.train_rows, data.validation_rows))
    drawn = (
        options.augmentation_factor,
        options.bank_copies,
        options.batch_size,
        options.balance,
        options.validation,
        options.precision,
    )
    return id(member.network), id(data.images), id(data.labels), rows, member.seed, member.name, drawn


def _views(
    member: Member, network: LesionNetwork, augmentation: AugmentationOptions, patch_pixels: int, device: torch.device
) -> DataViews:
    data = member.data
    images = data.images.to(device=device, dtype=network.dtype)
    return DataViews(
        images, data, member.options, augmentation, member.seed, member.name, patch_pixels, encoder(network)
    )
