"""The global performance: the first decision maker on the current extractor."""

import pytest
import torch

from lesion_transfer.learning.metrics import METRICS
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions, TrainingOptions
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import TrainingData, state_copy, train
from lesion_transfer.transfer.phases import starting_network
from lesion_transfer.transfer.plan import Phase
from lesion_transfer.transfer.probe import target_probe

PATCH = 36
NETWORK = NetworkOptions(filters=[4, 4, 4], dense=[16, 8])
OPTIONS = TrainingOptions(
    lr=1e-2,
    batch_size=8,
    dropout=0.2,
    epochs=3,
    augmentation_factor=1.0,
    augmentation_mode="auto",
    bank_copies=2,
    loss="cross_entropy",
    optimized_metric="auc",
    plateau_factor=1.0,
    plateau_patience=2,
    validation="plain",
    precision="float32",
)


def data(name: str) -> TrainingData:
    images = torch.randn(16, 1, 50, 50, generator=torch_generator(0, name))
    labels = torch.tensor([0, 1, -1, 0] * 4)
    return TrainingData(images, labels, torch.arange(10), torch.arange(10, 16))


def network(seed: int) -> LesionNetwork:
    return build_network(NETWORK, 1, 0.2, torch_generator(seed, "network"), PATCH)


def test_it_scores_the_first_decision_maker_on_the_current_extractor() -> None:
    first, current, target = network(1), network(2).train(), data("target")
    before = state_copy(current)
    scores = target_probe(first, target, PATCH, "cross_entropy")(current)
    assert list(scores) == [f"target_{subset}_{metric}" for subset in ("train", "validation") for metric in METRICS]
    rows = torch.tensor([11, 12, 13, 15])  # row 10 and 14 have no label
    with torch.no_grad():
        current.eval()
        logits = first.decision_maker(current.feature_extractor(target.images[rows][:, :, 7:-7, 7:-7]))
        current.train()
    loss = torch.nn.functional.cross_entropy(logits, target.labels[rows]).item()
    assert scores["target_validation_loss"] == pytest.approx(loss, abs=1e-6)
    after = current.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_later_change_of_the_first_model_does_not_reach_it() -> None:
    first, current = network(1), network(2)
    probe = target_probe(first, data("target"), PATCH, "cross_entropy")
    before = probe(current)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    assert repr(probe(current)) == repr(before)


def test_on_its_own_extractor_it_is_the_models_own_score() -> None:
    first, target = network(1), data("target")
    result = train(
        first, target, OPTIONS, AugmentationOptions(), frozen=False, seed=0, name="ds1_full", patch_pixels=PATCH
    )
    first.load_state_dict(result.best_state)
    scores = target_probe(first, target, PATCH, "cross_entropy")(first)
    for metric in METRICS:
        expected = result.best_metrics[f"validation_{metric}"]
        assert scores[f"target_validation_{metric}"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_it_is_flat_in_a_frozen_phase_and_moves_in_a_full_one(precision: str) -> None:
    first, target = network(1), data("target")
    probe = target_probe(first, target, PATCH, "cross_entropy")
    options = OPTIONS.model_copy(update={"precision": precision})
    losses = {}
    for frozen in (True, False):
        phase = Phase("ds2", "brain", "ds1_full", "reset", frozen)
        start = starting_network(phase, first, None, NETWORK, torch_generator(0, "reset"), 0.2)
        result = train(
            start,
            data("brain"),
            options,
            AugmentationOptions(),
            frozen=frozen,
            seed=0,
            name="ds2",
            patch_pixels=PATCH,
            probe=probe,
        )
        losses[frozen] = [row["target_train_loss"] for row in result.history]
    assert len(set(losses[True])) == 1
    assert len(set(losses[False])) == 3
