"""The large networks of the brain studies that the thesis cites (Saxena 2019), made of MONAI's networks and blocks.

MONAI takes seconds to import and is needed by these only, so it is imported when one of them is built.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from lesion_transfer.learning.architectures.layers import N_CLASSES, Architecture, Layers, dense
from lesion_transfer.learning.errors import NetworkError
from lesion_transfer.learning.options import NetworkOptions

VGG16_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Convolutions and filters of each block: configuration D of Simonyan and Zisserman 2015, table 1."""
INCEPTION_BRANCHES = {
    "3a": (64, (96, 128), (16, 32), 32),
    "3b": (128, (128, 192), (32, 96), 64),
    "4a": (192, (96, 208), (16, 48), 64),
}
"""Filters of the branches 1x1, (1x1, 3x3), (1x1, 5x5), pool: Szegedy et al. 2015, table 1."""


def resnet18(_options: NetworkOptions, in_channels: int, dropout: float, _patch_pixels: int) -> Architecture:
    """ResNet-18 (He et al. 2016, table 1): 512 pooled features, cut before the last layer."""
    return _resnet("basic", (2, 2, 2, 2), 512, in_channels, dropout)


def resnet50(_options: NetworkOptions, in_channels: int, dropout: float, _patch_pixels: int) -> Architecture:
    """ResNet-50 (He et al. 2016, table 1): 2048 pooled features, cut before the last layer."""
    return _resnet("bottleneck", (3, 4, 6, 3), 2048, in_channels, dropout)


def vgg16(_options: NetworkOptions, in_channels: int, dropout: float, patch_pixels: int) -> Architecture:
    """VGG-16 with BatchNorm; the dense layers are the published 4096 and 4096. 65 pixels -> 2 after five pools."""
    pixels = patch_pixels // 2**5
    if pixels < 1:
        raise NetworkError(f"A patch of {patch_pixels} x {patch_pixels} pixels is too small for vgg16: take 32 up.")
    layers: Layers = OrderedDict()
    channels = in_channels
    for block, (n_convolutions, filters) in enumerate(VGG16_BLOCKS, start=1):
        for place in range(1, n_convolutions + 1):
            layers[f"conv{block}_{place}"] = _convolution(channels, filters, 3)
            channels = filters
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    width, hidden = channels * pixels * pixels, []
    for number in (1, 2):
        named: dict[str, nn.Module] = {
            f"dense{number}": dense(width, 4096),
            f"dense_relu{number}": nn.ReLU(),
            f"dense_dropout{number}": nn.Dropout(dropout),
        }
        hidden.append(OrderedDict(named))
        width = 4096
    return Architecture(layers, hidden, Layers({"dense3": dense(width, N_CLASSES)}))


def inception(_options: NetworkOptions, in_channels: int, dropout: float, _patch_pixels: int) -> Architecture:
    """The beginning of GoogLeNet (Szegedy et al. 2015): its stem and modules 3a, 3b, 4a; 512 pooled features.

    Its later modules need larger images than a lesion's patch. BatchNorm as in the later versions of Inception.
    """
    layers: Layers = OrderedDict()
    layers["stem"] = nn.Sequential(
        _convolution(in_channels, 64, 7),
        nn.MaxPool2d(3, stride=2, padding=1),
        _convolution(64, 64, 1),
        _convolution(64, 192, 3),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
    channels = 192
    for name, branches in INCEPTION_BRANCHES.items():
        module = InceptionModule(channels, *branches)
        layers[f"inception{name}"] = module
        channels = module.out_channels
        if name == "3b":
            layers["pool3"] = nn.MaxPool2d(3, stride=2, padding=1)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(dropout)
    return Architecture(layers, [], Layers({"dense1": dense(channels, N_CLASSES)}))


class InceptionModule(nn.Module):
    """Four branches side by side, (B, C, H, W) -> (B, out_channels, H, W) (Szegedy et al. 2015, figure 2b)."""

    def __init__(self, channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.one = _convolution(channels, one, 1)
        self.three = nn.Sequential(_convolution(channels, three[0], 1), _convolution(three[0], three[1], 3))
        self.five = nn.Sequential(_convolution(channels, five[0], 1), _convolution(five[0], five[1], 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _convolution(channels, pooled, 1))
        self.out_channels = one + three[1] + five[1] + pooled

    def forward(self, images: Tensor) -> Tensor:
        """The four branches' maps, one behind the other."""
        return torch.cat([self.one(images), self.three(images), self.five(images), self.pooled(images)], dim=1)


def _resnet(block: str, layers: tuple[int, ...], width: int, in_channels: int, dropout: float) -> Architecture:
    from monai.networks.nets import ResNet

    body = ResNet(
        block,
        list(layers),
        [64, 128, 256, 512],
        spatial_dims=2,
        n_input_channels=in_channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        feed_forward=False,
        bias_downsample=False,
    )
    named = OrderedDict[str, nn.Module]({"resnet": body, "dropout": nn.Dropout(dropout)})
    return Architecture(named, [], Layers({"dense1": dense(width, N_CLASSES)}))


def _convolution(channels: int, filters: int, kernel: int) -> nn.Module:
    """A convolution that keeps the size, BatchNorm, ReLU."""
    from monai.networks.blocks import Convolution

    block: nn.Module = Convolution(
        spatial_dims=2,
        in_channels=channels,
        out_channels=filters,
        kernel_size=kernel,
        norm="batch",
        act=("relu", {"inplace": True}),
        adn_ordering="NA",
        bias=False,
    )
    return block
