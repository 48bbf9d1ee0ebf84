"""Tiny phantoms, written once a session, and the shipped recipes."""

from pathlib import Path

import pytest

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom import write_phantom

RECIPES = Path(__file__).parents[2] / "phantom"
TINY = {
    "prostatex": PhantomOptions(n_patients=6, n_slices=5),
    "lungx": PhantomOptions(n_patients=6, n_slices=3),
    "brain": PhantomOptions(n_patients=8, n_slices=1),
}
SEED = 7


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of one tiny phantom of each kind."""
    root = tmp_path_factory.mktemp("phantoms")
    for kind, options in TINY.items():
        write_phantom(kind, RECIPES / f"{kind}.yaml", root / kind, options, SEED)
    return {kind: root / kind for kind in TINY}
