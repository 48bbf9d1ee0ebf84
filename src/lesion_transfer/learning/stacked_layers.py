"""Equal decision makers of K members as one: every dense layer a batched product of K matrices."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ELEMENTWISE = (nn.ELU, nn.ReLU, nn.LeakyReLU, nn.Identity)


def unstackable_layer(module: nn.Module) -> str | None:
    """The name of the first kind of layer that cannot be stacked, None where all can."""
    known = (nn.Linear, nn.Dropout, *ELEMENTWISE)
    return next((type(layer).__name__ for layer in module.children() if not isinstance(layer, known)), None)


class StackedLayers:
    """(K, B, F) -> (K, B, 2) by K sequences of equal layers, each with weights of its own.

    flat: (K, P), row k the weights of member k one after the other, as `parameters()` gives them. The leaves that
    gradients are taken of are views into it. dropout: of each member, in all its dropout layers.
    """

    def __init__(self, template: nn.Sequential, flat: Tensor, dropout: Sequence[float]) -> None:
        self._layers, self._dropout = list(template), dropout
        named = list(template.named_parameters())
        pieces = flat.detach().split([weight.numel() for _, weight in named], dim=1)
        self.leaves = [
            piece.unflatten(1, weight.shape).requires_grad_() for piece, (_, weight) in zip(pieces, named, strict=True)
        ]
        self.n_weights = [weight.numel() for _, weight in named]
        self.recorded = [name.endswith("weight") for name, _ in named]

    def __call__(self, inputs: Tensor, generators: Sequence[torch.Generator], rows: Sequence[int]) -> Tensor:
        """Logits in training; member k draws its dropout for rows[k] samples from generators[k]."""
        leaves = iter(self.leaves)
        for layer in self._layers:
            if isinstance(layer, nn.Linear):
                weight = next(leaves)
                if layer.bias is None:
                    inputs = torch.bmm(inputs, weight.transpose(1, 2))
                else:
                    inputs = torch.baddbmm(next(leaves)[:, None], inputs, weight.transpose(1, 2))
            elif isinstance(layer, nn.Dropout):
                inputs = inputs * self._masks(inputs, generators, rows)
            else:
                inputs = layer(inputs)
        return inputs

    def gradients(self, loss: Tensor) -> Tensor:
        """(K, P) of a scalar that is the sum of the members' losses."""
        return torch.cat([part.flatten(1) for part in torch.autograd.grad(loss, self.leaves)], dim=1)

    def statistics(self, gradients: Tensor) -> Tensor:
        """float32 (K, n_layers, 3) as gradients.STATISTICS, of gradients (K, P); biases are left out."""
        parts = [
            part
            for part, recorded in zip(gradients.abs().split(self.n_weights, dim=1), self.recorded, strict=True)
            if recorded
        ]
        columns = [torch.stack([part.mean(1), part.amax(1), (part == 0).to(part).mean(1)], dim=1) for part in parts]
        return torch.stack(columns, dim=1).float()

    def _masks(self, inputs: Tensor, generators: Sequence[torch.Generator], rows: Sequence[int]) -> Tensor:
        """(K, B, F) of 0 and 1 / (1 - p), for each member what nn.Dropout would draw; 1 beyond a member's own rows."""
        masks = torch.ones_like(inputs)
        for member, p, generator, n in zip(masks, self._dropout, generators, rows, strict=True):
            if p > 0:
                member[:n].bernoulli_(1 - p, generator=generator).div_(1 - p)
        return masks
