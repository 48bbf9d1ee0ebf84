"""Replicates of the whole pipeline: each has its own split (data/assigned) and its own random streams."""

from lesion_transfer.randomness import stream_seed


def replicate_seed(seed: int, replicate: int) -> int:
    """The seed of a replicate's random streams; the first has that of params.yaml."""
    return seed if replicate == 0 else stream_seed(seed, "replicate", str(replicate))
