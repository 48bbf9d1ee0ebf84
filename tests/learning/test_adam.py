"""Our Adam is torch's, without what torch's loads beside it."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from lesion_transfer.learning.adam import Adam


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_it_moves_weights_bit_for_bit_as_torchs(kind):
    draws = torch.Generator().manual_seed(1)
    start, gradients = torch.randn(7, generator=draws, dtype=kind), torch.randn(30, 7, generator=draws, dtype=kind)
    moved = []
    for family in (Adam, torch.optim.Adam):
        weight = nn.Parameter(start.clone())
        optimizer = family([weight], lr=1e-2, fused=True)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3)
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimizer.step()
            scheduler.step(1.0)
        moved.append(weight.detach())
    assert torch.equal(*moved)
    assert not torch.equal(moved[0], start)


def test_a_training_step_does_not_load_the_compiler():
    code = (
        "import sys, torch\n"
        "from lesion_transfer.learning.updates import Plateau, WeightUpdate\n"
        "weight = torch.nn.Parameter(torch.ones(2))\n"
        "update = WeightUpdate([weight], 0.1, 'compensated')\n"
        "weight.sum().backward(); update.step(); Plateau(update, 0.1, 0).step(0.5)\n"
        "print('torch._dynamo' in sys.modules, bool((weight < 1).all()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
