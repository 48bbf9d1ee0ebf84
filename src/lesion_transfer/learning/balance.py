"""Which rows an epoch shows, so that both classes weigh the same (thesis 5.2.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.options import Balance

NO_LABEL = "None of the training rows has a label, so there is nothing to learn from."


def labelled(labels: Tensor, rows: Tensor) -> Tensor:
    """Those of `rows` whose label is known (not -1), in their order."""
    return rows[labels[rows] >= 0]


def epoch_rows(labels: Tensor, rows: Tensor, factor: float, generator: torch.Generator) -> Tensor:
    """The rows (N,) of one epoch, shuffled: both classes are drawn round(factor * n_large) times.

    labels: (n,) int64, 0, 1 or -1 (unknown: never drawn). rows: (m,) int64 indices into labels. Each row of a class is
    drawn equally often; the remainder is drawn at random without replacement. With one class only, that class is drawn.
    Raises TrainingError where no row has a label.
    """
    classes = [members for members in _by_class(labels, rows) if len(members)]
    if not classes:
        raise TrainingError(NO_LABEL)
    n_draws = draws_of_each_class(labels, rows, factor, "augmentation")
    drawn = torch.cat([_drawn_equally(members, n_draws, generator) for members in classes])
    return drawn[torch.randperm(len(drawn), generator=generator)]


def undersampled_rows(labels: Tensor, rows: Tensor, factor: float, generator: torch.Generator) -> Tensor:
    """The rows (N,) of one epoch in `factor` rounds: in each all of the smaller class and as many of the larger.

    A factor that is no whole number ends with a round of a part of both. With a factor of 1 it is what the thesis tried
    first and left, for too little data remained (5.2.1). Raises TrainingError where a class is missing.
    """
    classes = _by_class(labels, rows)
    smaller = min(len(members) for members in classes)
    if not smaller:
        raise TrainingError("balance is undersampling, but the training rows are of one class: none would be left.")
    rounds, rest = divmod(draws_of_each_class(labels, rows, factor, "undersampling"), smaller)
    sizes = [smaller] * rounds + [rest] * (rest > 0)
    return torch.cat([_as_many_of_each(classes, n, generator) for n in sizes])


def draws_of_each_class(labels: Tensor, rows: Tensor, factor: float, balance: Balance) -> int:
    """How many rows of each class an epoch shows, at least one: of the larger or, undersampled, the smaller class."""
    sizes = [len(members) for members in _by_class(labels, rows)]
    return max(1, round(factor * (max(sizes) if balance == "augmentation" else min(sizes))))


def _by_class(labels: Tensor, rows: Tensor) -> list[Tensor]:
    """The negative and the positive rows."""
    return [rows[labels[rows] == value] for value in (0, 1)]


def _as_many_of_each(classes: Sequence[Tensor], n: int, generator: torch.Generator) -> Tensor:
    """n rows of each class, shuffled."""
    parts = [members[torch.randperm(len(members), generator=generator)[:n]] for members in classes]
    drawn = torch.cat(parts)
    return drawn[torch.randperm(len(drawn), generator=generator)]


def _drawn_equally(members: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
    """n_draws of `members`: each n_draws // len times, and as many others as are left over, each once more at most."""
    times, remainder = divmod(n_draws, len(members))
    once_more = torch.randperm(len(members), generator=generator)[:remainder]
    return torch.cat([members.repeat(times), members[once_more]])
