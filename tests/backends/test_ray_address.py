"""A cluster that is named and cannot be joined."""

import pytest

from lesion_transfer.backends.backend import BackendError
from lesion_transfer.backends.ray_backend import RayBackend


@pytest.mark.slow
@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_told(address):
    with RayBackend(address) as backend, pytest.raises(BackendError, match=f"cluster {address} cannot be joined"):
        backend.run(abs, [1])
