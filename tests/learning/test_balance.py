"""Both classes weigh the same in an epoch, and nobody is drawn without a label."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesion_transfer.learning.balance import (
    draws_of_each_class,
    epoch_rows,
    labelled,
    undersampled_rows,
)
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.streams import torch_generator


@settings(max_examples=100, deadline=None)
@given(
    labels=st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=40).filter(lambda x: 0 in x and 1 in x),
    factor=st.floats(1, 7),
    seed=st.integers(0, 1000),
)
def test_class_counts_are_equal_and_the_factor_is_respected(labels: list[int], factor: float, seed: int) -> None:
    tensor = torch.tensor(labels)
    drawn = epoch_rows(tensor, torch.arange(len(labels)), factor, torch_generator(seed, "x"))
    n_each = round(factor * max(labels.count(0), labels.count(1)))
    for value in (0, 1):
        times = torch.bincount(drawn, minlength=len(labels))[tensor == value]
        assert times.sum() == n_each
        assert times.max() - times.min() <= 1
    assert not (tensor[drawn] == -1).any()


def test_the_smaller_class_is_drawn_three_times_as_often_at_three_to_one() -> None:
    labels = torch.tensor([0, 0, 0, 1, -1])
    drawn = epoch_rows(labels, torch.arange(5), 60.0, torch_generator(0, "x"))
    assert torch.bincount(drawn, minlength=5).tolist() == [60, 60, 60, 180, 0]


def test_only_the_given_rows_are_drawn_and_the_order_is_the_generators() -> None:
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    rows = torch.tensor([1, 2, 3])
    first, second = (epoch_rows(labels, rows, 4.0, torch_generator(7, "x")) for _ in range(2))
    assert set(first.tolist()) == {1, 2, 3}
    assert torch.equal(first, second)
    assert not torch.equal(first, epoch_rows(labels, rows, 4.0, torch_generator(8, "x")))
    assert not torch.equal(first, first.sort().values)


def test_one_class_alone_is_drawn_and_no_label_at_all_is_refused() -> None:
    rows = torch.arange(2)
    assert len(epoch_rows(torch.tensor([1, 1]), rows, 3.0, torch_generator(0, "x"))) == 6
    with pytest.raises(TrainingError, match="None of the training rows has a label"):
        epoch_rows(torch.tensor([-1, -1]), rows, 3.0, torch_generator(0, "x"))


def test_labelled_keeps_the_order() -> None:
    assert labelled(torch.tensor([0, -1, 1]), torch.tensor([2, 1, 0])).tolist() == [2, 0]


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.05, 4.0))
def test_undersampling_shows_as_many_of_each_class_as_the_factor_says(
    negatives: int, positives: int, factor: float
) -> None:
    labels = torch.tensor([0] * negatives + [1] * positives)
    rows = torch.arange(len(labels))
    drawn = undersampled_rows(labels, rows, factor, torch_generator(0, "x"))
    of_each = draws_of_each_class(labels, rows, factor, "undersampling")
    assert drawn.dtype == torch.int64
    assert torch.bincount(labels[drawn], minlength=2).tolist() == [of_each, of_each]
    assert of_each == max(1, round(factor * min(negatives, positives)))
    # no row again before every other of the smaller class has had its turn
    smaller = drawn[labels[drawn] == (0 if negatives <= positives else 1)]
    assert torch.bincount(smaller).max() - of_each // min(negatives, positives) <= 1
