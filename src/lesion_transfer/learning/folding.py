"""A network that is only asked, never trained: the same outputs with fewer passes over its maps."""

import copy
from itertools import chain, islice

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from lesion_transfer.learning.network import LesionNetwork, autocasting
from lesion_transfer.learning.options import Autocast


class FoldedNetwork(nn.Sequential):
    """What gives the outputs of a network in eval mode, up to rounding, without gradients; a copy of its weights.

    A BatchNorm goes into the weights of the convolution before it, dropout goes, and an ELU comes after the max-pool
    that follows it: it never falls, so that the largest of its values is its value of the largest, and a quarter of
    them are left. Layers inside blocks (ResNet) stay as they are.

    With `autocast` the maps are computed in bfloat16, features and logits as without it: eight bits of an output rank
    too many rows alike.
    """

    def __init__(self, network: LesionNetwork, autocast: Autocast = "off") -> None:
        layers: list[nn.Module] = []
        taken: list[tuple[int, int | None]] = []
        for number, layer in enumerate(_layers_of(copy.deepcopy(network).eval())):
            before = layers[-1] if layers else None
            if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
                layers[-1] = fuse_conv_bn_eval(before, layer)
                taken[-1] = taken[-1][0], number
            elif isinstance(layer, nn.MaxPool2d) and isinstance(before, nn.ELU):
                layers[-1:], taken[-1:] = [layer, before], [(number, None), taken[-1]]
            elif not isinstance(layer, nn.Dropout):
                layers.append(layer)
                taken.append((number, None))
        super().__init__(*layers)
        self._autocast = autocast
        self._n_of_maps = next(number for number, layer in enumerate(layers) if isinstance(layer, nn.Linear))
        self._taken = taken
        """For each layer of this network, in order: the layer of the other and the BatchNorm that went into it."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2) of images (B, C, P, P)."""
        values = images
        with autocasting(images, self._autocast):
            for layer in islice(self, self._n_of_maps):
                values = layer(values)
        values = values.to(images.dtype)
        for layer in islice(self, self._n_of_maps, None):
            values = layer(values)
        return values

    @torch.no_grad()
    def take(self, network: LesionNetwork) -> None:
        """Takes the weights of another network of the same layers, on whatever device either is.

        A twelfth of the time of folding it anew, nearly all of which are copies of Python objects.
        """
        theirs = _layers_of(network)
        for mine, (number, norm) in zip(self, self._taken, strict=True):
            values = _values(theirs[number]) if norm is None else _fused(theirs[number], theirs[norm])
            for value, other in zip(_values(mine), values, strict=True):
                value.copy_(other)


def _layers_of(network: LesionNetwork) -> list[nn.Module]:
    return [*network.feature_extractor, *network.decision_maker]


def _values(layer: nn.Module) -> list[Tensor]:
    return list(chain(layer.parameters(), layer.buffers()))


def _fused(convolution: nn.Module, norm: nn.Module) -> list[Tensor]:
    """Weight and bias of a convolution that a BatchNorm has gone into."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    return list(
        fuse_conv_bn_weights(convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias)
    )
