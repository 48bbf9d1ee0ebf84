"""What every architecture is made of: a body that ends in flat features, hidden dense layers, and the last one."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

N_CLASSES = 2
Layers = OrderedDict[str, nn.Module]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Architecture:
    """Layers in the order in which they are applied, (B, C, P, P) -> (B, 2) logits.

    body: images to features (B, F). hidden: one entry a hidden dense layer, with what follows it (activation, norm,
    dropout). last: to the two logits.
    """

    body: Layers
    hidden: Sequence[Layers]
    last: Layers


def dense(width: int, units: int) -> nn.Linear:
    """A dense layer whose weights are still to be drawn."""
    return _undrawn(nn.Linear, width, units)


def convolution(channels: int, filters: int, kernel: int, *, padding: int = 0, bias: bool = False) -> nn.Conv2d:
    """A convolution of stride 1 whose weights are still to be drawn."""
    return _undrawn(nn.Conv2d, channels, filters, kernel, padding=padding, bias=bias)


def _undrawn(layer: Callable[..., M], *sizes: int, **options: Any) -> M:
    """As torch.nn.utils.skip_init, without its `to_empty`, which imports PyTorch's symbolic shapes: 0.6 s a process."""
    made = layer(*sizes, **options, device="meta")
    made.load_state_dict({name: torch.empty(one.shape) for name, one in made.state_dict().items()}, assign=True)
    return made
