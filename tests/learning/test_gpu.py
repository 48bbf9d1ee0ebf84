"""On a GPU: what the deterministic mode promises, and the same scores as on a CPU. Skipped where there is none.

Needs no other package than learning does:
    PYTHONPATH=src python -m pytest --noconftest tests/learning/test_gpu.py
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.forth_and_back import ForthAndBack
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, NetworkOptions, TrainingOptions
from lesion_transfer.learning.population import Member, train_population
from lesion_transfer.learning.roulette import roulette
from lesion_transfer.learning.state import TrainingState
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import TrainingResult, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")

PATCH = 65
NETWORK = NetworkOptions(filters=[8, 16, 32], dense=[64, 32, 16])
OPTIONS = TrainingOptions(
    lr=1e-3,
    batch_size=32,
    dropout=0.2,
    epochs=3,
    augmentation_factor=2.0,
    augmentation_mode="auto",
    bank_copies=3,
    loss="cross_entropy",
    optimized_metric="auc_and_balanced_accuracy",
    plateau_factor=0.1,
    plateau_patience=2,
    validation="plain",
    precision="compensated",
)


@pytest.fixture(autouse=True)
def _deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As stages/training/compute.py sets it."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_deterministic_debug_mode()
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.set_deterministic_debug_mode("error")
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.set_deterministic_debug_mode(before)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


def blobs(n: int = 120) -> TrainingData:
    """Noise with a bright dot in the centre, brighter in the positives, 1 of 4."""
    side = PATCH + 20
    place = torch.arange(side) - (side - 1) / 2
    dot = torch.exp(-(place[:, None] ** 2 + place**2) / (2 * 4.0**2))
    labels = torch.arange(n) % 4 == 0
    noise = torch.randn(n, 1, side, side, generator=torch_generator(0, "blobs"))
    rows = torch.arange(n)
    return TrainingData(
        noise + (1 + 2 * labels[:, None, None, None]) * dot, labels.long(), rows[: n // 2], rows[n // 2 :]
    )


def network(number: int = 0) -> LesionNetwork:
    return build_network(NETWORK, 1, OPTIONS.dropout, torch_generator(number, "network"), PATCH)


def trained(device: str = "cuda", *, frozen: bool = False, **changes: Any) -> TrainingResult:
    arguments = {
        key: changes.pop(key) for key in ("on_state", "resume_from", "limits", "on_estimate") if key in changes
    }
    options = OPTIONS.model_copy(update=changes)
    augmentation = AugmentationOptions()
    return train(
        network(), blobs(), options, augmentation, frozen=frozen, seed=0, name="phase", device=device, **arguments
    )


SETTINGS: dict[str, dict[str, Any]] = {
    "full": {},
    "frozen": {"frozen": True},
    "frozen, live": {"frozen": True, "augmentation_mode": "live"},
    "bfloat16": {"autocast": "bfloat16"},
    "float64": {"precision": "float64"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_training_repeats_itself_byte_for_byte(name: str) -> None:
    first, second = trained(**SETTINGS[name]), trained(**SETTINGS[name])
    assert state_sha256(first.best_state) == state_sha256(second.best_state)
    assert first.history == second.history
    np.testing.assert_array_equal(first.gradient_flow.values, second.gradient_flow.values)


@pytest.mark.parametrize("loss", ["cross_entropy", "l1"])
@pytest.mark.parametrize("frozen", [False, True])
def test_replayed_steps_are_the_steps_one_by_one(frozen: bool, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the masks of dropout, the running statistics of BatchNorm, and a last batch that is smaller."""
    settings = {"precision": "float64", "frozen": frozen, "loss": loss, "optimized_metric": "auc", "epochs": 2}
    replayed = trained(**settings)
    monkeypatch.setattr(ForthAndBack, "replays", lambda self, inputs: False)
    one_by_one = trained(**settings)
    assert replayed.best_epoch == one_by_one.best_epoch
    for name, expected in one_by_one.best_state.items():
        torch.testing.assert_close(replayed.best_state[name], expected, rtol=1e-6, atol=1e-9, msg=name)
    np.testing.assert_allclose(replayed.gradient_flow.values, one_by_one.gradient_flow.values, rtol=1e-5, atol=1e-9)


def test_a_failing_loss_is_reported_before_the_step() -> None:
    with pytest.raises(TrainingError, match="epoch 1, batch 1"):
        trained(limits=GradientLimits(exploding=1e-12))


@pytest.mark.parametrize("frozen", [False, True])
def test_float64_agrees_with_the_cpu(frozen: bool) -> None:
    # no dropout: each device has its own stream of masks
    settings = {"precision": "float64", "dropout": 0.0, "frozen": frozen}
    there, here = trained("cuda", **settings), trained("cpu", **settings)
    for row, expected in zip(there.history, here.history, strict=True):
        np.testing.assert_allclose(list(row.values()), list(expected.values()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_an_interrupted_training_goes_on_to_the_same_bytes(name: str) -> None:
    states: list[TrainingState] = []
    whole = trained(on_state=lambda newest: states.extend(filter(None, [newest()])), **SETTINGS[name])
    resumed = trained(resume_from=states[0], **SETTINGS[name])
    assert state_sha256(resumed.best_state) == state_sha256(whole.best_state)
    assert resumed.history == whole.history


def test_an_estimate_leaves_no_trace() -> None:
    told: list[float] = []
    plain, estimated = trained(), trained(on_estimate=lambda seconds, *_: told.append(seconds))
    assert state_sha256(plain.best_state) == state_sha256(estimated.best_state)
    assert 0 < told[0] < 60


def test_a_population_is_its_members() -> None:
    data = blobs()
    members = [Member(f"m{k}", network(k), data, OPTIONS, seed=k) for k in range(3)]
    together = train_population(members, AugmentationOptions(), frozen=True, device="cuda")
    alone = train_population(members[1:2], AugmentationOptions(), frozen=True, device="cuda")
    assert state_sha256(together[1].result.best_state) == state_sha256(alone[0].result.best_state)


def test_the_roulette_ranks_as_on_a_cpu() -> None:
    there = roulette(NETWORK, blobs(), 20, 0, 1, device="cuda")
    here = roulette(NETWORK, blobs(), 20, 0, 1)
    aucs = [[row["validation_auc"] for row in found.table] for found in (there, here)]
    np.testing.assert_allclose(aucs[0], aucs[1], atol=5e-3)


def test_it_learns() -> None:
    assert trained(epochs=6).best_metrics["validation_auc"] > 0.8
