"""One training of one network: epochs, scores, the best model. Reads from top to bottom."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lesion_transfer.learning.alarm import GradientAlarm
from lesion_transfer.learning.data import TrainingData as TrainingData
from lesion_transfer.learning.errors import NotFiniteError, TrainingError
from lesion_transfer.learning.estimate import seconds_an_epoch
from lesion_transfer.learning.gradients import GradientFlow, GradientRecorder
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import LesionNetwork, place, set_dropout
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, TrainingOptions
from lesion_transfer.learning.scoring import outputs, score
from lesion_transfer.learning.selection import BestEpoch
from lesion_transfer.learning.state import MovingParts, TrainingState
from lesion_transfer.learning.state import state_copy as state_copy
from lesion_transfer.learning.streams import global_stream
from lesion_transfer.learning.updates import Plateau, WeightUpdate
from lesion_transfer.learning.views import DataViews

Probe = Callable[[LesionNetwork], dict[str, float]]
"""More scores of a network in training; must leave it as it is."""
DEFAULT_LIMITS = GradientLimits()


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


def train(
    network: LesionNetwork,
    data: TrainingData,
    options: TrainingOptions,
    augmentation: AugmentationOptions,
    *,
    frozen: bool,
    seed: int,
    name: str,
    patch_pixels: int = 65,
    device: str | torch.device = "cpu",
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    probe: Probe | None = None,
    limits: GradientLimits = DEFAULT_LIMITS,
    on_estimate: Callable[[float, int], None] | None = None,
    resume_from: TrainingState | None = None,
    on_state: Callable[[TrainingState], None] | None = None,
) -> TrainingResult:
    """Trains `network` in place and returns its best epoch with everything that was measured on the way.

    frozen: only the decision maker is trained, and the whole extractor is in eval mode (BatchNorm and dropout).
    seed, name: of all random streams; `name` is usually the phase.
    A history row has epoch, lr, lost_update_share (of the updates of the epoch's first batch, how many rounding
    swallowed), moved_weight_share (of the trained weights, how many the epoch moved), {train,validation}_{the 8
    metrics} and what `probe` returns. `on_epoch` gets it after the epoch, when `network` holds that epoch's weights.
    `on_estimate` gets, before the first epoch, the seconds that an epoch will take and how many there are to go.
    Same inputs, seed and number of threads: same bytes. `on_state` gets, after `on_epoch`, all that later epochs depend
    on; with that as `resume_from`, the other arguments and the network as at the start, it goes on to the same bytes.

    Raises TrainingError for a loss that is not finite and for gradients beyond `limits` (naming epoch and batch, before
    the step), and for data without labelled rows.
    """
    device = torch.device(device)
    _prepare(network, options, frozen, device)
    trained: nn.Module = network.decision_maker if frozen else network
    encode = _encoder(network) if frozen else None
    images = data.images.to(device=device, dtype=network.dtype)
    views = DataViews(images, data, options, augmentation, seed, name, patch_pixels, encode)
    batches, train_rows, validation_rows = views.batches(), views.train_rows(), views.validation_rows()

    loss_of = loss_function(options.loss)
    update = WeightUpdate(trained.parameters(), options.lr, options.precision)
    parts = MovingParts(
        network,
        frozen,
        update,
        plateau=Plateau(update, options.plateau_factor, options.plateau_patience, options.plateau_metric),
        recorder=GradientRecorder(trained),
        best=BestEpoch(options.optimized_metric),
    )
    # a frozen extractor gives the probe the same answer after every epoch, so it is asked once
    constant = probe(network) if probe is not None and frozen else {}
    if resume_from is not None:
        parts.restore(resume_from)
    alarm = GradientAlarm(limits, parts.recorder.layers, name)
    if on_estimate is not None and (left := options.epochs - len(parts.history)):
        _training_mode(network, frozen)
        with global_stream(device, seed, name, "estimate"):
            seconds = seconds_an_epoch(trained, batches, [train_rows, validation_rows], loss_of, update, device)
        on_estimate(seconds, left)

    for epoch in range(len(parts.history) + 1, options.epochs + 1):
        if parts.best.stalled(epoch - 1, options.early_stopping_patience):
            break
        row: dict[str, float] = {"epoch": epoch, "lr": update.lr}
        before = update.weights()
        _training_mode(network, frozen)
        with global_stream(device, seed, name, "dropout", str(epoch)):
            for number, (inputs, labels) in enumerate(batches.epoch(epoch), start=1):
                loss = loss_of(trained(inputs), labels)
                if not math.isfinite(value := loss.item()):
                    raise TrainingError(
                        f"The loss of {name} is {value} in epoch {epoch}, batch {number}, at a learning rate of "
                        f"{update.lr:g}: look for nan or huge values in the images, or lower the learning rate."
                    )
                update.zero_grad()
                loss.backward()
                alarm.check(parts.recorder.record(epoch), epoch, number)
                if number == 1:
                    row["lost_update_share"] = update.measured_step()
                else:
                    update.step()

        row["moved_weight_share"] = update.moved_share(before)
        try:
            validation = score(trained, validation_rows, loss_of)
            row |= _prefixed("train", score(trained, train_rows, loss_of)) | _prefixed("validation", validation)
            row |= probe(network) if probe is not None and not frozen else constant
        except NotFiniteError as error:
            raise TrainingError(
                f"The loss of {name} is nan after epoch {epoch}, at a learning rate of {update.lr:g}: the weights have "
                "grown until the outputs are no longer finite; lower the learning rate."
            ) from error
        parts.history.append(row)
        if parts.best.offer(epoch, validation):
            parts.best_state = state_copy(network)
        parts.plateau.step(validation[options.plateau_metric])
        if on_epoch is not None:
            on_epoch(row)
        if on_state is not None:
            on_state(parts.state())

    history, best_epoch = parts.history, parts.best.epoch
    return TrainingResult(parts.best_state, best_epoch, history[best_epoch - 1], history, parts.recorder.result())


def _prepare(network: LesionNetwork, options: TrainingOptions, frozen: bool, device: torch.device) -> None:
    place(network, device, torch.float64 if options.precision == "float64" else torch.float32)
    set_dropout(network, options.dropout)
    network.feature_extractor.requires_grad_(not frozen)
    network.decision_maker.requires_grad_(True)


def _training_mode(network: LesionNetwork, frozen: bool) -> None:
    """Train mode; a frozen extractor is in eval mode whole, for requires_grad alone lets BatchNorm statistics drift."""
    network.train()
    if frozen:
        network.feature_extractor.eval()


def _encoder(network: LesionNetwork) -> Callable[[Tensor], Tensor]:
    """The frozen extractor as a function of images (n, C, P, P) -> features (n, F), in eval mode, outside the graph."""

    def encode(images: Tensor) -> Tensor:
        return outputs(network.feature_extractor, images)

    return encode


def _prefixed(prefix: str, scores: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in scores.items()}
