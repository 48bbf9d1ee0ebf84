"""A batch forth and back on a CPU; tests/learning/test_gpu.py holds a GPU's replayed steps to these."""

import numpy as np
import torch
from torch import nn

from lesion_transfer.learning.forth_and_back import ForthAndBack
from lesion_transfer.learning.gradients import GradientRecorder
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.updates import WeightUpdate


def test_gradients_statistics_and_loss_are_those_worked_out_by_hand() -> None:
    layer = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(layer.weight)
    step = ForthAndBack(
        layer,
        lambda module, inputs: module(inputs),
        loss_function("cross_entropy"),
        WeightUpdate(layer.parameters(), 1e-3, "float32"),
        GradientRecorder(layer),
        batch_size=1,
    )
    for _ in range(2):
        # logits of zero: the loss is log 2, its gradient (softmax - label) times the input
        statistics, loss = step.read(step(torch.tensor([[3.0, 0.0]]), torch.tensor([1])))
        assert layer.weight.grad is not None
        assert layer.weight.grad.tolist() == [[1.5, 0.0], [-1.5, 0.0]]
        np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
        np.testing.assert_allclose(statistics, [[0.75, 1.5, 0.5]])
        assert statistics.dtype == np.float32


def test_masters_get_the_weights_gradients_and_no_stale_ones() -> None:
    layers = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    update = WeightUpdate(layers.parameters(), 0.1, "compensated")
    for weight in layers.parameters():
        weight.grad = torch.ones_like(weight)
    update.step()
    first, second = update.weights()
    layers[1].weight.grad = None
    update.step()
    assert update.moved[1].grad is None
    assert not torch.equal(layers[0].weight, first)
    assert torch.equal(layers[1].weight, second)
