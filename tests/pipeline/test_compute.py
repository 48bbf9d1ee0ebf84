"""What a process that computes is told by `deterministic`."""

from collections.abc import Iterator

import pytest
import torch

from lesion_transfer.stages.training.compute import prepare_process


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products
    torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.mark.parametrize("deterministic", [True, False])
def test_only_where_bits_need_not_repeat_a_gpu_may_round_products(deterministic: bool) -> None:
    prepare_process(1, deterministic)
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.backends.cudnn.allow_tf32 != deterministic
    assert torch.backends.cuda.matmul.allow_tf32 != deterministic
