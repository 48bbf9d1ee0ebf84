"""Every architecture: published sizes, one contract, weights from the generator alone, a frozen extractor stays."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lesion_transfer.learning.architectures.large import InceptionModule
from lesion_transfer.learning.architectures.registry import ARCHITECTURES
from lesion_transfer.learning.checkpoint import load_model, save_model
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.errors import NetworkError
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import train
from lesion_transfer.settings import load_settings
from lesion_transfer.transfer.freezing import extractor_sha256

OTHERS = [name for name in ARCHITECTURES if name != "thesis_vgg"]


def built(name: str, channels: int = 1, patch_pixels: int = 65, **options: object) -> LesionNetwork:
    chosen = NetworkOptions.model_validate({"architecture": name, **options})
    return build_network(chosen, channels, 0.25, torch_generator(0, "x"), patch_pixels)


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", OTHERS)
def test_three_channels_become_two_logits_and_dropout_has_one_probability(name: str) -> None:
    network = built(name, channels=3).eval()
    images = torch.randn(2, 3, 65, 65, generator=torch_generator(0, "images"))
    with torch.no_grad():
        logits = network(images)
        features = network.feature_extractor(images)
    assert logits.shape == (2, 2)
    assert features.ndim == 2
    assert network.dropout == 0.25


@pytest.mark.parametrize("name", ["xmasnet", "resnet18", "inception"])
def test_weights_come_from_the_generator_and_the_global_one_is_left_alone(name: str) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = built(name).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    second = built(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_settings_know_how_many_hidden_layers_an_architecture_has(name: str) -> None:
    options = NetworkOptions.model_validate({"architecture": name})
    assert options.n_hidden == len(ARCHITECTURES[name](options, 1, 0.0, 65).hidden)


def test_published_numbers_of_parameters() -> None:
    # ImageNet's published counts, less the weights of two more input channels and of 998 more classes
    resnet18, resnet50 = built("resnet18", 3), built("resnet50", 3)
    assert n_parameters(resnet18) == 11_689_512 - 998 * 513
    assert n_parameters(resnet50) == 25_557_032 - 998 * 2049
    convolutions = 14_714_688 - 4_224  # of VGG-16, less its convolution biases, which a BatchNorm makes idle
    vgg16 = built("vgg16", 3)
    dense = 512 * 2 * 2 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 2 + 2
    assert n_parameters(vgg16) == convolutions + 2 * 4_224 + dense


def test_googlenets_module_3a_has_the_published_width_and_weights() -> None:
    module = InceptionModule(192, 64, (96, 128), (16, 32), 32)
    assert module.out_channels == 256
    weights = 192 * (64 + 96 + 16 + 32) + 9 * 96 * 128 + 25 * 16 * 32
    assert n_parameters(module) == weights + 2 * (64 + 96 + 128 + 16 + 32 + 32)
    assert module(torch.zeros(1, 192, 8, 8)).shape == (1, 256, 8, 8)


def test_xmasnet_and_habib_have_the_sizes_of_their_descriptions() -> None:
    xmasnet = built("xmasnet").feature_extractor
    assert xmasnet.get_parameter("dense1.weight").shape == (1024, 64 * 8 * 8)
    assert built("habib").decision_maker.get_parameter("dense1.weight").shape == (2, 32 * 3 * 3)


def test_the_cut_counts_hidden_dense_layers() -> None:
    assert next(iter(built("xmasnet").decision_maker._modules)) == "dense2"
    assert list(built("xmasnet", cut=2).decision_maker._modules) == ["dense3"]
    assert list(built("resnet18", cut=3).decision_maker._modules) == ["dense1"]
    with pytest.raises(ValueError, match="cut is 3, but vgg16 has 2 hidden"):
        built("vgg16", cut=3)


@pytest.mark.parametrize(("name", "pixels"), [("xmasnet", 7), ("habib", 17), ("vgg16", 31)])
def test_a_patch_that_is_too_small_is_refused_in_words(name: str, pixels: int) -> None:
    with pytest.raises(NetworkError, match=f"{pixels} x {pixels} pixels is too small"):
        built(name, patch_pixels=pixels)
    network = built(name, patch_pixels=pixels + 1).eval()
    assert network(torch.zeros(1, 1, pixels + 1, pixels + 1)).shape == (1, 2)


@pytest.mark.parametrize("name", ["xmasnet", "habib", "resnet18", "inception"])
def test_a_saved_model_is_the_same_model(name: str, tmp_path) -> None:
    network = built(name)
    save_model(tmp_path, network.state_dict(), network.description())
    loaded, _ = load_model(tmp_path)
    assert extractor_sha256(loaded) == extractor_sha256(network)


@pytest.mark.parametrize("name", ["xmasnet", "habib", "resnet18"])
@pytest.mark.parametrize("frozen", [False, True])
def test_training_moves_what_is_not_frozen(name: str, frozen: bool) -> None:
    settings = load_settings(Path(__file__).parents[2] / "params.yaml")
    options = settings.hyperparameters("ds1_full").model_copy(
        update={"epochs": 1, "batch_size": 8, "augmentation_factor": 1.0, "bank_copies": 1}
    )
    images = torch.randn(16, 1, 53, 53, generator=torch_generator(0, "images"))
    rows = torch.arange(16)
    data = TrainingData(images, rows % 2, rows[:10], rows[10:])
    network = built(name, patch_pixels=33)
    before = extractor_sha256(network)
    still = AugmentationOptions(rotation_degrees=0.0)
    result = train(network, data, options, still, frozen=frozen, seed=0, name="x", patch_pixels=33)
    assert (extractor_sha256(result.best_state) == before) is frozen
