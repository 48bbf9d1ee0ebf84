"""The grid of learning rates: every fold is validated on once, rates differ in the rate alone, the best mean wins."""

import math
from statistics import mean, stdev

import pytest
import torch

from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.grid import best_lr, grid, grid_row, summarise_grid
from lesion_transfer.learning.network import build_network
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions, TrainingOptions
from lesion_transfer.learning.population import Member, train_population
from lesion_transfer.learning.streams import torch_generator

OPTIONS = TrainingOptions(
    lr=1e-3,
    batch_size=8,
    dropout=0.1,
    epochs=1,
    augmentation_factor=1.0,
    augmentation_mode="bank",
    bank_copies=1,
    loss="cross_entropy",
    optimized_metric="auc",
    plateau_factor=1.0,
    plateau_patience=2,
    validation="plain",
    precision="float32",
)


def member(labels: list[int]) -> Member:
    n = len(labels)
    pixels = torch.randn(n, 1, 50, 50, generator=torch_generator(0, "images"))
    data = TrainingData(pixels, torch.tensor(labels), torch.arange(2, n), torch.arange(2))
    network = build_network(NetworkOptions(filters=[2, 2, 2], dense=[8, 4]), 1, 0.1, torch_generator(0, "n"), 36)
    return Member("phase", network, data, OPTIONS, seed=3, probe=lambda network: {})


def test_each_fold_is_validated_on_once_a_rate_and_the_validation_rows_are_not_touched():
    whole = member([0, 1] * 7)
    folds = torch.tensor([0, 1, 2] * 4)
    points = grid(whole, folds, [1e-3, 1e-4])
    assert [(point.lr, point.fold) for point in points] == [(lr, fold) for lr in (1e-3, 1e-4) for fold in (0, 1, 2)]
    for point in points:
        data = point.member.data
        assert sorted([*data.train_rows.tolist(), *data.validation_rows.tolist()]) == list(range(2, 14))
        assert point.member.options == OPTIONS.model_copy(update={"lr": point.lr})
        assert point.member.probe is None
        assert data.images is whole.data.images
    validated = [row for point in points[:3] for row in point.member.data.validation_rows.tolist()]
    assert sorted(validated) == list(range(2, 14))
    assert [point.member.name for point in points[:3]] == [point.member.name for point in points[3:]]
    assert len({point.member.name for point in points[:3]}) == 3


def test_a_row_says_what_was_trained_and_what_came_of_it():
    points = grid(member([0, 1, -1, 0, 1, 1, 0, 1, 0, 1]), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), [1e-3])
    results = train_population([point.member for point in points], AugmentationOptions(), frozen=True, patch_pixels=36)
    row = grid_row(points[0], results[0].result)
    assert (row["n_train"], row["n_validation"], row["n_validation_positive"]) == (4, 3, 2)
    assert row["best_epoch"] == 1
    assert row["validation_auc"] == results[0].result.history[0]["validation_auc"]
    assert not [name for name in row if name.startswith("train_")]
    stopped = grid_row(points[0], None, "too steep")
    assert list(stopped) == list(row)
    assert (row["stopped"], stopped["stopped"], stopped["n_validation"]) == ("", "too steep", 3)
    assert stopped["best_epoch"] is None
    assert math.isnan(stopped["validation_auc"])


def rows(aucs: dict[float, list[float]]) -> list[dict[str, float]]:
    return [
        {"lr": lr, "fold": k, "validation_auc": auc, "stopped": ""}
        for lr, all_ in aucs.items()
        for k, auc in enumerate(all_)
    ]


def test_the_best_mean_over_the_folds_wins():
    aucs = {1e-3: [0.9, 0.5, 0.6], 1e-4: [0.7, 0.7, 0.7], 1e-5: [0.5, 0.5, 0.8]}
    summary = summarise_grid(rows(aucs))
    assert [row["lr"] for row in summary] == list(aucs)
    for row in summary:
        assert row["mean_auc"] == pytest.approx(mean(aucs[row["lr"]]))
        assert row["sd_auc"] == pytest.approx(stdev(aucs[row["lr"]]))
        assert row["n_folds"] == 3
    assert best_lr(summary) == 1e-4


def test_ties_go_to_the_first_rate_and_undefined_means_lose():
    assert best_lr(summarise_grid(rows({1e-8: [0.6, 0.6], 1e-3: [0.6, 0.6]}))) == 1e-8
    summary = summarise_grid(rows({1e-8: [math.nan, math.nan], 1e-3: [math.nan, 0.2]}))
    assert [(row["mean_auc"], row["n_folds"]) for row in summary] == [(None, 0), (0.2, 1)]
    assert best_lr(summary) == 1e-3


def test_a_rate_at_which_one_fold_could_not_go_on_is_out_however_good_the_others_are():
    table = rows({1.0: [0.9, math.nan], 1e-3: [0.6, 0.6], 1e-4: [math.nan, math.nan]})
    table[1]["stopped"] = "too steep"
    summary = summarise_grid(table)
    assert [(row["mean_auc"], row["n_folds"], row["n_stopped"]) for row in summary] == [
        (None, 0, 1),
        (0.6, 2, 0),
        (None, 0, 0),
    ]
    assert best_lr(summary) == 1e-3
    assert best_lr([summary[0], summary[2]]) == 1e-4
    with pytest.raises(TrainingError, match=r"None of the rates in cv\.lrs"):
        best_lr(summary[:1])
