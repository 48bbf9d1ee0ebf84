"""A cluster that is named and cannot be joined."""

import subprocess
import sys

import pytest

CODE = """
import sys
from lesion_transfer.backends.backend import BackendError
from lesion_transfer.backends.ray_backend import RayBackend
with RayBackend(sys.argv[1]) as backend:
    try:
        backend.run(abs, [1])
    except BackendError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_told(address):
    """In a process of its own: Ray keeps for good whether the first cluster it was sent to asks for a token."""
    done = subprocess.run([sys.executable, "-c", CODE, address], capture_output=True, text=True, check=True)
    assert f"cluster {address} cannot be joined" in done.stdout
