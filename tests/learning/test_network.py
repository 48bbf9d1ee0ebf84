"""The network of the thesis: sizes, counts, and weights that come from the generator alone."""

import pytest
import torch
from pydantic import ValidationError

from lesion_transfer.learning.architectures.thesis_vgg import block_output_pixels
from lesion_transfer.learning.errors import NetworkError
from lesion_transfer.learning.network import build_network, reset_decision_maker, set_dropout
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.streams import torch_generator

SMALL = NetworkOptions(filters=[4, 4, 4])


def n_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_blocks_shrink_65_pixels_to_30_13_and_4() -> None:
    network = build_network(NetworkOptions(), 1, 0.3, torch_generator(0, "x"))
    seen = []
    for block in (1, 2, 3):
        pool = network.feature_extractor.get_submodule(f"pool{block}")
        pool.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape)))
    logits = network(torch.zeros(2, 1, 65, 65))
    assert seen == [(2, 32, 30, 30), (2, 64, 13, 13), (2, 128, 4, 4)]
    assert block_output_pixels(65) == [30, 13, 4]
    assert logits.shape == (2, 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_parameters_are_as_many_as_counted_by_hand(channels: int, bias: bool) -> None:
    network = build_network(NetworkOptions(conv_bias=bias), channels, 0.3, torch_generator(0, "x"))
    weights = 9 * channels * 32 + 9 * 32 * 32 + 32 * 32
    weights += 9 * 32 * 64 + 9 * 64 * 64 + 64 * 64
    weights += 9 * 64 * 128 + 9 * 128 * 128 + 128 * 128
    filters = 3 * (32 + 64 + 128)
    dense = 2048 * 256 + 256
    assert n_parameters(network.feature_extractor) == weights + filters * (3 if bias else 2) + dense
    assert n_parameters(network.decision_maker) == 256 * 64 + 64 + 64 * 16 + 16 + 16 * 2 + 2


def test_the_extractor_ends_with_elu_and_dropout_of_the_dense_layer_at_the_cut() -> None:
    network = build_network(NetworkOptions(), 1, 0.3, torch_generator(0, "x"))
    assert list(network.feature_extractor._modules)[-3:] == ["dense1", "dense_elu1", "dense_dropout1"]
    assert list(network.decision_maker._modules) == ["dense2", "dense_elu2", "dense3", "dense_elu3", "dense4"]


def test_the_cut_of_the_reproduction_leaves_one_layer_to_the_decision_maker() -> None:
    options = NetworkOptions(filters=[4, 4, 4], cut=3, dropout_after_dense=[1, 2])
    network = build_network(options, 3, 0.2, torch_generator(0, "x"))
    assert list(network.decision_maker._modules) == ["dense4"]
    assert network(torch.zeros(2, 3, 65, 65)).shape == (2, 2)


def test_forward_is_decision_maker_of_feature_extractor() -> None:
    network = build_network(SMALL, 1, 0.3, torch_generator(0, "x")).eval()
    images = torch.randn(3, 1, 65, 65, generator=torch_generator(0, "images"))
    assert torch.equal(network(images), network.decision_maker(network.feature_extractor(images)))


@pytest.mark.parametrize("scheme", ["default", "xavier", "kaiming"])
def test_weights_depend_on_the_generator_and_not_on_the_global_one(scheme: str) -> None:
    options = NetworkOptions(filters=[4, 4, 4], initialisation=scheme)
    torch.manual_seed(1)
    first = build_network(options, 1, 0.3, torch_generator(5, "x")).state_dict()
    before = torch.get_rng_state()
    second = build_network(options, 1, 0.3, torch_generator(5, "x")).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    other = build_network(options, 1, 0.3, torch_generator(6, "x")).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    drawn = [name for name in first if "conv" in name or ("dense" in name and "weight" in name)]
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_the_default_initialisation_has_the_spread_of_pytorch() -> None:
    network = build_network(NetworkOptions(), 1, 0.3, torch_generator(0, "x"))
    weight = network.feature_extractor.get_parameter("dense1.weight")
    bound = 1 / 2048**0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)


def test_set_dropout_reaches_every_dropout_layer() -> None:
    network = build_network(SMALL, 1, 0.3, torch_generator(0, "x"))
    set_dropout(network, 0.0)
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Dropout)]
    assert [layer.p for layer in layers] == [0.0] * 4
    assert network.dropout == 0.0


def test_a_reset_draws_the_decision_maker_and_leaves_the_extractor() -> None:
    network = build_network(SMALL, 1, 0.3, torch_generator(0, "x"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    reset_decision_maker(network, SMALL, torch_generator(1, "reset"))
    same = {name: torch.equal(before[name], tensor) for name, tensor in network.state_dict().items()}
    assert all(equal == name.startswith("feature_extractor.") for name, equal in same.items())


@pytest.mark.parametrize(("options", "words"), [({"cut": 4}, "cut is 4"), ({"dropout_after_dense": [4]}, "layer 4")])
def test_options_that_contradict_each_other_are_refused_in_words(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        NetworkOptions.model_validate(options)


def test_a_patch_that_is_too_small_is_refused_in_words() -> None:
    with pytest.raises(NetworkError, match="35 x 35 pixels is too small"):
        build_network(NetworkOptions(), 1, 0.3, torch_generator(0, "x"), 35)


def test_36_pixels_are_just_enough() -> None:
    network = build_network(SMALL, 1, 0.0, torch_generator(0, "x"), 36)
    assert network(torch.zeros(2, 1, 36, 36)).shape == (2, 2)
