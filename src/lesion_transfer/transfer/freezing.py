"""The proof that a frozen extractor is what it was: every parameter and every buffer, not only what has a gradient."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.transfer.errors import FrozenError

PREFIX = "feature_extractor."

Model = LesionNetwork | Mapping[str, Tensor]
"""A network, or the state dictionary of a whole one."""


def extractor_sha256(model: Model) -> str:
    """One hash of every parameter and buffer of the extractor.

    Floating-point numbers are hashed as float64, which holds every float32: training in another type is not a change.
    """
    return state_sha256(_extractor(model))


def assert_frozen(before: Model, after: Model, phase: str) -> None:
    """Raises FrozenError naming the tensors of the extractor that differ."""
    old, new = _extractor(before), _extractor(after)
    changed = sorted(
        name
        for name in old.keys() | new.keys()
        if name not in old or name not in new or not _same(old[name], new[name])
    )
    if changed:
        raise FrozenError(f"Phase {phase} is frozen, but its feature extractor changed in: {', '.join(changed)}.")


def _extractor(model: Model) -> dict[str, Tensor]:
    state = model.state_dict() if isinstance(model, LesionNetwork) else model
    return {
        name.removeprefix(PREFIX): tensor.detach().cpu().double()
        if tensor.is_floating_point()
        else tensor.detach().cpu()
        for name, tensor in state.items()
        if name.startswith(PREFIX)
    }


def _same(old: Tensor, new: Tensor) -> bool:
    """Equal numbers, nan equal to nan."""
    return (
        old.shape == new.shape
        and torch.equal(torch.nan_to_num(old), torch.nan_to_num(new))
        and torch.equal(torch.isnan(old), torch.isnan(new))
    )
