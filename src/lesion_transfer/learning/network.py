"""The network of the thesis (section 5): a feature extractor and a decision maker, cut between two dense layers."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from lesion_transfer.learning.errors import NetworkError
from lesion_transfer.learning.initialisation import initialise
from lesion_transfer.learning.options import NetworkOptions

N_CLASSES = 2


class LesionNetwork(nn.Module):
    """(B, C, P, P) z-scored patches -> (B, 2) logits (negative, positive); P = `patch_pixels`.

    `decision_maker(feature_extractor(x))` is the whole of forward. Built here without weights: use `build_network`.
    """

    def __init__(self, options: NetworkOptions, in_channels: int, dropout: float, patch_pixels: int = 65) -> None:
        super().__init__()
        self.options = options
        self.in_channels = in_channels
        self.patch_pixels = patch_pixels
        layers = _dense_layers(options, flattened_width(options, patch_pixels), dropout)
        cut_at = next(i for i, name in enumerate(layers) if name == f"dense{options.cut + 1}")
        named = list(layers.items())
        self.feature_extractor = nn.Sequential(
            OrderedDict([*_convolutions(options, in_channels, dropout).items(), *named[:cut_at]])
        )
        self.decision_maker = nn.Sequential(OrderedDict(named[cut_at:]))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2) of images (B, C, P, P)."""
        return self.decision_maker(self.feature_extractor(images))

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights."""
        return next(self.parameters()).dtype

    @property
    def dropout(self) -> float:
        """The dropout probability of every dropout layer (one value for all, as in the thesis)."""
        return next(module.p for module in self.modules() if isinstance(module, nn.Dropout))

    def description(self) -> dict[str, object]:
        """What `checkpoint.load_model` needs to build this network again, as JSON values."""
        return {
            "network": self.options.model_dump(),
            "in_channels": self.in_channels,
            "dropout": self.dropout,
            "patch_pixels": self.patch_pixels,
        }


def build_network(
    options: NetworkOptions, in_channels: int, dropout: float, generator: torch.Generator, patch_pixels: int = 65
) -> LesionNetwork:
    """An initialised float32 network whose weights depend on `generator` alone, not on torch's global generator.

    Raises NetworkError where the patch is too small for three blocks.
    """
    network = LesionNetwork(options, in_channels, dropout, patch_pixels)
    initialise(network, options.initialisation, generator)
    return network


def place(network: nn.Module, device: str | torch.device, dtype: torch.dtype = torch.float32) -> None:
    """Moves the network, in place, and lays its convolutions out channels last (1.2 times as fast on a CPU)."""
    network.to(device=device, dtype=dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def set_dropout(network: nn.Module, probability: float) -> None:
    """Gives every dropout layer this probability (a phase has its own, thesis table of section 7)."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def reset_decision_maker(network: LesionNetwork, options: NetworkOptions, generator: torch.Generator) -> None:
    """Draws new weights for the decision maker as `options.initialisation` says; the extractor stays as it is."""
    initialise(network.decision_maker, options.initialisation, generator)


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


def _convolutions(options: NetworkOptions, in_channels: int, dropout: float) -> OrderedDict[str, nn.Module]:
    """Three blocks of (conv 3x3, conv 3x3, conv 1x1), each with BatchNorm and ELU; dropout; max-pool 2; then flat."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_channels
    for block, filters in enumerate(options.filters, start=1):
        for place, kernel in enumerate((3, 3, 1), start=1):
            name = f"{block}_{place}"
            layers[f"conv{name}"] = skip_init(nn.Conv2d, channels, filters, kernel, bias=options.conv_bias)
            layers[f"norm{name}"] = nn.BatchNorm2d(filters)
            # in place: BatchNorm's backward needs its input only, and these maps are most of a training's memory
            layers[f"elu{name}"] = nn.ELU(inplace=True)
            channels = filters
        layers[f"dropout{block}"] = nn.Dropout(dropout)
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    return layers


def _dense_layers(options: NetworkOptions, width: int, dropout: float) -> OrderedDict[str, nn.Module]:
    """Dense layers to the two logits; ELU after all but the last, dropout where the options say."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, units in enumerate(options.dense, start=1):
        layers[f"dense{number}"] = skip_init(nn.Linear, width, units)
        layers[f"dense_elu{number}"] = nn.ELU()
        if number in options.dropout_after_dense:
            layers[f"dense_dropout{number}"] = nn.Dropout(dropout)
        width = units
    layers[f"dense{len(options.dense) + 1}"] = skip_init(nn.Linear, width, N_CLASSES)
    return layers
