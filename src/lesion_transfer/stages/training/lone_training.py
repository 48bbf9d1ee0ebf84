"""One network trained outside the phases (thesis chapter 5): told to terminal and MLflow, resumed where killed."""

from collections.abc import Callable
from functools import partial

import torch

from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.learning.resume import StateFile
from lesion_transfer.learning.training import TrainingResult, train
from lesion_transfer.settings import Settings
from lesion_transfer.stages.phase_mirror import mirror_epoch, mirror_resumed
from lesion_transfer.stages.phase_watch import PhaseWatch
from lesion_transfer.stages.progress import progress_bar
from lesion_transfer.stages.training.resume import Interrupted
from lesion_transfer.stages.training.training_data import LoadedCohort
from lesion_transfer.tracking import TrackedRun


def train_alone(
    run: TrackedRun | None,
    interrupted: Interrupted,
    settings: Settings,
    name: str,
    network: LesionNetwork,
    loaded: LoadedCohort,
    options: TrainingOptions,
    device: torch.device,
    *,
    seed: int,
    score: str = "validation_auc",
    after_epoch: Callable[[int], None] = lambda _: None,
) -> TrainingResult:
    """Trains `network` in place, from the last epoch that an earlier process kept.

    run: what that process opened, if it is still there; None logs nothing. name: of bar, states and streams. score: the
    metric behind the bar. after_epoch: called with the number of each epoch that is trained now, when `network` holds
    its weights and before its state is kept.
    """
    mirrored = 0
    if run is not None:
        interrupted.remember_run(run.run_id)
        mirrored = mirror_resumed(run, interrupted.history(name), 0)
    with (
        progress_bar(f"training {name}", options.epochs) as move,
        StateFile(interrupted.place(name), name) as state,
    ):
        watch = PhaseWatch(name, [options], move, score)

        def done(row: dict[str, float]) -> None:
            if run is not None and row["epoch"] > mirrored:
                mirror_epoch(run, row, 0)
            watch.epoch(0, row)
            after_epoch(int(row["epoch"]))

        return train(
            network,
            loaded.data,
            options,
            settings.augmentation,
            frozen=False,
            seed=seed,
            name=name,
            patch_pixels=loaded.cohort.patch_pixels,
            device=device,
            on_epoch=done,
            limits=settings.gradient_flow,
            on_estimate=partial(watch.estimate, 0),
            resume_from=state.state,
            on_state=state.keep,
        )
