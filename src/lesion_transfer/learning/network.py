"""A network of any architecture: a feature extractor and a decision maker, cut between two dense layers."""

import torch
from torch import Tensor, nn

from lesion_transfer.learning.architectures.registry import cut_layers
from lesion_transfer.learning.initialisation import initialise
from lesion_transfer.learning.options import Autocast, NetworkOptions, TrainingOptions


class LesionNetwork(nn.Module):
    """(B, C, P, P) z-scored patches -> (B, 2) logits (negative, positive); P = `patch_pixels`.

    `decision_maker(feature_extractor(x))` is the whole of forward. Built here without weights: use `build_network`.
    """

    def __init__(self, options: NetworkOptions, in_channels: int, dropout: float, patch_pixels: int = 65) -> None:
        super().__init__()
        self.options = options
        self.in_channels = in_channels
        self.patch_pixels = patch_pixels
        extractor, decision_maker = cut_layers(options, in_channels, dropout, patch_pixels)
        self.feature_extractor = nn.Sequential(extractor)
        self.decision_maker = nn.Sequential(decision_maker)

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

    Raises NetworkError where the patch is too small for the architecture.
    """
    network = LesionNetwork(options, in_channels, dropout, patch_pixels)
    initialise(network, options.initialisation, generator)
    return network


def place(network: nn.Module, device: str | torch.device, dtype: torch.dtype = torch.float32) -> None:
    """Moves the network, in place, and lays its convolutions out channels last (1.2 times as fast on a CPU)."""
    network.to(device=device, dtype=dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def weight_dtype(options: TrainingOptions) -> torch.dtype:
    """The type in which a training keeps its weights; the masters of `compensated` are kept beside them."""
    return torch.float64 if options.precision == "float64" else torch.float32


def autocasting(inputs: Tensor, autocast: Autocast) -> torch.autocast:
    """Inside the block layers compute on the device of `inputs` as `autocast` says.

    Each weight is rounded anew where it is used: nearly all are used once, and a captured step must not keep a copy.
    """
    return torch.autocast(inputs.device.type, torch.bfloat16, enabled=autocast == "bfloat16", cache_enabled=False)


def set_dropout(network: nn.Module, probability: float) -> None:
    """Gives every dropout layer this probability (a phase has its own, thesis table of section 7)."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def reset_decision_maker(network: LesionNetwork, options: NetworkOptions, generator: torch.Generator) -> None:
    """Draws new weights for the decision maker as `options.initialisation` says; the extractor stays as it is."""
    initialise(network.decision_maker, options.initialisation, generator)
