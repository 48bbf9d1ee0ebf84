"""Gradients that would spoil a model: the training stops before the step, naming layer and batch."""

from collections.abc import Sequence

import numpy as np

from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.options import GradientLimits

PATIENCE = 10
"""Batches in a row in which a layer's gradient must be too small; dropout alone can empty a narrow layer once."""


class GradientAlarm:
    """Watches the statistics of one training's gradients, batch by batch, from input to output."""

    def __init__(self, limits: GradientLimits, layers: Sequence[str], name: str) -> None:
        self._limits, self._layers, self._name = limits, layers, name
        self._vanished = np.zeros(len(layers), dtype=np.int64)

    def state(self) -> list[int]:
        """For how many batches in a row each layer's gradient has been too small."""
        return [int(n) for n in self._vanished]

    def restore(self, state: Sequence[int]) -> None:
        """Puts `state()` back."""
        self._vanished = np.array(state, dtype=np.int64)

    def rest(self) -> None:
        """Takes note of a batch of which `nothing_alarming` is known: the same as `check` of it."""
        self._vanished.fill(0)

    def check(self, values: np.ndarray, epoch: int, batch: int) -> None:
        """values: (n_layers, 3), as in gradients.STATISTICS. Raises TrainingError; a converged network is no alarm.

        Not a number and exploding: at once. Vanishing: the layer's largest |gradient| is for PATIENCE batches less than
        the given share of the largest of all layers, so the loss still has a gradient that does not arrive there.
        """
        largest, where = values[:, 1].astype(np.float64), f"{self._name}, epoch {epoch}, batch {batch}"
        if (wrong := ~np.isfinite(largest)).any():
            raise TrainingError(
                f"{where}: the gradient of {self._first(wrong)} is not a number (or infinite), so the training stops "
                "before this step: lower the learning rate, or look for nan or huge values in the images."
            )
        if self._limits.exploding is not None and (wrong := largest > self._limits.exploding).any():
            raise TrainingError(
                f"{where}: the gradient of {self._first(wrong)} explodes ({largest.max():.3g} is above "
                f"gradient_flow.exploding, {self._limits.exploding:g}), so the training stops before this step: lower "
                "the learning rate, or raise the limit."
            )
        if self._limits.vanishing is not None:
            small = (largest <= self._limits.vanishing * largest.max()) & (largest.max() > 0)
            self._vanished = np.where(small, self._vanished + 1, 0)
            if (wrong := self._vanished >= PATIENCE).any():
                raise TrainingError(
                    f"{where}: the gradient of {self._first(wrong)} has vanished (for {PATIENCE} batches at most "
                    f"{self._limits.vanishing:g} of that of the largest layer, gradient_flow.vanishing): try another "
                    "network.initialisation, or set the limit to null."
                )

    def _first(self, wrong: np.ndarray) -> str:
        """The layer nearest to the output, where a bad gradient shows first on its way back."""
        return self._layers[int(np.flatnonzero(wrong)[-1])]


def nothing_alarming(values: np.ndarray, limits: GradientLimits) -> np.ndarray:
    """(K,) bool, of K trainings' statistics (K, n_layers, 3): whether no layer is even near an alarm."""
    largest = values[..., 1].astype(np.float64)
    top = largest.max(axis=1)
    calm = np.asarray(np.isfinite(largest).all(axis=1))
    if limits.exploding is not None:
        calm = calm & (top <= limits.exploding)
    if limits.vanishing is not None:
        calm = calm & ~((largest <= limits.vanishing * top[:, None]) & (top > 0)[:, None]).any(axis=1)
    return calm
