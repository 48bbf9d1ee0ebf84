"""Decision makers trained side by side get what they would get alone, but for rounding; killed ones go on."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lesion_transfer.learning.alarm import PATIENCE
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.grid import grid
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, NetworkOptions, TrainingOptions
from lesion_transfer.learning.population import Member, Trained, train_population
from lesion_transfer.learning.resume import StatePlace, load_state
from lesion_transfer.learning.stacked import reason_to_train_alone, stacks
from lesion_transfer.learning.stacked_update import StackedUpdate
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.updates import WeightUpdate

PATCH = 36
CPU = torch.device("cpu")
OPTIONS = TrainingOptions(
    lr=1e-2,
    batch_size=8,
    dropout=0.2,
    epochs=6,
    augmentation_factor=2.0,
    augmentation_mode="auto",
    bank_copies=3,
    loss="cross_entropy",
    optimized_metric="auc_and_balanced_accuracy",
    plateau_factor=0.1,
    plateau_patience=1,
    validation="plain",
    precision="float64",
)


def images(n: int = 40) -> TrainingData:
    pixels = torch.randn(n, 1, 46, 46, generator=torch_generator(0, "images"))
    labels = torch.arange(n) % 2
    pixels[labels == 1, :, 15:30, 15:30] += 0.5
    return TrainingData(pixels, labels, torch.arange(28), torch.arange(28, n))


def start(k: int, dropout_after_dense: tuple[int, ...] = (1, 2)) -> LesionNetwork:
    """With dropout in the decision maker, too."""
    options = NetworkOptions(filters=[2, 2, 2], dense=[8, 6, 4], dropout_after_dense=list(dropout_after_dense))
    return build_network(options, 1, 0.2, torch_generator(k, "start"), PATCH)


def members(**changed: object) -> list[Member]:
    """Five that differ in start, rows (so in batches), rate, dropout, epochs, patience, seed; two share their draws."""
    data, options = images(), OPTIONS.model_copy(update=changed)
    return [
        Member("a", start(0), data, options, seed=0, stack="all"),
        Member("a", start(0), data, options.model_copy(update={"lr": 1e-3, "dropout": 0.5}), seed=0, stack="all"),
        Member("b", start(1), replace(data, train_rows=torch.arange(9, 28)), options, seed=1, stack="all"),
        Member("c", start(2), data, options.model_copy(update={"epochs": 3, "dropout": 0.0}), seed=2, stack="all"),
        Member("d", start(3), data, options.model_copy(update={"early_stopping_patience": 1}), seed=3, stack="all"),
    ]


def trained(population: list[Member], stacked: bool, **more: object) -> list[Trained]:
    asked = population if stacked else [replace(member, stack=None) for member in population]
    return train_population(asked, AugmentationOptions(), frozen=True, patch_pixels=PATCH, **more)


def assert_close(side_by_side: list[Trained], alone: list[Trained], rtol: float, atol: float) -> None:
    for one, other in zip(side_by_side, alone, strict=True):
        assert one.result.best_epoch == other.result.best_epoch
        assert one.result.gradient_flow.layers == other.result.gradient_flow.layers
        assert one.result.gradient_flow.epochs.tolist() == other.result.gradient_flow.epochs.tolist()
        np.testing.assert_allclose(one.result.gradient_flow.values, other.result.gradient_flow.values, rtol, atol)
        for row, expected in zip(one.result.history, other.result.history, strict=True):
            assert list(row) == list(expected)
            np.testing.assert_allclose(list(row.values()), list(expected.values()), rtol, atol)
        for name, tensor in other.result.best_state.items():
            torch.testing.assert_close(one.result.best_state[name], tensor, rtol=rtol, atol=atol)


@pytest.mark.parametrize("loss", ["cross_entropy", "cross_entropy_on_softmax", "l1", "mse"])
def test_float64_agrees_to_1e_10_with_training_alone(loss: str) -> None:
    population = members(loss=loss)
    assert stacks(population, True, CPU) == [[0, 1, 2, 3, 4]]
    side_by_side, alone = trained(population, True), trained(population, False)
    # gradient statistics are kept as float32
    assert_close(side_by_side, alone, rtol=1e-6, atol=1e-9)
    for one, other in zip(side_by_side, alone, strict=True):
        for name, tensor in other.result.best_state.items():
            torch.testing.assert_close(one.result.best_state[name], tensor, rtol=1e-10, atol=1e-10)
        for row, expected in zip(one.result.history, other.result.history, strict=True):
            np.testing.assert_allclose(list(row.values()), list(expected.values()), 1e-10, 1e-10)
    lengths = [len(one.result.history) for one in alone]
    assert lengths[3] == 3
    assert lengths[4] < lengths[0] == 6, "early stopping ends one while the others go on"
    assert len({row["lr"] for row in alone[2].result.history}) > 1, "the plateau lowers the rate of one"


@pytest.mark.parametrize("precision", ["float32", "compensated"])
def test_float32_agrees_to_one_in_ten_thousand(precision: str) -> None:
    population = [
        replace(member, options=member.options.model_copy(update={"lr": member.options.lr / 10}))
        for member in members(precision=precision)
    ]
    assert_close(trained(population, True), trained(population, False), rtol=1e-3, atol=1e-4)


def test_a_grid_shares_the_features_of_a_fold_and_repeats_to_the_byte() -> None:
    member = Member("phase", start(0), images(), OPTIONS, seed=1, stack="all")
    points = [point.member for point in grid(member, torch.arange(28) % 3, [1e-2, 1e-3])]
    first, second = trained(points, True), trained(points, True)
    for one, other in zip(first, second, strict=True):
        assert repr(one.result.history) == repr(other.result.history)
        assert one.result.gradient_flow.values.tobytes() == other.result.gradient_flow.values.tobytes()
    assert_close(first, trained(points, False), rtol=1e-6, atol=1e-9)


class KilledError(Exception):
    """Stands for a signal."""


@pytest.mark.parametrize("precision", ["float32", "compensated"])
def test_a_killed_stack_goes_on_to_the_same_bytes(tmp_path: Path, precision: str) -> None:
    population = members(precision=precision)
    expected = trained(population, True)
    kept = [
        replace(member, place=StatePlace(tmp_path / str(number), f"fingerprint {number}"))
        for number, member in enumerate(population)
    ]

    def killed_within_an_epoch(number: int, row: dict[str, float]) -> None:
        if number == 1 and row["epoch"] == 2:
            raise KilledError

    with contextlib.suppress(KilledError):
        trained(kept, True, on_epoch=killed_within_an_epoch)
    epochs = [load_state(tmp_path / str(number), f"fingerprint {number}") for number in range(5)]
    assert [state.epoch for state in epochs if state] == [2, 1, 1, 1, 1], "members are at different epochs"
    for one, other in zip(trained(kept, True), expected, strict=True):
        assert repr(one.result.history) == repr(other.result.history)
        assert one.result.gradient_flow.values.tobytes() == other.result.gradient_flow.values.tobytes()
        for name, tensor in other.result.best_state.items():
            assert torch.equal(one.result.best_state[name], tensor)


def test_the_start_is_left_as_it_is_and_everyone_is_told_in_order() -> None:
    population, rows, estimates = members(epochs=2), [], []
    before = [{name: tensor.clone() for name, tensor in m.network.state_dict().items()} for m in population]
    results = trained(
        population,
        True,
        on_epoch=lambda number, row: rows.append((row["epoch"], number)),
        on_estimate=lambda number, seconds, left, how: estimates.append((number, seconds > 0, left)),
    )
    assert rows == sorted(rows)
    before_any = [(0, True, 2), (1, True, 2), (2, True, 2), (3, True, 3), (4, True, 2)]
    assert estimates == before_any + [(number, sure, left - 1) for number, sure, left in before_any]
    for member, tensors, one in zip(population, before, results, strict=True):
        for name, tensor in tensors.items():
            assert torch.equal(member.network.state_dict()[name], tensor)
            if name.startswith("feature_extractor"):
                assert torch.equal(one.result.best_state[name].to(tensor), tensor)


def test_an_estimate_leaves_no_trace() -> None:
    population = members(precision="float32", epochs=2)
    plain = trained(population, True)
    estimated = trained(population, True, on_estimate=lambda *_: None)
    assert [repr(one.result.history) for one in plain] == [repr(one.result.history) for one in estimated]


def test_what_cannot_be_stacked_is_trained_alone_and_says_why() -> None:
    member = members()[0]
    live = replace(member, options=OPTIONS.model_copy(update={"augmentation_mode": "live"}))
    other = replace(member, options=OPTIONS.model_copy(update={"precision": "float32"}))
    assert stacks([member, live, other, member], True, CPU) == [[0, 3], [1], [2]]
    assert stacks([member, replace(member, stack="other"), replace(member, stack=None)], True, CPU) == [[0], [1], [2]]
    assert "live" in (reason_to_train_alone(live, True, CPU) or "")
    assert "not frozen" in (reason_to_train_alone(member, False, CPU) or "")
    assert "dropout" in (reason_to_train_alone(member, True, torch.device("cuda")) or "")
    assert reason_to_train_alone(replace(member, network=start(0, ())), True, torch.device("cuda")) is None
    normed = start(0)
    normed.decision_maker.add_module("norm", torch.nn.BatchNorm1d(2))
    assert "BatchNorm1d" in (reason_to_train_alone(replace(member, network=normed), True, CPU) or "")


def test_calm_batches_between_small_gradients_are_no_alarm_as_they_are_none_alone() -> None:
    population, limits = members()[:2], GradientLimits(vanishing=0.12)
    alone = trained(population, False, limits=limits)
    for one in alone:
        largest = one.result.gradient_flow.values[:, :, 1]
        small = largest <= 0.12 * largest.max(axis=1, keepdims=True)
        assert small.sum(axis=0).max() > PATIENCE, "small for more batches than are let pass in a row"
    assert_close(trained(population, True, limits=limits), alone, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("precision", "lost"), [("float32", 0.5), ("compensated", 0.0)])
def test_a_number_without_a_gradient_is_not_lost_as_it_is_not_alone(precision: str, lost: float) -> None:
    weights, gradient = torch.tensor([1.0, 1.0, 1e-3, 1e-3, 1.0]), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    alone, *stacked = (WeightUpdate([torch.nn.Parameter(weights.clone())], 1e-8, precision) for _ in range(3))
    alone.parameters[0].grad = gradient.clone()
    shares = StackedUpdate(stacked).measured_step(gradient.repeat(2, 1), [True, True])
    assert shares == [alone.measured_step()] * 2 == [lost] * 2


def test_an_alarm_names_the_member_and_its_epoch() -> None:
    with pytest.raises(TrainingError, match=r"a, epoch 1, batch 1: the gradient of .* explodes"):
        trained(members(), True, limits=GradientLimits(exploding=1e-9))
    hopeless = [
        replace(member, options=member.options.model_copy(update={"lr": 1e200})) if member.name == "b" else member
        for member in members()
    ]
    with pytest.raises(TrainingError, match=r"of b is nan|b, epoch"):
        trained(hopeless, True)


def with_steep_member() -> list[Member]:
    """Those of `members`; the third takes such steps that its gradients vanish after some epochs."""
    population = members(precision="compensated")
    population[2] = replace(population[2], options=population[2].options.model_copy(update={"lr": 3.0}))
    return population


@pytest.mark.parametrize("stacked", [True, False])
def test_who_cannot_go_on_stops_alone_where_that_is_asked_for(stacked: bool) -> None:
    population, stops, told, done = with_steep_member(), {}, [], []
    with pytest.raises(TrainingError, match=r"b, epoch \d, batch \d: the gradient of .* has vanished"):
        trained(population, stacked)
    results = trained(
        population,
        stacked,
        on_stopped=stops.__setitem__,
        on_epoch=lambda number, row: told.append((number, row["epoch"])),
        on_result=lambda number, _: done.append(number),
    )
    assert list(stops) == [2]
    assert done == [0, 1, 3, 4]
    learnt = [row["epoch"] for row in stops[2].history]
    assert learnt == list(range(1, len(learnt) + 1))
    assert 0 < len(learnt) < 6
    assert stops[2].reason.startswith(f"b, epoch {len(learnt) + 1}, batch ")
    assert [epoch for number, epoch in told if number == 2] == learnt
    alone = trained([member for member in population if member.name != "b"], False)
    assert_close(results, alone, rtol=1e-3, atol=1e-4)


def test_a_stack_that_one_has_left_is_killed_and_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    population, stops = with_steep_member(), []
    expected = trained(population, True, on_stopped=lambda _, stopped: stops.append(stopped))
    kept = [
        replace(member, place=StatePlace(tmp_path / str(number), str(number)))
        for number, member in enumerate(population)
    ]

    def killed(number: int, row: dict[str, float]) -> None:
        if number == 1 and row["epoch"] == 6:
            raise KilledError

    with contextlib.suppress(KilledError):
        trained(kept, True, on_epoch=killed, on_stopped=lambda *_: None)
    results = trained(kept, True, on_stopped=lambda _, stopped: stops.append(stopped))
    assert [stopped.reason for stopped in stops] == [stops[0].reason] * 2
    assert repr(stops[0].history) == repr(stops[1].history)
    for one, other in zip(results, expected, strict=True):
        assert repr(one.result.history) == repr(other.result.history)
        for name, tensor in other.result.best_state.items():
            assert torch.equal(one.result.best_state[name], tensor)


def test_who_cannot_begin_is_told_as_alone_and_reaches_nobody_else() -> None:
    """nan in the first row of the first, which pads nobody's batch but its own; one class; outputs that are nan."""
    population = members()[:4]
    spoilt = population[0].data.images.clone()
    spoilt[population[0].data.train_rows[0]] = float("nan")
    population[0] = replace(population[0], data=replace(population[0].data, images=spoilt))
    data = population[1].data
    options = population[1].options.model_copy(update={"balance": "undersampling"})
    population[1] = replace(
        population[1],
        options=options,
        data=replace(data, train_rows=data.train_rows[data.labels[data.train_rows] == 0]),
    )
    broken = start(2)
    with torch.no_grad():
        next(broken.decision_maker.parameters()).fill_(float("nan"))
    population[3] = replace(population[3], network=broken)
    for estimated in (None, lambda *_: None):
        reasons: list[dict[int, str]] = []
        for stacked in (True, False):
            stops: dict[int, str] = {}
            results = trained(
                population,
                stacked,
                on_estimate=estimated,
                on_stopped=lambda number, stopped, stops=stops: stops.__setitem__(number, stopped.reason),
            )
            assert [one.result.history[0]["epoch"] for one in results] == [1]
            reasons.append(stops)
        assert set(reasons[0]) == set(reasons[1]) == {0, 1, 3}
        assert reasons[0][1] == reasons[1][1]
