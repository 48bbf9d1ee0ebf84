"""One training set up, and what happens at the end of each of its epochs; alone and side by side it is the same."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lesion_transfer.learning.alarm import GradientAlarm
from lesion_transfer.learning.batches import BatchSource
from lesion_transfer.learning.errors import NotFiniteError, TrainingError
from lesion_transfer.learning.forth_and_back import ForthAndBack
from lesion_transfer.learning.gradients import GradientFlow, GradientRecorder
from lesion_transfer.learning.losses import LossFunction, loss_function
from lesion_transfer.learning.network import LesionNetwork, autocasting, place, set_dropout, weight_dtype
from lesion_transfer.learning.options import GradientLimits, TrainingOptions
from lesion_transfer.learning.scoring import ScoredRows, outputs, score
from lesion_transfer.learning.selection import BestEpoch
from lesion_transfer.learning.state import MovingParts, TrainingState
from lesion_transfer.learning.updates import Plateau, WeightUpdate
from lesion_transfer.learning.views import DataViews

Probe = Callable[[LesionNetwork], dict[str, float]]
"""More scores of a network in training; must leave it as it is."""
OnEpoch = Callable[[dict[str, float]], None]
OnState = Callable[[Callable[[], TrainingState | None]], None]
"""Gets, after each epoch, what gives the state after the last whole epoch; None while another one is under way."""


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    best_state: every tensor of the best model, contiguous, on the CPU. best_epoch: from 1. best_metrics: its row of
    history. history: one row an epoch.
    """

    best_state: dict[str, Tensor]
    best_epoch: int
    best_metrics: dict[str, float]
    history: list[dict[str, float]]
    gradient_flow: GradientFlow


@dataclass(frozen=True)
class Sources:
    """Where a training's batches come from, and the rows that score it."""

    batches: BatchSource
    train_rows: ScoredRows
    validation_rows: ScoredRows

    @classmethod
    def of(cls, views: DataViews) -> "Sources":
        return cls(views.batches(), views.train_rows(), views.validation_rows())


@dataclass
class Course:
    """A training between two epochs. trained: the network, or its decision maker where the extractor is frozen."""

    name: str
    trained: nn.Module
    options: TrainingOptions
    sources: Sources
    parts: MovingParts
    loss_of: LossFunction
    probe: Probe | None
    constant: dict[str, float]
    on_epoch: OnEpoch | None = None
    on_state: OnState | None = None
    under_way: bool = False
    """Whether an epoch has begun and is not over."""
    stopped: TrainingError | None = None
    """Why it cannot go on, where others go on without it."""

    @property
    def epoch(self) -> int:
        """The one that comes next, from 1."""
        return len(self.parts.history) + 1

    @property
    def to_go(self) -> int:
        """Epochs that it will have at most from now on."""
        return self.options.epochs - self.epoch + 1

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or the last ones brought nothing, or it has stopped."""
        if self.stopped is not None:
            return True
        done = self.epoch - 1
        return done >= self.options.epochs or self.parts.best.stalled(done, self.options.early_stopping_patience)

    @property
    def scored(self) -> list[ScoredRows]:
        """What is scored after each epoch."""
        return [self.sources.train_rows, self.sources.validation_rows]

    def forward(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """Logits to learn from, in the type of the inputs, computed as `autocast` says."""
        with autocasting(inputs, self.options.autocast):
            return module(inputs).to(inputs.dtype)

    def forth_and_back(self) -> ForthAndBack:
        """How a batch is learnt from."""
        parts = self.parts
        return ForthAndBack(
            self.trained, self.forward, self.loss_of, parts.update, parts.recorder, self.options.batch_size
        )

    def begin_epoch(self) -> dict[str, float]:
        """The history row of the epoch that begins, as far as it is known before."""
        self.under_way = True
        return {"epoch": self.epoch, "lr": self.parts.update.lr}

    def check_loss(self, value: float, batch: int) -> None:
        """Raises TrainingError for a loss that is not finite; before the step."""
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss of {self.name} is {value} in epoch {self.epoch}, batch {batch}, at a learning rate of "
                f"{self.parts.update.lr:g}: look for nan or huge values in the images, or lower the learning rate."
            )

    def start_error(self) -> TrainingError:
        """What is raised where the outputs are not finite before the first step."""
        return TrainingError(
            f"The outputs of {self.name} are nan or infinite before its first step: look at the weights of the model "
            "that it starts from, and for nan or huge values in the images."
        )

    def close_epoch(self, row: dict[str, float]) -> None:
        """Scores the network as it is now, keeps it where it is the best, and tells; completes and keeps `row`."""
        parts = self.parts
        try:
            validation = score(self.trained, self.sources.validation_rows, self.loss_of)
            train = score(self.trained, self.sources.train_rows, self.loss_of)
            row |= _prefixed("train", train) | _prefixed("validation", validation)
            row |= self.probe(parts.network) if self.probe is not None and not parts.frozen else self.constant
        except NotFiniteError as error:
            raise TrainingError(
                f"The loss of {self.name} is nan after epoch {self.epoch}, at a learning rate of "
                f"{parts.update.lr:g}: the weights have grown until the outputs are no longer finite; lower the "
                "learning rate, or look for nan or huge values in the images."
            ) from error
        parts.history.append(row)
        if parts.best.offer(len(parts.history), validation):
            parts.keep_best()
        parts.plateau.step(validation[self.options.plateau_metric])
        if self.on_epoch is not None:
            self.on_epoch(row)
        self.under_way = False
        if self.on_state is not None:
            self.on_state(self._state)

    def _state(self) -> TrainingState | None:
        return None if self.under_way else self.parts.state()

    def result(self) -> TrainingResult:
        """What came out, when it is over."""
        parts, best = self.parts, self.parts.best.epoch
        return TrainingResult(parts.best_state, best, parts.history[best - 1], parts.history, parts.recorder.result())


def prepare(network: LesionNetwork, options: TrainingOptions, frozen: bool, device: torch.device) -> None:
    """Places the network, in place, with the dropout of `options` and only what is trained asking for gradients."""
    place(network, device, weight_dtype(options))
    set_dropout(network, options.dropout)
    network.feature_extractor.requires_grad_(not frozen)
    network.decision_maker.requires_grad_(True)


def set_up(
    network: LesionNetwork,
    options: TrainingOptions,
    sources: Sources,
    limits: GradientLimits,
    name: str,
    *,
    frozen: bool,
    probe: Probe | None = None,
    resume_from: TrainingState | None = None,
    on_epoch: OnEpoch | None = None,
    on_state: OnState | None = None,
) -> Course:
    """The course of a network that `prepare` has prepared: at its start, or where `resume_from` left it."""
    trained: nn.Module = network.decision_maker if frozen else network
    update = WeightUpdate(trained.parameters(), options.lr, options.precision)
    recorder = GradientRecorder(trained)
    parts = MovingParts(
        network,
        frozen,
        update,
        plateau=Plateau(update, options.plateau_factor, options.plateau_patience, options.plateau_metric),
        recorder=recorder,
        alarm=GradientAlarm(limits, recorder.layers, name),
        best=BestEpoch(options.optimized_metric),
    )
    # a frozen extractor gives the probe the same answer after every epoch, so it is asked once
    constant = probe(network) if probe is not None and frozen else {}
    if resume_from is not None:
        parts.restore(resume_from)
    return Course(
        name,
        trained,
        options,
        sources,
        parts,
        loss_function(options.loss),
        probe,
        constant,
        on_epoch,
        on_state,
    )


def encoder(network: LesionNetwork) -> Callable[[Tensor], Tensor]:
    """The frozen extractor as a function of images (n, C, P, P) -> features (n, F), in eval mode, outside the graph."""

    def encode(images: Tensor) -> Tensor:
        return outputs(network.feature_extractor, images)

    return encode


def _prefixed(prefix: str, scores: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in scores.items()}
