"""Named random streams: the same seed and names give the same draws, whatever else was drawn."""

import hashlib

import numpy as np


def stream_seed(seed: int, *names: str) -> int:
    """A 63-bit seed that depends on `seed` and every name (SHA-256, so that neighbouring seeds share nothing)."""
    digest = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def named_generator(seed: int, *names: str) -> np.random.Generator:
    """NumPy's PCG64 on the stream of these names."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, *names)))
