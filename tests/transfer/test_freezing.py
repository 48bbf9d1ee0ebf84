"""The proof of a frozen extractor, and that it finds every way in which one was moved."""

import pytest
import torch
from torch.nn import functional

from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import state_copy
from lesion_transfer.transfer.errors import FrozenError
from lesion_transfer.transfer.freezing import assert_frozen, extractor_sha256

IMAGES = torch.randn(6, 1, 36, 36, generator=torch_generator(0, "images"))
LABELS = torch.tensor([0, 1, 0, 1, 0, 1])


def network() -> LesionNetwork:
    model = build_network(NetworkOptions(filters=[4, 4, 4], dense=[16, 8]), 1, 0.2, torch_generator(0, "x"), 36)
    model.feature_extractor.requires_grad_(False)
    return model


def one_step(model: LesionNetwork, optimizer: torch.optim.Optimizer) -> None:
    functional.cross_entropy(model(IMAGES), LABELS).backward()
    optimizer.step()


def test_a_decision_maker_that_moved_alone_passes() -> None:
    model = network()
    before, sha256 = state_copy(model), extractor_sha256(model)
    model.train()
    model.feature_extractor.eval()
    one_step(model, torch.optim.Adam(model.decision_maker.parameters(), lr=0.1, weight_decay=0.1))
    assert_frozen(before, model, "ds2_frozen")
    assert extractor_sha256(model) == extractor_sha256(before) == sha256


def test_statistics_that_drift_though_nothing_needs_a_gradient_are_named() -> None:
    model = network().train()
    before = state_copy(model)
    one_step(model, torch.optim.Adam(model.decision_maker.parameters(), lr=0.1))
    with pytest.raises(FrozenError, match="Phase ds2_frozen is frozen") as refusal:
        assert_frozen(before, model, "ds2_frozen")
    for name in ("norm1_1.running_mean", "norm3_3.running_var", "norm2_2.num_batches_tracked"):
        assert name in str(refusal.value)
    assert "conv" not in str(refusal.value)


def test_weight_decay_on_gradients_of_zero_is_found() -> None:
    model = network()
    before, sha256 = state_copy(model), extractor_sha256(model)
    for parameter in model.feature_extractor.parameters():
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1).step()
    with pytest.raises(FrozenError, match=r"conv1_1\.weight"):
        assert_frozen(before, model.state_dict(), "ds2_frozen")
    assert extractor_sha256(model) != sha256


def test_one_bit_of_one_weight_is_enough() -> None:
    model = network()
    before = state_copy(model)
    with torch.no_grad():
        weight = model.feature_extractor.get_parameter("conv2_3.weight")
        weight[0, 0, 0, 0] = torch.nextafter(weight[0, 0, 0, 0], torch.tensor(9.0))
    with pytest.raises(FrozenError, match=r"changed in: conv2_3\.weight\.$"):
        assert_frozen(before, model, "ds2_frozen")


def test_another_floating_point_type_is_no_change() -> None:
    model = network()
    before, sha256 = state_copy(model), extractor_sha256(model)
    assert_frozen(before, model.double(), "ds2_frozen")
    assert extractor_sha256(model) == sha256
