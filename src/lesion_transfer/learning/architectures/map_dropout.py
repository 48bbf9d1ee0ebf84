"""Dropout of whole feature maps' pixels that draws four decisions from one random number."""

from typing import Any

import torch
from torch import Tensor, nn

LEVELS = 2**16


class MapDropout(nn.Dropout):
    """nn.Dropout for (B, C, H, W) on a CPU in less than half the time, from torch's global generator as well.

    The probability is rounded to a multiple of 1/65536, and what is kept is scaled by the rounded one, so that means
    are kept. On a GPU, and in eval mode, it is nn.Dropout.
    """

    def forward(self, input: Tensor) -> Tensor:
        """As nn.Dropout."""
        dense = input.is_contiguous() or input.is_contiguous(memory_format=torch.channels_last)
        if not self.training or self.p == 0 or input.device.type != "cpu" or not dense:
            return super().forward(input)
        return _Dropped.apply(input, min(round(self.p * LEVELS), LEVELS - 1))


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, n_dropped: int) -> Tensor:
        n = inputs.numel()
        drawn = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.int16)[:n] >= n_dropped - LEVELS // 2
        scales = kept.to(inputs.dtype).mul_(LEVELS / (LEVELS - n_dropped)).as_strided(inputs.size(), inputs.stride())
        ctx.save_for_backward(scales)
        return inputs * scales

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (scales,) = ctx.saved_tensors
        return gradients[0] * scales, None
