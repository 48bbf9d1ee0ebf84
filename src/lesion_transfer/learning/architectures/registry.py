"""The name of an architecture -> its layers, cut into extractor and decision maker."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch

from lesion_transfer.learning.architectures.large import inception, resnet18, resnet50, vgg16
from lesion_transfer.learning.architectures.layers import Architecture, Layers
from lesion_transfer.learning.architectures.published import habib, xmasnet
from lesion_transfer.learning.architectures.thesis_vgg import thesis_vgg
from lesion_transfer.learning.options import ArchitectureName, NetworkOptions

ARCHITECTURES: Mapping[ArchitectureName, Callable[[NetworkOptions, int, float, int], Architecture]] = {
    "thesis_vgg": thesis_vgg,
    "xmasnet": xmasnet,
    "habib": habib,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vgg16": vgg16,
    "inception": inception,
}


def cut_layers(options: NetworkOptions, in_channels: int, dropout: float, patch_pixels: int) -> tuple[Layers, Layers]:
    """The layers of the feature extractor and of the decision maker, in order.

    `options.cut` hidden dense layers belong to the extractor; a network without hidden dense layers is cut before its
    only one. Raises NetworkError where the patch is too small.
    """
    # libraries draw weights as they build; those are drawn again from a named generator, and torch's own is left alone
    with torch.random.fork_rng(devices=[]):
        built = ARCHITECTURES[options.architecture](options, in_channels, dropout, patch_pixels)
    extractor, decision_maker = OrderedDict(built.body), Layers()
    for number, layers in enumerate(built.hidden, start=1):
        (extractor if number <= options.cut else decision_maker).update(layers)
    decision_maker.update(built.last)
    return extractor, decision_maker
