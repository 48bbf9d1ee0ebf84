"""What the terminal tells while a phase trains: how far it is, how long it takes, when updates are lost."""

import logging
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
        self._said: set[str] = set()
        self._warned = False

    def estimate(self, number: int, seconds_an_epoch: float, epochs: int, how: str) -> None:
        """Before and after a member's first epoch, of which it has `epochs` to go; the first of each kind is said."""
        if how in self._said:
            return
        self._said.add(how)
        each = enumerate(zip(self._members, self._done, strict=True))
        to_go = epochs + sum(own.epochs - done for other, (own, done) in each if other != number)
        whole = timedelta(seconds=round(seconds_an_epoch * to_go))
        log.info("%s: about %s for %d epochs of %.2g s (%s)", self._name, whole, to_go, seconds_an_epoch, how)

    def epoch(self, number: int, row: Mapping[str, float]) -> None:
        """After an epoch, with its row of history."""
        self._done[number] = int(row["epoch"])
        self._move(sum(self._done), note=f"{self._score.replace('_auc', ' AUC')} {row[self._score]:.3f}")
        if not self._warned and row["lost_update_share"] > MOSTLY:
            self._warned = True
            log.warning("%s, epoch %d: %s", self._name, row["epoch"], _lost(row, self._members[number]))

    def finished(self, number: int) -> None:
        """When a member is done, be it after fewer epochs than it might have had."""
        self._done[number] = self._members[number].epochs
        self._move(sum(self._done))


def _lost(row: Mapping[str, float], options: TrainingOptions) -> str:
    mend = "set precision: compensated" if options.precision == "float32" else "raise the learning rate"
    return (
        f"rounding swallows {row['lost_update_share']:.0%} of the weights' updates at a learning rate of "
        f"{row['lr']:g} in {options.precision}; {mend} (of this phase, or at the top of params.yaml)"
    )
