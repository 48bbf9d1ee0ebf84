"""One training of one network: epochs, scores, the best model. Reads from top to bottom."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from lesion_transfer.learning.course import OnState, Sources, encoder, prepare, set_up
from lesion_transfer.learning.course import Probe as Probe
from lesion_transfer.learning.course import TrainingResult as TrainingResult
from lesion_transfer.learning.data import TrainingData as TrainingData
from lesion_transfer.learning.errors import NotFiniteError
from lesion_transfer.learning.estimate import ON_ONE_BATCH, ON_THE_FIRST_EPOCH, OnEstimate, seconds_an_epoch
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, TrainingOptions
from lesion_transfer.learning.state import TrainingState
from lesion_transfer.learning.state import state_copy as state_copy
from lesion_transfer.learning.streams import global_stream
from lesion_transfer.learning.views import DataViews
from lesion_transfer.signals import QUICK_SECONDS, held_back

DEFAULT_LIMITS = GradientLimits()


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
    on_estimate: OnEstimate | None = None,
    resume_from: TrainingState | None = None,
    on_state: OnState | None = None,
    epoch_factor: float | None = None,
) -> TrainingResult:
    """Trains `network` in place and returns its best epoch with everything that was measured on the way.

    frozen: only the decision maker is trained, and the whole extractor is in eval mode (BatchNorm and dropout).
    seed, name: of all random streams; `name` is usually the phase. epoch_factor: takes the place of the augmentation
    factor where samples to learn from are drawn, not in the validation's.
    A history row has epoch, lr, lost_update_share (of the updates of the epoch's first batch, how many rounding
    swallowed), moved_weight_share (of the trained weights, how many the epoch moved), {train,validation}_{the 8
    metrics} and what `probe` returns. `on_epoch` gets it after the epoch, when `network` holds that epoch's weights.
    `on_estimate` gets, before and after the first epoch, the seconds that an epoch takes and how many there are to go.
    Same inputs, seed and number of threads: same bytes. `on_state` gets, after `on_epoch`, what gives all that later
    epochs depend on; with that as `resume_from`, the other arguments and the network as at the start, it goes on to the
    same bytes. Ctrl-C waits for the end of an epoch where the last one was quick.

    Raises TrainingError for a loss that is not finite and for gradients beyond `limits` (naming epoch and batch, before
    the step), and for data without labelled rows.
    """
    device = torch.device(device)
    prepare(network, options, frozen, device)
    encode = encoder(network) if frozen else None
    images = data.images.to(device=device, dtype=network.dtype)
    sources = Sources.of(DataViews(images, data, options, augmentation, seed, name, patch_pixels, encode, epoch_factor))
    course = set_up(
        network,
        options,
        sources,
        limits,
        name,
        frozen=frozen,
        probe=probe,
        resume_from=resume_from,
        on_epoch=on_epoch,
        on_state=on_state,
    )
    update, recorder = course.parts.update, course.parts.recorder
    step = course.forth_and_back()
    if on_estimate is not None and not course.over:
        _training_mode(network, frozen)
        with global_stream(device, seed, name, "estimate"):
            try:
                seconds = seconds_an_epoch(course, device)
            except NotFiniteError as error:
                raise course.start_error() from error
        on_estimate(seconds, course.to_go, ON_ONE_BATCH)

    seconds = math.inf
    while not course.over:
        begun = time.monotonic()
        with held_back() if seconds < QUICK_SECONDS else nullcontext():
            epoch, row = course.epoch, course.begin_epoch()
            before = update.weights()
            _training_mode(network, frozen)
            with global_stream(device, seed, name, "dropout", str(epoch)):
                batches = sources.batches.epoch(epoch)
                batch, number = next(batches, None), 0
                while batch is not None:
                    noted, number = step(*batch), number + 1
                    # drawn while a GPU is at work, which is waited for once a step
                    batch = next(batches, None)
                    gradients, loss = step.read(noted)
                    recorder.note(epoch, gradients)
                    course.check_loss(loss, number)
                    course.parts.alarm.check(gradients, epoch, number)
                    if number == 1:
                        row["lost_update_share"] = update.measured_step()
                    else:
                        update.step()
            row["moved_weight_share"] = update.moved_share(before)
            course.close_epoch(row)
        is_first, seconds = seconds == math.inf, time.monotonic() - begun
        if is_first and on_estimate is not None and not course.over:
            on_estimate(seconds, course.to_go, ON_THE_FIRST_EPOCH)
    return course.result()


def _training_mode(network: LesionNetwork, frozen: bool) -> None:
    """Train mode; a frozen extractor is in eval mode whole, for requires_grad alone lets BatchNorm statistics drift."""
    network.train()
    if frozen:
        network.feature_extractor.eval()
