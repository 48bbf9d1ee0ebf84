"""A folded network gives what the network gives."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from lesion_transfer.learning.architectures.registry import ARCHITECTURES
from lesion_transfer.learning.folding import FoldedNetwork
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.streams import torch_generator

PATCH = 65


def trained_looking(network: LesionNetwork) -> LesionNetwork:
    """In float64, with statistics and weights of BatchNorm that no fresh network has, falling ones among them."""
    generator = torch_generator(0, "statistics")
    for layer in network.double().modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for values, low, high in (
                (layer.running_mean, -1, 1),
                (layer.running_var, 0.5, 2),
                (layer.bias.data, -1, 1),
            ):
                values.uniform_(low, high, generator=generator)
            layer.weight.data.uniform_(-2, 2, generator=generator)
    return network.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folded_network_gives_the_same_outputs(architecture) -> None:
    options = NetworkOptions(architecture=architecture, filters=[4, 4, 4], dense=[16, 8])
    network = trained_looking(build_network(options, 3, 0.3, torch_generator(0, "x"), PATCH))
    images = torch.randn(4, 3, PATCH, PATCH, dtype=torch.float64, generator=torch_generator(0, "images"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = FoldedNetwork(network)
    with torch.no_grad():
        expected, given = network(images), fast(images)
    assert expected.std() > 0
    torch.testing.assert_close(given, expected, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        for weight in fast.parameters():
            weight.zero_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folded_network_takes_the_weights_of_another(architecture) -> None:
    options = NetworkOptions(architecture=architecture, filters=[4, 4, 4], dense=[16, 8])
    first, second = (
        trained_looking(build_network(options, 3, 0.3, torch_generator(0, name), PATCH)) for name in ("first", "second")
    )
    images = torch.randn(4, 3, PATCH, PATCH, dtype=torch.float64, generator=torch_generator(0, "images"))
    taking = FoldedNetwork(first)
    taking.take(second)
    for name, value in FoldedNetwork(second).state_dict().items():
        assert torch.equal(taking.state_dict()[name], value), name
    with torch.no_grad():
        torch.testing.assert_close(taking(images), second(images), rtol=1e-9, atol=1e-9)


def test_the_thesis_network_has_no_norm_and_no_dropout_left_and_pools_before_the_elu() -> None:
    network = build_network(NetworkOptions(filters=[4, 4, 4], dense=[16, 8]), 1, 0.3, torch_generator(0, "x"), PATCH)
    layers = list(FoldedNetwork(network.eval()))
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.Dropout) for layer in layers)
    after_pools = [layers[number + 1] for number, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    assert [type(layer) for layer in after_pools] == [nn.ELU] * 3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_under_autocast_only_maps_are_rounded_so_that_rows_keep_their_order(architecture) -> None:
    options = NetworkOptions(architecture=architecture, filters=[4, 4, 4], dense=[16, 8])
    network = build_network(options, 3, 0.3, torch_generator(0, "x"), PATCH).eval()
    images = torch.randn(64, 3, PATCH, PATCH, generator=torch_generator(0, "images"))
    with torch.no_grad():
        exact, rounded = (FoldedNetwork(network, autocast)(images) for autocast in ("off", "bfloat16"))
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    positive, nearly = (logits.double().softmax(dim=1)[:, 1].numpy() for logits in (exact, rounded))
    assert len(set(nearly)) == len(images)  # eight bits would be a handful of values
    assert spearmanr(positive, nearly).statistic > 0.98
