"""Predictions leave a network as it was; gradients are noted as they are."""

import numpy as np
import pytest
import torch
from torch import nn

from lesion_transfer.learning.gradients import GradientRecorder
from lesion_transfer.learning.network import build_network
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.scoring import evaluating, outputs, positive_probabilities, predict_probabilities
from lesion_transfer.learning.streams import torch_generator

IMAGES = torch.randn(5, 1, 70, 71, generator=torch_generator(0, "images"))


def network() -> torch.nn.Module:
    return build_network(NetworkOptions(filters=[4, 4, 4]), 1, 0.5, torch_generator(0, "network"))


def test_probabilities_are_those_of_the_centre_crop_whatever_the_batch() -> None:
    model = network()
    found = predict_probabilities(model, IMAGES, 65)
    with evaluating(model):
        expected = model(IMAGES[:, :, 2:67, 3:68]).double().softmax(1)[:, 1]
    assert found.dtype == np.float64
    assert found == pytest.approx(expected.numpy(), abs=1e-6)
    assert predict_probabilities(model, IMAGES, 65, batch_size=2) == pytest.approx(found, abs=1e-6)


def test_a_prediction_leaves_modes_and_buffers_as_they_were() -> None:
    model = network().train()
    model.feature_extractor.eval()
    modes = [module.training for module in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    predict_probabilities(model, IMAGES, 65)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_near_certain_lesions_keep_their_order() -> None:
    found = positive_probabilities(torch.tensor([[-20.0, 0.0], [-22.0, 0.0]]))
    assert found[0] < found[1] < 1


def test_no_image_gives_no_probability() -> None:
    assert predict_probabilities(network(), IMAGES[:0], 65).shape == (0,)
    assert outputs(network(), IMAGES[:0, :, :65, :65]).shape == (0, 2)


def test_gradient_statistics_are_those_of_each_weight() -> None:
    layers = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2, bias=False))
    recorder = GradientRecorder(layers)
    layers[0].weight.grad = torch.tensor([[1.0, -3.0, 0.0], [0.0, 0.0, 2.0]])
    layers[1].weight.grad = torch.tensor([[0.5, 0.5], [0.5, -0.5]])
    recorder.note(1, recorder.statistics().numpy())
    layers[1].weight.grad = None
    recorder.note(2, recorder.statistics().numpy())
    flow = recorder.result()
    assert flow.layers == ("0.weight", "1.weight")
    assert flow.epochs.tolist() == [1, 2]
    assert flow.values.dtype == np.float32
    assert flow.values[0] == pytest.approx(np.array([[1.0, 3.0, 0.5], [0.5, 0.5, 0.0]]))
    assert flow.values[1, 1].tolist() == [0, 0, 1]


def test_weights_without_training_are_not_listed() -> None:
    layers = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    layers[0].requires_grad_(False)
    flow = GradientRecorder(layers).result()
    assert flow.layers == ("1.weight",)
    assert flow.values.shape == (0, 1, 3)
