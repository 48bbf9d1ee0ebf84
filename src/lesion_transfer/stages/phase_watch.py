"""What the terminal tells while a phase trains: how far it is, how long it takes, when updates are lost."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.stages.progress import Move

log = logging.getLogger(__name__)
MOSTLY = 0.5
"""The share of lost updates from which a phase warns."""


class PhaseWatch:
    """Follows the members of one population; its methods are the hooks of `learning.population.train_population`.

    score: the metric that stands behind the bar.
    """

    def __init__(
        self, name: str, members: Sequence[TrainingOptions], move: Move, score: str = "validation_auc"
    ) -> None:
        self._name, self._members, self._move, self._score = name, members, move, score
        self._done = [0] * len(members)
        self._to_go = 0
        self._together = 0
        self._told = 0
        self._begun: float | None = None
        self._warned = False

    def estimate(self, number: int, seconds_an_epoch: float, epochs: int) -> None:
        """Before a member's first epoch, from one step that was timed; of members side by side before any epoch."""
        if self._told == 0:
            self._together += 1
        if self._begun is None:
            self._begun = time.monotonic()
            others = sum(own.epochs - done for own, done in zip(self._members, self._done, strict=True))
            self._to_go = epochs + others - (self._members[number].epochs - self._done[number])
            self._say_time(seconds_an_epoch, self._to_go, "timed on one batch")

    def epoch(self, number: int, row: Mapping[str, float]) -> None:
        """After an epoch, with its row of history."""
        self._done[number] = int(row["epoch"])
        self._move(sum(self._done), note=f"{self._score.replace('_auc', ' AUC')} {row[self._score]:.3f}")
        self._told += 1
        if self._begun is not None and self._told == self._together < self._to_go:
            seconds = (time.monotonic() - self._begun) / self._together
            self._say_time(seconds, self._to_go - self._together, "timed on the first epoch")
        if not self._warned and row["lost_update_share"] > MOSTLY:
            self._warned = True
            log.warning("%s, epoch %d: %s", self._name, row["epoch"], _lost(row, self._members[number]))

    def finished(self, number: int) -> None:
        """When a member is done, be it after fewer epochs than it might have had."""
        self._done[number] = self._members[number].epochs
        self._move(sum(self._done))

    def _say_time(self, seconds_an_epoch: float, epochs: int, how: str) -> None:
        whole = timedelta(seconds=round(seconds_an_epoch * epochs))
        log.info("%s: about %s for %d epochs of %.2g s (%s)", self._name, whole, epochs, seconds_an_epoch, how)


def _lost(row: Mapping[str, float], options: TrainingOptions) -> str:
    mend = "set precision: compensated" if options.precision == "float32" else "raise the learning rate"
    return (
        f"rounding swallows {row['lost_update_share']:.0%} of the weights' updates at a learning rate of "
        f"{row['lr']:g} in {options.precision}; {mend} (of this phase, or at the top of params.yaml)"
    )
