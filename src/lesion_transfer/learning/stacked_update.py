"""Adam for K members at once: each with its own learning rate and its own moments, all in one table."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lesion_transfer.learning.adam import Adam
from lesion_transfer.learning.updates import WeightUpdate


class StackedUpdate:
    """Moves the weights of K members' updates; they become rows of `weights` (K, P), and their moments rows, too.

    Each member's WeightUpdate, and the network that it moves, see every step, for their tensors are views of the rows:
    its state can be kept, and training can go on from it, alone or in another stack.
    """

    def __init__(self, updates: Sequence[WeightUpdate]) -> None:
        self._updates = updates
        self._compensated = updates[0].precision == "compensated"
        self.weights = _as_rows([update.parameters for update in updates])
        masters = _as_rows([update.moved for update in updates]) if self._compensated else self.weights
        self._rows = list(masters.unbind(0))
        self._masters = masters
        self._optimizer = Adam([{"params": [row], "lr": 0.0} for row in self._rows], fused=True)
        self._first, self._second = torch.zeros_like(masters), torch.zeros_like(masters)
        for number, (update, row) in enumerate(zip(updates, self._rows, strict=True)):
            self._optimizer.state[row] = self._share_moments(number, update)

    def _share_moments(self, number: int, update: WeightUpdate) -> dict[str, Tensor]:
        """Adam's state of a member's row; the member's own optimizer gets views of it."""
        states = [update.optimizer.state[moved] for moved in update.moved]
        step = torch.zeros((), dtype=torch.float32, device=self.weights.device)
        for name, table in (("exp_avg", self._first), ("exp_avg_sq", self._second)):
            pieces = table[number].split([moved.numel() for moved in update.moved])
            for moved, state, piece in zip(update.moved, states, pieces, strict=True):
                own = piece.view(moved.shape)
                if name in state:
                    own.copy_(state[name])
                    step.copy_(state["step"])
                state[name] = own
        for state in states:
            moments = {"exp_avg": state["exp_avg"], "exp_avg_sq": state["exp_avg_sq"]}
            state.clear()
            state.update({"step": step, **moments})
        return {"step": step, "exp_avg": self._first[number], "exp_avg_sq": self._second[number]}

    def step(self, gradients: Tensor, active: Sequence[bool]) -> None:
        """One step with gradients (K, P) of the members that are active; the others stay as they are."""
        wide = gradients.to(self._masters)
        for row, gradient, moves, group, update in zip(
            self._rows, wide.unbind(0), active, self._optimizer.param_groups, self._updates, strict=True
        ):
            row.grad = gradient if moves else None
            group["lr"] = update.lr
        self._optimizer.step()
        if self._compensated:
            with torch.no_grad():
                self.weights.copy_(self._masters)

    def measured_step(self, gradients: Tensor, active: Sequence[bool]) -> list[float]:
        """One step; of each member the share of numbers that Adam wanted to move and that rounding left in place."""
        before = self._masters.clone()
        self.step(gradients, active)
        wanting = self._first != 0
        wanted, lost = wanting.sum(1).tolist(), (wanting & (before == self._masters)).sum(1).tolist()
        return [part / whole if whole else 0.0 for part, whole in zip(lost, wanted, strict=True)]

    def moved_shares(self, before: Tensor) -> list[float]:
        """Of each member the share of weights that are no longer what `before` (K, P) was."""
        moved = (self.weights != before).sum(1).tolist()
        return [count / before.shape[1] for count in moved]


def _as_rows(members: Sequence[Sequence[Tensor]]) -> Tensor:
    """(K, P) with the numbers of each member's tensors, which become views of it."""
    with torch.no_grad():
        table = torch.stack([torch.cat([tensor.reshape(-1) for tensor in tensors]) for tensors in members])
    for row, tensors in zip(table, members, strict=True):
        for piece, tensor in zip(row.split([tensor.numel() for tensor in tensors]), tensors, strict=True):
            tensor.data = piece.view(tensor.shape)
    return table
