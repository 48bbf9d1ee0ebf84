"""First weights, drawn from a generator passed in (thesis 3.3.6: PyTorch's default, Xavier, Kaiming)."""

import math
from typing import Literal

import torch
from torch import nn

Scheme = Literal["default", "xavier", "kaiming"]


def initialise(module: nn.Module, scheme: Scheme, generator: torch.Generator) -> None:
    """Draws every convolution and dense layer of `module` anew, in order; every BatchNorm starts at gamma 1, beta 0,
    mean 0, variance 1.

    default: PyTorch's, uniform in +-1/sqrt(fan in), biases too. xavier: Glorot's uniform; kaiming: He's uniform with
    the gain of ReLU (ELU has none of its own); biases 0 with both. Module and generator are on the CPU.
    """
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_parameters()
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            _draw(layer, scheme, generator)


def _draw(layer: nn.Conv2d | nn.Linear, scheme: Scheme, generator: torch.Generator) -> None:
    if scheme == "xavier":
        nn.init.xavier_uniform_(layer.weight, generator=generator)
    elif scheme == "kaiming":
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    else:
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    if layer.bias is None:
        return
    if scheme == "default":
        bound = 1 / math.sqrt(layer.weight[0].numel())
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    else:
        nn.init.zeros_(layer.bias)
