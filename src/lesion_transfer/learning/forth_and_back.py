"""One batch forth and back: gradients, their statistics and the loss. On a GPU it is captured once and then replayed.

A GPU does the hundreds of small kernels of a step faster than Python launches them; a CUDA graph is one launch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from lesion_transfer.learning.gradients import STATISTICS, GradientRecorder
from lesion_transfer.learning.losses import LossFunction
from lesion_transfer.learning.updates import WeightUpdate

WARM_UPS = 3
"""Steps before a capture, in which libraries choose their kernels and set themselves up (PyTorch's notes on CUDA)."""


@dataclass
class ForthAndBack:
    """Called with a batch it leaves the batch's gradients in the weights of `module`, which is in train mode.

    forward: logits of `module` for inputs. update: of the weights of `module`. recorder: of their gradients.
    batch_size: of the batches that are replayed; the last one of an epoch may be another.
    """

    module: nn.Module
    forward: Callable[[nn.Module, Tensor], Tensor]
    loss_of: LossFunction
    update: WeightUpdate
    recorder: GradientRecorder
    batch_size: int
    _captured: "_Captured | None" = field(default=None, init=False)

    def __call__(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """What `read` reads, on the device, which may still be at work; holds until the next call."""
        if not self.replays(inputs):
            return self._eagerly(inputs, labels)
        if self._captured is None:
            self._captured = self._capture(inputs, labels)
        return self._captured(inputs, labels)

    def replays(self, inputs: Tensor) -> bool:
        """Whether a batch of these inputs is one for the graph."""
        return inputs.device.type == "cuda" and len(inputs) == self.batch_size

    @staticmethod
    def read(noted: Tensor) -> tuple[np.ndarray, float]:
        """The gradients' statistics, float32 (n_layers, 3), and the loss, in one transfer: waits for a GPU."""
        values = noted.cpu().numpy()
        return values[:-1].reshape(-1, len(STATISTICS)).astype(np.float32), float(values[-1])

    def _eagerly(self, inputs: Tensor, labels: Tensor) -> Tensor:
        loss = self.loss_of(self.forward(self.module, inputs), labels)
        self.update.zero_grad()
        loss.backward()
        return torch.cat([self.recorder.statistics().flatten().double(), loss.detach().double()[None]])

    def _capture(self, inputs: Tensor, labels: Tensor) -> "_Captured":
        """Leaves weights, buffers and random streams as they are."""
        inputs, labels = inputs.clone(), labels.clone()
        # the running statistics of BatchNorm, which warming up moves
        before = [(buffer, buffer.clone()) for buffer in self.module.buffers()]
        with torch.random.fork_rng(devices=[inputs.device]):
            aside, stream = torch.cuda.Stream(), torch.cuda.current_stream()
            aside.wait_stream(stream)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    self._eagerly(inputs, labels)
            stream.wait_stream(aside)
            # so that the graph has gradients of its own
            self.update.zero_grad()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                noted = self._eagerly(inputs, labels)
        for buffer, kept in before:
            buffer.copy_(kept)
        gradients = [weight.grad for weight in self.update.parameters]
        return _Captured(graph, inputs, labels, noted, self.update.parameters, gradients)


@dataclass(frozen=True)
class _Captured:
    """A graph and the memory that it works on, which has to stay where it is."""

    graph: torch.cuda.CUDAGraph
    inputs: Tensor
    labels: Tensor
    noted: Tensor
    weights: Sequence[nn.Parameter]
    gradients: Sequence[Tensor | None]

    def __call__(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.inputs.copy_(inputs)
        self.labels.copy_(labels)
        self.graph.replay()
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            weight.grad = gradient
        return self.noted
