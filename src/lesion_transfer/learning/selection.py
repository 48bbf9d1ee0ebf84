"""Which epoch's model is kept (thesis 5.2.3)."""

import math
from typing import Any

from lesion_transfer.learning.options import OptimizedMetric

_PAIRS: dict[str, tuple[str, ...]] = {
    "auc_and_balanced_accuracy": ("auc", "balanced_accuracy"),
    "auc_and_accuracy": ("auc", "accuracy"),
}


class BestEpoch:
    """The last epoch whose every watched validation score was at least that of the epoch kept before.

    nan counts as worst of all. So without a labelled validation row the last epoch is kept, and with one class only the
    other score of a pair decides.
    """

    def __init__(self, metric: OptimizedMetric) -> None:
        self._watched = _PAIRS.get(metric, (metric,))
        self._kept: list[float] | None = None
        self._bettered = 0
        self.epoch = 0

    def offer(self, epoch: int, scores: dict[str, float]) -> bool:
        """True when this epoch is to be kept; `scores` by the names of metrics.METRICS. The first always is."""
        values = [-math.inf if math.isnan(scores[name]) else scores[name] for name in self._watched]
        if self._kept is not None and any(new < old for new, old in zip(values, self._kept, strict=True)):
            return False
        if self._kept is None or values != self._kept or not any(map(math.isfinite, values)):
            self._bettered = epoch
        self._kept, self.epoch = values, epoch
        return True

    def stalled(self, epoch: int, patience: int) -> bool:
        """Whether `patience` epochs in a row were no better, equal being no better; never with patience 0.

        Without any validation score there is nothing to judge by, and nothing stalls.
        """
        return 0 < patience <= epoch - self._bettered

    def state(self) -> dict[str, Any]:
        """What it remembers, as JSON values."""
        return {"epoch": self.epoch, "kept": self._kept, "bettered": self._bettered}

    def restore(self, state: dict[str, Any]) -> None:
        """Puts `state` back."""
        self.epoch, self._kept, self._bettered = state["epoch"], state["kept"], state["bettered"]
