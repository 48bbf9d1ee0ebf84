"""The network of the thesis (section 5.2.3; Song et al. 2018): VGG-like blocks without padding, three dense layers."""

from collections import OrderedDict

from torch import nn

from lesion_transfer.learning.architectures.layers import N_CLASSES, Architecture, Layers, convolution, dense
from lesion_transfer.learning.architectures.map_dropout import MapDropout
from lesion_transfer.learning.errors import NetworkError
from lesion_transfer.learning.options import NetworkOptions


def thesis_vgg(options: NetworkOptions, in_channels: int, dropout: float, patch_pixels: int) -> Architecture:
    """Three blocks and the dense layers, of the sizes in `options`; NetworkError where the patch is too small."""
    width = flattened_width(options, patch_pixels)
    hidden = []
    for number, units in enumerate(options.dense, start=1):
        layers: Layers = OrderedDict({f"dense{number}": dense(width, units), f"dense_elu{number}": nn.ELU()})
        if number in options.dropout_after_dense:
            layers[f"dense_dropout{number}"] = nn.Dropout(dropout)
        hidden.append(layers)
        width = units
    last = Layers({f"dense{len(options.dense) + 1}": dense(width, N_CLASSES)})
    return Architecture(_blocks(options, in_channels, dropout), hidden, last)


def block_output_pixels(patch_pixels: int) -> list[int]:
    """Rows (= columns) after each of the three blocks: 65 -> [30, 13, 4]. Not padded, so a 3x3 takes 2 pixels off."""
    sizes = []
    for _ in range(3):
        patch_pixels = (patch_pixels - 4) // 2
        sizes.append(patch_pixels)
    return sizes


def flattened_width(options: NetworkOptions, patch_pixels: int) -> int:
    """Features after the last block, flattened: 128 * 4 * 4 = 2048 for the thesis's sizes."""
    pixels = block_output_pixels(patch_pixels)[-1]
    if pixels < 1:
        raise NetworkError(
            f"A patch of {patch_pixels} x {patch_pixels} pixels is too small for three blocks: take 36 up."
        )
    return options.filters[-1] * pixels * pixels


def _blocks(options: NetworkOptions, in_channels: int, dropout: float) -> Layers:
    """Three blocks of (conv 3x3, conv 3x3, conv 1x1), each with BatchNorm and ELU; dropout; max-pool 2; then flat."""
    layers: Layers = OrderedDict()
    channels = in_channels
    for block, filters in enumerate(options.filters, start=1):
        for place, kernel in enumerate((3, 3, 1), start=1):
            name = f"{block}_{place}"
            layers[f"conv{name}"] = convolution(channels, filters, kernel, bias=options.conv_bias)
            layers[f"norm{name}"] = nn.BatchNorm2d(filters)
            # in place: BatchNorm's backward needs its input only, and these maps are most of a training's memory
            layers[f"elu{name}"] = nn.ELU(inplace=True)
            channels = filters
        layers[f"dropout{block}"] = MapDropout(dropout)
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    return layers
