"""A member of a population gets what it would get alone, wherever it is trained; killed workers included."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from lesion_transfer.backends.ray_backend import RayBackend
from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.estimate import ON_ONE_BATCH, ON_THE_FIRST_EPOCH
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions, TrainingOptions
from lesion_transfer.learning.population import Member, Trained, train_population
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import TrainingResult, train

PATCH = 36
AUGMENTATION = AugmentationOptions()
OPTIONS = TrainingOptions(
    lr=1e-3,
    batch_size=8,
    dropout=0.2,
    epochs=2,
    augmentation_factor=1.0,
    augmentation_mode="auto",
    bank_copies=2,
    loss="cross_entropy",
    optimized_metric="auc_and_balanced_accuracy",
    plateau_factor=0.01,
    plateau_patience=2,
    validation="plain",
    precision="float32",
)


def images(n: int = 20) -> TrainingData:
    pixels = torch.randn(n, 1, 50, 50, generator=torch_generator(0, "images"))
    return TrainingData(pixels, torch.arange(n) % 2, torch.arange(12), torch.arange(12, n))


def start(k: int) -> LesionNetwork:
    options = NetworkOptions(filters=[2, 2, 2], dense=[8, 4])
    return build_network(options, 1, 0.2, torch_generator(k, "start"), PATCH)


def members(precision: str = "float32") -> list[Member]:
    """Four that differ in everything a member may differ in, and share their images."""
    data = images()
    options = OPTIONS.model_copy(update={"precision": precision})
    return [
        Member("a", start(0), data, options, seed=0),
        Member("b", start(0), data, options.model_copy(update={"lr": 1e-2, "dropout": 0.0}), seed=0),
        Member("a", start(1), replace(data, train_rows=torch.arange(6, 20)), options, seed=1),
        Member("c", start(2), replace(data, validation_rows=torch.arange(4)), options, seed=2),
    ]


def alone(member: Member, frozen: bool) -> TrainingResult:
    from copy import deepcopy

    return train(
        deepcopy(member.network),
        member.data,
        member.options,
        AUGMENTATION,
        frozen=frozen,
        seed=member.seed,
        name=member.name,
        patch_pixels=PATCH,
    )


def assert_same(trained: Trained, expected: TrainingResult) -> None:
    assert state_sha256(trained.result.best_state) == state_sha256(expected.best_state)
    assert repr(trained.result.history) == repr(expected.history)
    assert trained.result.best_epoch == expected.best_epoch
    assert trained.result.gradient_flow.values.tobytes() == expected.gradient_flow.values.tobytes()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_member_is_trained_to_the_same_bytes_as_alone(frozen, precision):
    population = members(precision)
    before = [state_sha256(member.network.state_dict()) for member in population]
    results = train_population(population, AUGMENTATION, frozen=frozen, patch_pixels=PATCH)
    for member, trained in zip(population, results, strict=True):
        assert_same(trained, alone(member, frozen))
    assert [state_sha256(member.network.state_dict()) for member in population] == before


def test_members_are_told_apart_as_they_go():
    epochs: list[tuple[int, float]] = []
    told: list[int] = []
    results = train_population(
        members(),
        AUGMENTATION,
        frozen=False,
        patch_pixels=PATCH,
        on_epoch=lambda number, row: epochs.append((number, row["epoch"])),
        on_result=lambda number, trained: told.append(number),
    )
    assert epochs == [(member, epoch) for member in range(4) for epoch in (1, 2)]
    assert told == [0, 1, 2, 3]
    assert all(trained.seconds > 0 for trained in results)


def test_a_member_that_cannot_be_trained_stops_the_population_with_its_name():
    broken = members()[:2]
    nowhere = torch.full_like(broken[1].data.images, float("nan"))
    broken[1] = replace(broken[1], data=replace(broken[1].data, images=nowhere))
    with pytest.raises(TrainingError, match="The loss of b is nan"):
        train_population(broken, AUGMENTATION, frozen=False, patch_pixels=PATCH)


@pytest.fixture(scope="module")
def on_ray():
    with RayBackend(n_workers=2, prepare=partial(torch.set_num_threads, 1)) as backend:
        yield backend


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_ray_trains_to_the_same_bytes_and_tells_every_epoch(on_ray, frozen):
    epochs: list[tuple[int, float]] = []
    estimates: list[tuple[int, float, int, str]] = []
    population = members()
    results = train_population(
        population,
        AUGMENTATION,
        frozen=frozen,
        patch_pixels=PATCH,
        backend=on_ray,
        on_estimate=lambda *told: estimates.append(told),
        on_epoch=lambda number, row: epochs.append((number, row["epoch"])),
    )
    for member, trained in zip(population, results, strict=True):
        assert_same(trained, alone(member, frozen))
    assert sorted(epochs) == [(member, epoch) for member in range(4) for epoch in (1, 2)]
    # the last messages of a worker may be lost
    assert len(estimates) == len({(number, how) for number, _, _, how in estimates})
    assert all(
        seconds > 0 and left == {ON_ONE_BATCH: 2, ON_THE_FIRST_EPOCH: 1}[how] for _, seconds, left, how in estimates
    )


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_training_changes_no_byte(on_ray, tmp_path):
    def kill_once(network: LesionNetwork, folder: Path) -> dict[str, float]:
        if not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"target_train_auc": 0.5}

    population = members()
    population[1] = replace(population[1], probe=partial(kill_once, folder=tmp_path))
    results = train_population(population, AUGMENTATION, frozen=False, patch_pixels=PATCH, backend=on_ray)
    assert (tmp_path / "killed").exists()
    for number, (member, trained) in enumerate(zip(population, results, strict=True)):
        if number != 1:
            assert_same(trained, alone(member, frozen=False))
    expected = alone(replace(population[1], probe=None), frozen=False)
    assert state_sha256(results[1].result.best_state) == state_sha256(expected.best_state)


@pytest.mark.slow
def test_a_fault_on_a_worker_is_the_same_sentence(on_ray):
    broken = [replace(member, name=f"broken {n}") for n, member in enumerate(members()[:2])]
    nan = torch.full_like(broken[0].data.images, float("nan"))
    broken = [replace(member, data=replace(member.data, images=nan)) for member in broken]
    with pytest.raises(TrainingError, match=r"^The loss of broken \d is nan in epoch 1, batch 1"):
        train_population(broken, AUGMENTATION, frozen=False, patch_pixels=PATCH, backend=on_ray)
