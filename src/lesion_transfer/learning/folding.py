"""A network that is only asked, never trained: the same outputs with fewer passes over its maps."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lesion_transfer.learning.network import LesionNetwork


def folded(network: LesionNetwork) -> nn.Sequential:
    """What gives the outputs of `network` in eval mode, up to rounding, without gradients; a copy of its weights.

    A BatchNorm goes into the weights of the convolution before it, dropout goes, and an ELU comes after the max-pool
    that follows it: it never falls, so that the largest of its values is its value of the largest, and a quarter of
    them are left. Layers inside blocks (ResNet) stay as they are.
    """
    network = copy.deepcopy(network).eval()  # whatever the caller does to the result
    layers: list[nn.Module] = []
    for layer in [*network.feature_extractor, *network.decision_maker]:
        before = layers[-1] if layers else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(before, layer)
        elif isinstance(layer, nn.MaxPool2d) and isinstance(before, nn.ELU):
            layers[-1:] = [layer, before]
        elif not isinstance(layer, nn.Dropout):
            layers.append(layer)
    return nn.Sequential(*layers)
