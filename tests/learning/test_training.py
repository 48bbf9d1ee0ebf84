"""A training from start to end: it learns, repeats itself byte for byte, and keeps its promises about frozen parts."""

from typing import Any

import pytest
import torch

from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.estimate import ON_ONE_BATCH, ON_THE_FIRST_EPOCH
from lesion_transfer.learning.metrics import METRICS
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, NetworkOptions, TrainingOptions
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import TrainingData, TrainingResult, state_copy, train

PATCH = 36
AUGMENTATION = AugmentationOptions()
NETWORK = NetworkOptions(filters=[4, 4, 4], dense=[16, 8])
OPTIONS = TrainingOptions(
    lr=1e-3,
    batch_size=16,
    dropout=0.2,
    epochs=2,
    augmentation_factor=2.0,
    augmentation_mode="auto",
    bank_copies=3,
    loss="cross_entropy",
    optimized_metric="auc_and_balanced_accuracy",
    plateau_factor=0.01,
    plateau_patience=2,
    validation="plain",
    precision="float32",
)


def blobs(n: int = 40, patch: int = PATCH, margin: int = 7) -> TrainingData:
    """Noise with a bright dot in the centre, twice as bright in the positives, 1 positive of 4."""
    generator = torch_generator(0, "blobs")
    side = patch + 2 * margin
    place = torch.arange(side) - (side - 1) / 2
    dot = torch.exp(-(place[:, None] ** 2 + place**2) / (2 * 4.0**2))
    labels = torch.arange(n) % 4 == 0
    images = torch.randn(n, 1, side, side, generator=generator) + (1 + 2 * labels[:, None, None, None]) * dot
    rows = torch.arange(n)
    return TrainingData(images, labels.long(), rows[: n * 3 // 5], rows[n * 3 // 5 :])


def network() -> LesionNetwork:
    return build_network(NETWORK, 1, 0.2, torch_generator(0, "network"), PATCH)


def run(model: LesionNetwork | None = None, data: TrainingData | None = None, **changes: Any) -> TrainingResult:
    arguments = {"frozen": False, "seed": 0, "name": "phase", "patch_pixels": PATCH, "on_epoch": None, "probe": None}
    arguments |= {"limits": GradientLimits(), "on_estimate": None}
    arguments |= {key: changes.pop(key) for key in list(changes) if key in arguments}
    options = OPTIONS.model_copy(update=changes)
    return train(model or network(), data or blobs(), options, AUGMENTATION, **arguments)


def same(result: TrainingResult, other: TrainingResult) -> bool:
    return state_sha256(result.best_state) == state_sha256(other.best_state)


def test_blobs_of_different_contrast_are_learnt_at_the_size_of_the_thesis() -> None:
    model = build_network(NetworkOptions(filters=[4, 4, 4]), 1, 0.1, torch_generator(0, "network"))
    data = blobs(60, patch=65, margin=10)
    result = train(
        model,
        data,
        OPTIONS.model_copy(update={"lr": 3e-3, "epochs": 6, "dropout": 0.1}),
        AUGMENTATION,
        frozen=False,
        seed=0,
        name="toy",
    )
    assert result.best_metrics["validation_auc"] > 0.9


@pytest.mark.parametrize("frozen", [False, True])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(frozen: bool) -> None:
    torch.manual_seed(1)
    first = run(frozen=frozen)
    torch.manual_seed(2)
    second = run(frozen=frozen)
    assert same(first, second)
    assert repr(first.history) == repr(second.history)
    assert first.gradient_flow.values.tobytes() == second.gradient_flow.values.tobytes()
    assert not same(first, run(frozen=frozen, seed=1))
    assert not same(first, run(frozen=frozen, name="other"))


def test_a_callback_that_draws_random_numbers_changes_nothing() -> None:
    assert same(
        run(epochs=3, optimized_metric="auc"), run(epochs=3, optimized_metric="auc", on_epoch=lambda _: torch.rand(5))
    )


def test_the_global_generator_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    run()
    assert torch.equal(before, torch.get_rng_state())


def test_a_history_row_has_every_score_and_on_epoch_gets_it() -> None:
    seen: list[dict[str, float]] = []
    result = run(on_epoch=seen.append, probe=lambda _: {"target_train_auc": 0.5})
    names = [f"{subset}_{metric}" for subset in ("train", "validation") for metric in METRICS]
    assert list(result.history[0]) == [
        *("epoch", "lr", "lost_update_share", "moved_weight_share"),
        *names,
        "target_train_auc",
    ]
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert seen == result.history
    assert result.best_metrics == result.history[result.best_epoch - 1]


def test_gradients_are_noted_for_every_batch() -> None:
    flow = run().gradient_flow
    # 18 negatives of 24 training rows, twice: 36 of each class, in 5 batches of 16 or less
    assert flow.values.shape == (10, len(flow.layers), 3)
    assert flow.epochs.tolist() == [1] * 5 + [2] * 5
    assert flow.layers[0] == "feature_extractor.conv1_1.weight"
    assert flow.values[:, :, 1].min() > 0


@pytest.mark.parametrize("mode", ["auto", "live", "bank"])
def test_frozen_leaves_every_parameter_and_buffer_of_the_extractor(mode: str) -> None:
    model = network()
    before = state_copy(model)
    after = run(model, frozen=True, augmentation_mode=mode, lr=0.1).best_state
    unchanged = {name: torch.equal(before[name], after[name]) for name in before}
    assert all(equal == name.startswith("feature_extractor.") for name, equal in unchanged.items())


def test_full_moves_the_extractor_its_statistics_included() -> None:
    model = network()
    before = state_copy(model)
    after = run(model).best_state
    assert not any(torch.equal(before[name], after[name]) for name in before)


def test_a_full_phase_after_a_frozen_one_trains_the_extractor_again() -> None:
    model = network()
    run(model, frozen=True)
    before = state_copy(model)
    run(model)
    name = "feature_extractor.conv1_1.weight"
    assert not torch.equal(before[name], model.state_dict()[name])


def test_a_frozen_extractor_feeds_no_dropout_to_the_decision_maker() -> None:
    assert same(
        run(frozen=True, dropout=0.9, augmentation_mode="live"), run(frozen=True, dropout=0.0, augmentation_mode="live")
    )


def test_frozen_scores_equal_those_of_the_whole_network() -> None:
    model = network()
    result = run(model, frozen=True, epochs=1)
    model.load_state_dict(result.best_state)
    data = blobs()
    model.eval()
    crop = data.images[data.validation_rows][:, :, 7:-7, 7:-7]
    loss = torch.nn.functional.cross_entropy(model(crop), data.labels[data.validation_rows]).item()
    assert result.history[0]["validation_loss"] == pytest.approx(loss, abs=1e-6)


def test_the_probe_is_asked_once_when_frozen_and_every_epoch_otherwise() -> None:
    calls: list[int] = []

    def probe(_: LesionNetwork) -> dict[str, float]:
        calls.append(1)
        return {"target_train_auc": float(len(calls))}

    frozen = run(frozen=True, probe=probe, epochs=3)
    assert [row["target_train_auc"] for row in frozen.history] == [1, 1, 1]
    full = run(probe=probe, epochs=3)
    assert [row["target_train_auc"] for row in full.history] == [2, 3, 4]


def test_at_1e_8_float32_loses_updates_that_compensated_keeps() -> None:
    gamma = "feature_extractor.norm1_1.weight"
    lost = run(lr=1e-8, plateau_factor=1.0)
    kept = run(lr=1e-8, plateau_factor=1.0, precision="compensated", epochs=10, optimized_metric="recall")
    assert (lost.best_state[gamma] == 1).all()
    assert lost.history[0]["lost_update_share"] > 0
    assert 0 < lost.history[0]["moved_weight_share"] < 1
    assert kept.history[0]["lost_update_share"] < 1e-3
    assert (kept.best_state[gamma] != 1).any()
    assert kept.best_state[gamma].dtype == torch.float32


def test_float64_trains_and_returns_float64_and_a_later_float32_phase_takes_it() -> None:
    model = network()
    result = run(model, precision="float64")
    assert result.best_state["decision_maker.dense2.weight"].dtype == torch.float64
    assert run(model).best_state["decision_maker.dense2.weight"].dtype == torch.float32


def test_the_thesis_way_of_validating_scores_balanced_copies() -> None:
    plain, augmented = run(), run(validation="augmented_balanced")
    # at half positives accuracy and balanced accuracy are one number
    row = augmented.history[0]
    assert row["validation_accuracy"] == pytest.approx(row["validation_balanced_accuracy"])
    assert row["validation_loss"] != plain.history[0]["validation_loss"]
    assert row["train_loss"] == plain.history[0]["train_loss"]


def test_rows_of_unknown_label_neither_train_nor_score() -> None:
    data = blobs()
    labels, images = data.labels.clone(), data.images.clone()
    labels[[1, 30]] = -1
    known = TrainingData(images, labels, data.train_rows, data.validation_rows)
    images = images.clone()
    images[[1, 30]] = 1e6
    assert same(run(data=known), run(data=TrainingData(images, labels, data.train_rows, data.validation_rows)))


def test_without_validation_rows_the_last_epoch_is_kept() -> None:
    data = blobs()
    everything = TrainingData(data.images, data.labels, torch.arange(40), torch.arange(0))
    for frozen in (False, True):
        assert run(data=everything, frozen=frozen).best_epoch == 2


def test_a_loss_that_is_not_finite_stops_with_epoch_and_batch() -> None:
    data = blobs()
    images = data.images.clone()
    images[data.train_rows] = float("nan")
    with pytest.raises(
        TrainingError, match=r"The loss of phase is nan in epoch 1, batch 1, at a learning rate of 0\.001"
    ):
        run(data=TrainingData(images, data.labels, data.train_rows, data.validation_rows))


@pytest.mark.parametrize("loss", ["cross_entropy_on_softmax", "l1", "mse"])
def test_every_loss_trains(loss: str) -> None:
    assert not same(run(loss=loss, epochs=1), run(epochs=1))


def test_the_learning_rate_falls_on_a_plateau_and_the_history_shows_it() -> None:
    result = run(lr=1e-8, epochs=5, plateau_patience=1)
    rates = [row["lr"] for row in result.history]
    assert rates[0] == 1e-8
    assert rates[-1] < 1e-9


def test_the_plateau_rule_watches_the_metric_that_the_options_name() -> None:
    def rates(metric: str) -> list[float]:
        # the loss rises while BatchNorm's statistics settle and falls from the fifth epoch on
        changes = {"epochs": 8, "plateau_patience": 3, "lr": 1e-3, "dropout": 0.0}
        return [row["lr"] for row in run(plateau_metric=metric, **changes).history]

    by_loss = run(epochs=6, plateau_patience=0, plateau_metric="loss", lr=1e-2)
    best, expected, rate = float("inf"), [], 1e-2
    for row in by_loss.history:
        expected.append(rate)
        # torch's rule: better means lower by a ten-thousandth at least
        if row["validation_loss"] < best * (1 - 1e-4):
            best = row["validation_loss"]
        else:
            rate *= 0.01
    assert [row["lr"] for row in by_loss.history] == pytest.approx(expected)
    assert rates("loss") != rates("recall")


def test_the_learning_rate_falls_by_the_validation_rows_however_well_the_training_rows_are_told_apart() -> None:
    data = blobs()
    labels = data.labels.clone()
    labels[data.validation_rows] = 1 - labels[data.validation_rows]
    against = TrainingData(data.images, labels, data.train_rows, data.validation_rows)
    history = run(data=against, epochs=4, dropout=0.0, plateau_patience=0, plateau_factor=0.5).history
    train, validation = ([row[f"{subset}_auc"] for row in history] for subset in ("train", "validation"))
    assert train == sorted(set(train)), "it learns all the time"
    assert max(validation) == validation[0], "and never gets better for the other rows"
    assert [row["lr"] for row in history] == [1e-3, 1e-3, 5e-4, 2.5e-4]


def test_early_stopping_ends_after_so_many_epochs_without_progress_and_zero_is_off() -> None:
    # a learning rate that moves nothing: the first epoch stays the best
    idle = {"epochs": 6, "frozen": True, "lr": 1e-30, "plateau_factor": 1.0}
    assert len(run(**idle).history) == 6
    assert len(run(**idle, early_stopping_patience=2).history) == 3
    assert len(run(**idle, early_stopping_patience=6).history) == 6
    learning = run(epochs=6, lr=1e-2, early_stopping_patience=2, optimized_metric="auc")
    scores = [row["validation_auc"] for row in learning.history]
    bettered = max(n for n, score in enumerate(scores, start=1) if all(score > other for other in scores[: n - 1]))
    assert len(scores) == min(6, bettered + 2)


def test_without_validation_rows_nothing_stops_early() -> None:
    data = blobs()
    everything = TrainingData(data.images, data.labels, torch.arange(40), torch.arange(0))
    assert len(run(data=everything, epochs=3, early_stopping_patience=1).history) == 3


def test_undersampling_trains_on_as_many_of_both_classes() -> None:
    result = run(balance="undersampling", augmentation_factor=1.0, batch_size=4, epochs=1)
    # 6 positives of 24 training rows: 12 rows an epoch, in 3 batches
    assert len(result.gradient_flow.values) == 3
    data = blobs()
    negatives = TrainingData(data.images, data.labels * 0, data.train_rows, data.validation_rows)
    with pytest.raises(TrainingError, match="one class"):
        run(data=negatives, balance="undersampling")


@pytest.mark.parametrize("frozen", [False, True])
def test_an_estimate_of_the_time_leaves_no_trace(frozen: bool) -> None:
    told: list[tuple[float, int, str]] = []
    assert same(run(frozen=frozen), run(frozen=frozen, on_estimate=lambda *all_: told.append(all_)))
    assert [(epochs, how) for _, epochs, how in told] == [(2, ON_ONE_BATCH), (1, ON_THE_FIRST_EPOCH)]
    assert all(0 < seconds < 600 for seconds, _, _ in told)


def test_a_gradient_beyond_the_limits_stops_before_the_step() -> None:
    model = network()
    before = state_copy(model)
    with pytest.raises(TrainingError, match=r"phase, epoch 1, batch 1: the gradient of \S+weight explodes"):
        run(model, limits=GradientLimits(exploding=1e-9))
    weights = [name for name, _ in model.named_parameters()]
    assert all(torch.equal(before[name], model.state_dict()[name]) for name in weights)


def test_a_dead_layer_stops_the_training_and_is_named() -> None:
    model = network()
    with torch.no_grad():
        model.decision_maker.dense3.weight.zero_()
    with pytest.raises(TrainingError, match=r"batch 10: the gradient of decision_maker.dense2.weight has vanished"):
        run(model, lr=1e-30, precision="float64", batch_size=4)
    assert run(model, lr=1e-30, batch_size=4, limits=GradientLimits(vanishing=None)).history


def test_weights_that_an_epoch_has_blown_up_are_refused_in_words() -> None:
    """One batch an epoch: its loss is finite, what comes out afterwards is not."""
    with pytest.raises(TrainingError, match="The loss of phase is nan after epoch 1, at a learning rate of 1e\\+30"):
        run(lr=1e30, batch_size=1000, precision="float32")


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("precision", ["float32", "compensated"])
def test_bfloat16_arithmetic_learns_nearly_the_same_repeats_itself_and_keeps_float32_weights(
    frozen: bool, precision: str
) -> None:
    exact, result, again = (
        run(frozen=frozen, precision=precision, autocast=autocast, epochs=3)
        for autocast in ("off", "bfloat16", "bfloat16")
    )
    assert same(result, again)
    assert repr(result.history) == repr(again.history)
    assert {tensor.dtype for tensor in result.best_state.values()} == {torch.float32, torch.int64}
    losses, exact_losses = ([row["train_loss"] for row in one.history] for one in (result, exact))
    assert losses != exact_losses
    assert losses == pytest.approx(exact_losses, rel=0.05)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_start_whose_outputs_are_not_finite_is_refused_with_the_phase(frozen: bool) -> None:
    model = network()
    with torch.no_grad():
        next(model.decision_maker.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="outputs of phase are nan or infinite before its first step"):
        run(model, frozen=frozen, on_estimate=lambda *_: None)


@pytest.mark.parametrize("frozen", [False, True])
def test_without_a_labelled_row_there_is_nothing_to_learn_from(frozen: bool) -> None:
    data = blobs()
    data.labels[data.train_rows] = -1
    with pytest.raises(TrainingError, match="None of the training rows has a label"):
        run(data=data, frozen=frozen)


def test_a_dropout_of_nearly_one_trains() -> None:
    assert len(run(dropout=1 - 1e-9, limits=GradientLimits(vanishing=None)).history) == 2


def test_bfloat16_contradicts_float64() -> None:
    with pytest.raises(ValueError, match="contradict"):
        TrainingOptions(**OPTIONS.model_dump() | {"autocast": "bfloat16", "precision": "float64"})
