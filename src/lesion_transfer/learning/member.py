"""One training of a population, before it is trained and after."""

from dataclasses import dataclass

from lesion_transfer.learning.course import Probe, TrainingResult
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.learning.state import StatePlace


@dataclass(frozen=True)
class Member:
    """One training of a population: its own start, rows, hyperparameters (lr, dropout, ...), and random streams.

    network: the start, left as it is. data: members may share one `images` tensor; it then travels once. name, seed: of
    its random streams. probe: as of `training.train`. place: where its states are kept, so that it goes on from the
    last one when its process or worker was killed. stack: members that name the same are trained side by side where
    that can be done (stacked.py), to what they would be alone but for rounding; None: alone.
    """

    name: str
    network: LesionNetwork
    data: TrainingData
    options: TrainingOptions
    seed: int
    probe: Probe | None = None
    place: StatePlace | None = None
    stack: str | None = None


@dataclass(frozen=True)
class Trained:
    """A member's result and how long it took; the seconds are for people and must reach no output.

    Members trained side by side share their time equally.
    """

    result: TrainingResult
    seconds: float

    @property
    def history(self) -> list[dict[str, float]]:
        """One row an epoch."""
        return self.result.history


@dataclass(frozen=True)
class Stopped:
    """A member whose training could not go on: why, its whole epochs, and how long it took, as of `Trained`."""

    reason: str
    history: list[dict[str, float]]
    seconds: float
