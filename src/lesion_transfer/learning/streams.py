"""Torch's side of the named random streams: what is drawn depends on a seed and names alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lesion_transfer.randomness import stream_seed


def torch_generator(seed: int, *names: str) -> torch.Generator:
    """A CPU generator at the start of the stream of these names."""
    return torch.Generator().manual_seed(stream_seed(seed, *names))


@contextmanager
def global_stream(device: torch.device, seed: int, *names: str) -> Iterator[None]:
    """Inside the block torch's global generator of `device` is at the start of this stream; afterwards as before.

    Dropout takes no generator of its own; this is how it draws from a named stream.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        start = stream_seed(seed, *names)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(start)
        else:
            torch.default_generator.manual_seed(start)
        yield
