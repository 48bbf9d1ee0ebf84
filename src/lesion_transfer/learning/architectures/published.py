"""Small networks of other authors, for comparison: XmasNet (Liu 2017) and Habib's net of one convolution."""

from collections import OrderedDict

from torch import nn

from lesion_transfer.learning.architectures.layers import N_CLASSES, Architecture, Layers, convolution, dense
from lesion_transfer.learning.errors import NetworkError
from lesion_transfer.learning.options import NetworkOptions


def xmasnet(_options: NetworkOptions, in_channels: int, dropout: float, patch_pixels: int) -> Architecture:
    """XmasNet (Liu et al. 2017, doi 10.1117/12.2277121), made for 32 x 32 pixels, hence the max-pool 2 in front.

    Two blocks of two convolutions 3x3 (32, 32; 64, 64 filters) and a max-pool 2; dense 1024 and 256; BatchNorm and ReLU
    after each. Convolutions are padded, 65 -> 32 -> 16 -> 8; dropout after each hidden dense layer is an addition.
    """
    pixels = patch_pixels // 2 // 2 // 2
    _large_enough("xmasnet", pixels, patch_pixels, smallest=8)
    layers: Layers = OrderedDict({"pool0": nn.MaxPool2d(2)})
    channels = in_channels
    for block, filters in enumerate((32, 64), start=1):
        for place in (1, 2):
            name = f"{block}_{place}"
            layers[f"conv{name}"] = convolution(channels, filters, 3, padding=1)
            layers[f"norm{name}"] = nn.BatchNorm2d(filters)
            layers[f"relu{name}"] = nn.ReLU(inplace=True)
            channels = filters
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    width, hidden = channels * pixels * pixels, []
    for number, units in enumerate((1024, 256), start=1):
        named: dict[str, nn.Module] = {
            f"dense{number}": dense(width, units),
            f"dense_norm{number}": nn.BatchNorm1d(units),
            f"dense_relu{number}": nn.ReLU(),
            f"dense_dropout{number}": nn.Dropout(dropout),
        }
        hidden.append(OrderedDict(named))
        width = units
    return Architecture(layers, hidden, Layers({"dense3": dense(width, N_CLASSES)}))


def habib(_options: NetworkOptions, in_channels: int, dropout: float, patch_pixels: int) -> Architecture:
    """Habib's brain tumour net (2019, the thesis's [13]): one convolution 7x7 of 32 filters, two max-pools 4, dense.

    Zero padding of 2, BatchNorm and ReLU after the convolution: 65 -> 63 -> 15 -> 3. Dropout is an addition.
    """
    pixels = (patch_pixels - 2) // 4 // 4
    _large_enough("habib", pixels, patch_pixels, smallest=18)
    layers: dict[str, nn.Module] = {
        "conv1": convolution(in_channels, 32, 7, padding=2),
        "norm1": nn.BatchNorm2d(32),
        "relu1": nn.ReLU(inplace=True),
        "pool1": nn.MaxPool2d(4),
        "pool2": nn.MaxPool2d(4),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(dropout),
    }
    last = Layers({"dense1": dense(32 * pixels * pixels, N_CLASSES)})
    return Architecture(OrderedDict(layers), [], last)


def _large_enough(name: str, pixels: int, patch_pixels: int, smallest: int) -> None:
    if pixels < 1:
        raise NetworkError(f"A patch of {patch_pixels} x {patch_pixels} pixels is too small for {name}: {smallest} up.")
