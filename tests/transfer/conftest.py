"""One thread: these networks are too small for two, and a result depends on the number of threads."""

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
