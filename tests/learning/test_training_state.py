"""A training that is cut anywhere and goes on from its state ends with the bytes of one that was never cut."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions, TrainingOptions
from lesion_transfer.learning.state import TrainingState
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import TrainingData, TrainingResult, train

PATCH = 36
Newest = Callable[[], TrainingState | None]
OPTIONS = TrainingOptions(
    lr=3e-3,
    batch_size=16,
    dropout=0.2,
    epochs=4,
    augmentation_factor=1.0,
    augmentation_mode="auto",
    bank_copies=2,
    loss="cross_entropy",
    optimized_metric="auc_and_balanced_accuracy",
    plateau_factor=0.1,
    plateau_patience=0,
    validation="plain",
    precision="float32",
)


class KilledError(Exception):
    """Stands in for the end of a process."""


def data() -> TrainingData:
    generator = torch_generator(0, "state")
    labels = torch.arange(24) % 2
    images = torch.randn(24, 1, PATCH + 14, PATCH + 14, generator=generator) + 0.3 * labels[:, None, None, None]
    return TrainingData(images, labels, torch.arange(14), torch.arange(14, 24))


def kept_in(states: list[TrainingState]) -> Callable[[Newest], None]:
    """An `on_state` that keeps the state of every epoch."""

    def keep(newest: Newest) -> None:
        state = newest()
        assert state is not None
        states.append(state)

    return keep


@dataclass
class Case:
    """One kind of training."""

    options: TrainingOptions
    frozen: bool

    def run(self, **hooks: Any) -> TrainingResult:
        model = build_network(
            NetworkOptions(filters=[2, 2, 4], dense=[8, 4]), 1, 0.2, torch_generator(0, "network"), PATCH
        )
        return train(
            model,
            data(),
            self.options,
            AugmentationOptions(),
            frozen=self.frozen,
            seed=0,
            name="phase",
            patch_pixels=PATCH,
            probe=_probe,
            **hooks,
        )


def _probe(network: LesionNetwork) -> dict[str, float]:
    return {"target_train_auc": sum(float(weight.double().sum()) for weight in network.state_dict().values())}


CASES = {
    "live": Case(OPTIONS, frozen=False),
    "compensated": Case(OPTIONS.model_copy(update={"precision": "compensated", "lr": 1e-8}), frozen=False),
    "float64": Case(OPTIONS.model_copy(update={"precision": "float64"}), frozen=False),
    "bank": Case(OPTIONS.model_copy(update={"augmentation_mode": "bank"}), frozen=False),
    "no plateau": Case(OPTIONS.model_copy(update={"plateau_factor": 1.0}), frozen=False),
    "plateau on loss": Case(OPTIONS.model_copy(update={"plateau_metric": "loss"}), frozen=False),
    "early stopping": Case(
        OPTIONS.model_copy(update={"early_stopping_patience": 1, "lr": 1e-30, "epochs": 9}), frozen=True
    ),
    "undersampling": Case(OPTIONS.model_copy(update={"balance": "undersampling"}), frozen=False),
    "frozen": Case(OPTIONS, frozen=True),
    "frozen, compensated": Case(OPTIONS.model_copy(update={"precision": "compensated"}), frozen=True),
    "frozen, live": Case(OPTIONS.model_copy(update={"augmentation_mode": "live"}), frozen=True),
    "best before the end": Case(OPTIONS.model_copy(update={"lr": 0.1}), frozen=False),
    "frozen, best before the end": Case(OPTIONS.model_copy(update={"lr": 0.1}), frozen=True),
}


@pytest.mark.parametrize("name", CASES)
def test_cut_after_any_epoch_it_ends_with_the_same_bytes(name: str) -> None:
    case = CASES[name]
    states: list[TrainingState] = []
    whole = case.run(on_state=kept_in(states))
    assert len(states) == len(whole.history) == (2 if name == "early stopping" else 4)
    if name.endswith("best before the end"):
        assert whole.best_epoch < len(states) - 1, "so that a cut comes between it and the end"
    for state in states:
        rows: list[dict[str, float]] = []
        rest = case.run(resume_from=state, on_epoch=rows.append)
        assert_same(rest, whole)
        assert [row["epoch"] for row in rows] == list(range(state.epoch + 1, len(states) + 1))


def test_cut_in_the_middle_of_an_epoch_again_and_again_it_ends_with_the_same_bytes() -> None:
    case = CASES["compensated"]
    whole = case.run()
    state: TrainingState | None = None
    for _ in range(3):
        kept: list[TrainingState] = []

        def keep_one(newest: Newest, kept: list[TrainingState] = kept) -> None:
            if kept:
                raise KilledError
            kept_in(kept)(newest)

        with pytest.raises(KilledError):
            case.run(resume_from=state, on_state=keep_one)
        state = kept[0]
        if state.epoch == 3:
            break
    assert_same(case.run(resume_from=state), whole)


def test_a_state_is_a_copy_that_later_epochs_leave_alone() -> None:
    states: list[TrainingState] = []
    hashes: list[str] = []

    def keep(newest: Newest) -> None:
        kept_in(states)(newest)
        hashes.append(state_sha256(states[-1].tensors))

    CASES["live"].run(on_state=keep)
    assert [state_sha256(state.tensors) for state in states] == hashes
    assert len(set(hashes)) == len(hashes)


def test_ctrl_c_amid_a_quick_epoch_is_heard_after_it_and_the_state_is_of_whole_epochs() -> None:
    newest: list[Newest] = []
    rows: list[dict[str, float]] = []

    def interrupt(row: dict[str, float]) -> None:
        rows.append(row)
        if len(rows) == 2:
            assert newest[-1]() is None, "the epoch is not over"
            signal.raise_signal(signal.SIGINT)
            rows.append({})  # heard later

    with pytest.raises(KeyboardInterrupt):
        CASES["frozen"].run(on_epoch=interrupt, on_state=newest.append)
    assert len(rows) == 3
    state = newest[-1]()
    assert state is not None
    assert state.epoch == 2
    assert_same(CASES["frozen"].run(resume_from=state), CASES["frozen"].run())


def test_a_frozen_phase_keeps_nothing_of_its_extractor() -> None:
    states: list[TrainingState] = []
    CASES["frozen"].run(on_state=kept_in(states))
    assert not [name for name in states[0].tensors if "feature_extractor" in name]


def assert_same(result: TrainingResult, other: TrainingResult) -> None:
    assert state_sha256(result.best_state) == state_sha256(other.best_state)
    assert list(result.best_state) == list(other.best_state)
    assert repr(result.history) == repr(other.history)
    assert (result.best_epoch, repr(result.best_metrics)) == (other.best_epoch, repr(other.best_metrics))
    assert result.gradient_flow.layers == other.gradient_flow.layers
    assert result.gradient_flow.values.tobytes() == other.gradient_flow.values.tobytes()
    assert result.gradient_flow.epochs.tobytes() == other.gradient_flow.epochs.tobytes()
