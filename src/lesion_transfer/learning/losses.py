"""What a training makes small: the four losses of the thesis's table 5.1, from logits."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from lesion_transfer.learning.options import Loss

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""(logits (B, 2), labels (B,) int64) -> the mean loss, a scalar."""


def loss_function(name: Loss) -> LossFunction:
    """The loss of this name."""
    return partial(_LOSSES[name], reduction="mean")


def sample_losses(name: Loss) -> LossFunction:
    """The same loss of each sample, (B,), whose mean it is."""
    of_all = partial(_LOSSES[name], reduction="none")

    def of_each(logits: Tensor, labels: Tensor) -> Tensor:
        return of_all(logits, labels).view(len(labels), -1).mean(dim=1)

    return of_each


def _cross_entropy_on_softmax(logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
    # the thesis's code handed softmax outputs to CrossEntropyLoss, which takes the softmax again: never below 0.313
    return functional.cross_entropy(functional.softmax(logits, dim=1), labels, reduction=reduction)


def _l1(logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
    return functional.l1_loss(functional.softmax(logits, dim=1), _one_hot(logits, labels), reduction=reduction)


def _mse(logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
    return functional.mse_loss(functional.softmax(logits, dim=1), _one_hot(logits, labels), reduction=reduction)


def _one_hot(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.one_hot(labels, logits.shape[1]).to(logits.dtype)


_LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "cross_entropy_on_softmax": _cross_entropy_on_softmax,
    "l1": _l1,
    "mse": _mse,
}
