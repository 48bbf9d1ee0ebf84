"""What was made faster does what it did before."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from lesion_transfer.learning.architectures.map_dropout import MapDropout

MAPS = torch.rand(16, 8, 31, 31, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_map_dropout_drops_its_share_keeps_the_mean_and_passes_gradients_of_what_it_kept(p, layout) -> None:
    maps = MAPS.clone(memory_format=layout).requires_grad_()
    dropped = MapDropout(p)(maps)
    kept = dropped != 0
    n = maps.numel()
    assert abs(kept.double().mean().item() - (1 - p)) < 4 * (p * (1 - p) / n) ** 0.5 + 1 / 65536
    torch.testing.assert_close(dropped[kept], maps[kept] / (1 - p), rtol=1e-3, atol=0)
    assert dropped.is_contiguous(memory_format=layout)
    dropped.sum().backward()
    assert torch.equal(maps.grad != 0, kept)
    torch.testing.assert_close(maps.grad[kept], torch.full_like(maps.grad[kept], 1 / (1 - p)), rtol=1e-3, atol=0)


def test_map_dropouts_decisions_are_independent_of_their_neighbours() -> None:
    """Four come from one random number."""
    kept = (MapDropout(0.5)(torch.ones(64, 4, 32, 32)) != 0).double().flatten() - 0.5
    for distance in (1, 2, 3, 4, 1024):
        correlation = 4 * (kept[distance:] * kept[:-distance]).mean().item()
        assert abs(correlation) < 5 / len(kept) ** 0.5


def test_map_dropout_repeats_itself_and_is_off_where_dropout_is() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(MapDropout(0.3)(MAPS))
    assert torch.equal(*drawn)
    assert torch.equal(MapDropout(0.0)(MAPS), MAPS)
    assert torch.equal(MapDropout(0.3).eval()(MAPS), MAPS)
    assert isinstance(MapDropout(0.3), nn.Dropout)


def test_freed_memory_is_kept_for_the_next_batch() -> None:
    """Counted in page faults: 64 MB of float32 are 16,384 pages."""
    program = """
import resource, torch
from lesion_transfer.learning.allocator import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
torch.set_num_threads(1)
given_back = faults()
assert keep_freed_memory()
faults(), faults(), faults()
print(given_back, faults())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept < given_back / 4
