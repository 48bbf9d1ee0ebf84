"""What hiding changes lies where the network looks."""

import numpy as np
import torch
from torch import nn

from lesion_transfer.learning.network import build_network
from lesion_transfer.learning.occlusion import occlusion_map
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.streams import torch_generator


class LooksAtOneSpot(nn.Module):
    """The logit of a positive is the mean of a 5 x 5 square."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images):
        spot = images[:, :, 10:15, 40:45].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(spot), self.weight * spot], dim=1)


def test_the_map_is_highest_where_the_network_looks_and_zero_where_it_does_not():
    found = occlusion_map(LooksAtOneSpot(), torch.ones(1, 65, 65))
    assert found.shape == (65, 65)
    highest = np.unravel_index(np.argmax(found), found.shape)
    assert 6 <= highest[0] <= 18
    assert 36 <= highest[1] <= 48
    assert (found[30:] == 0).all()
    assert found.min() >= 0


def test_evidence_against_a_positive_is_below_zero():
    assert occlusion_map(LooksAtOneSpot(), -torch.ones(1, 65, 65)).min() < 0


def test_every_pixel_is_hidden_at_least_once_and_the_network_stays_as_it_was():
    network = build_network(NetworkOptions(filters=[2, 2, 4]), 2, 0.1, torch_generator(0, "network"))
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = occlusion_map(network, torch.randn(2, 65, 65, generator=torch_generator(1, "patch")), window=9, stride=9)
    assert np.isfinite(found).all()
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
