"""What a phase starts from: a network made of earlier phases' models, rows, hyperparameters; a start a replicate."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesion_transfer.learning.checkpoint import load_model
from lesion_transfer.learning.network import LesionNetwork, weight_dtype
from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.learning.population import Member
from lesion_transfer.learning.resume import StatePlace
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import Probe
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError, require
from lesion_transfer.stages.training.learnt import learnt_from
from lesion_transfer.stages.training.replicates import replicate_seed
from lesion_transfer.stages.training.training_data import LoadedCohort, load_training_data
from lesion_transfer.transfer.phases import starting_network
from lesion_transfer.transfer.plan import FIRST_PHASE, KEEP, RESET, Phase
from lesion_transfer.transfer.probe import target_probe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """One replicate of a phase, ready to be trained.

    lineage: the ancestors (phase, model_sha256, epochs), the roulette first; all of the same replicate. target: the
    cohort that the probe scores.
    """

    phase: Phase
    replicate: int
    loaded: LoadedCohort
    target: LoadedCohort
    network: LesionNetwork
    lineage: list[dict[str, Any]]
    options: TrainingOptions
    seed: int
    probe: Probe | None

    @property
    def epochs_before(self) -> int:
        """Epochs of all ancestors together, from which global_epoch counts on."""
        return sum(ancestor["epochs"] for ancestor in self.lineage)

    @property
    def key(self) -> str:
        """What tells this replicate from the others: r000, r001, ..."""
        return f"r{self.replicate:03d}"

    @property
    def training(self) -> str:
        """The name of this replicate's states: another learning rate, which a grid finds, is another training."""
        return f"{self.key}_lr{self.options.lr!r}"

    def member(self, place: StatePlace | None = None) -> Member:
        """This replicate as a member of a population; its states are kept in `place`."""
        return Member(self.phase.name, self.network, self.loaded.data, self.options, self.seed, self.probe, place)


def prepare_starts(layout: Layout, settings: Settings, phase: Phase) -> Sequence[Start]:
    """A start for each replicate of the split, each on its own rows and from its own replicate of the phases before."""
    return [_prepare(layout, settings, phase, replicate) for replicate in range(settings.split.replicates)]


def _prepare(layout: Layout, settings: Settings, phase: Phase, replicate: int) -> Start:
    options = settings.hyperparameters(phase.name)
    loaded = load_training_data(layout, settings, phase.cohort, replicate)
    seed = replicate_seed(settings.seed, replicate)
    first = phase.name == FIRST_PHASE
    target = loaded if first else load_training_data(layout, settings, settings.target, replicate)
    network, lineage = _network(layout, settings, phase, loaded, replicate, seed)
    # ds1_full itself is its own global performance
    probe = None if first else _probe(layout, settings, target, replicate)
    return Start(phase, replicate, loaded, target, network, lineage, options, seed, probe)


def _network(
    layout: Layout, settings: Settings, phase: Phase, loaded: LoadedCohort, replicate: int, seed: int
) -> tuple[LesionNetwork, list[dict[str, Any]]]:
    """The network that the phase starts with, and its lineage."""
    options = settings.hyperparameters(phase.name)
    if phase.start is None:
        network, origin, sha256 = load_initial(layout, settings, loaded, replicate)
        lineage = [{"phase": origin, "model_sha256": sha256, "epochs": 0}]
        attached = None
    else:
        folder = require(layout.model(phase.start, replicate), f"lesion transfer {phase.start}")
        network, info = load_model(folder)
        own = {"phase": phase.start, "model_sha256": info["model_sha256"]}
        lineage = [*info["lineage"], {**own, "epochs": info["epochs_trained"]}]
        lends = phase.decision_maker not in {KEEP, RESET}
        attached = load_model(layout.model(phase.decision_maker, replicate))[0] if lends else None
    generator, dtype = torch_generator(seed, phase.name, "decision maker"), weight_dtype(options)
    return starting_network(phase, network, attached, settings.network, generator, options.dropout, dtype), lineage


def _probe(layout: Layout, settings: Settings, target: LoadedCohort, replicate: int) -> Probe:
    """The target's scores with ds1_full's decision maker, and its loss: one measure for the whole pipeline."""
    first, _ = load_model(require(layout.model(FIRST_PHASE, replicate), "lesion train"))
    return target_probe(first, target.data, target.cohort.patch_pixels, settings.loss)


def load_initial(
    layout: Layout, settings: Settings, loaded: LoadedCohort, replicate: int = 0
) -> tuple[LesionNetwork, str, str]:
    """The network that ds1_full starts from, the phase that made it, its hash.

    Each replicate has a roulette's winner of its own; a user's model (initial_model) is the start of all. Raises
    StageError where its sizes or its input are not those of params.yaml, or it learnt from what this split tests.
    """
    folder = layout.root / settings.initial_model
    if folder == layout.model("roulette"):
        folder = layout.model("roulette", replicate)
    network, info = load_model(require(folder, "lesion roulette"))
    target = settings.cohorts[settings.target]
    wanted = {
        **settings.network.model_dump(exclude={"initialisation"}),
        "channels": len(target.image_channels),
        "patch_pixels": target.patch_pixels,
    }
    has = {
        **network.options.model_dump(exclude={"initialisation"}),
        "channels": network.in_channels,
        "patch_pixels": network.patch_pixels,
    }
    if differing := [f"{key} {has[key]} (params.yaml: {wanted[key]})" for key in wanted if wanted[key] != has[key]]:
        raise StageError(f"initial_model: {folder} was made with other settings: {', '.join(differing)}")
    if folder != layout.model("roulette", replicate):
        _refuse_leak(settings, folder, info, loaded)
    return network, str(info.get("phase", settings.initial_model)), str(info["model_sha256"])


def _refuse_leak(settings: Settings, folder: Path, info: Mapping[str, Any], loaded: LoadedCohort) -> None:
    """StageError where the model, or one that it descends from, learnt from a patient whom the split of `loaded` tests.

    Where ids are not shared between data sets, those of cohorts of another data set are other people.
    """
    own = settings.dataset_of(settings.target)
    others = [name for name in settings.cohorts if settings.dataset_of(name) != own]
    tested = set(loaded.assigned.loc[loaded.assigned["subset"] == "test", "patient_id"])
    known, unknown = learnt_from(folder, info)
    for place, table in known.items():
        if not settings.split.shared_patient_ids:
            table = table[~table["cohort"].isin(others)]
        if shared := sorted(tested & set(table["patient_id"])):
            raise StageError(
                f"initial_model: {place} learnt from {shared[0]} and {len(shared) - 1} more patients whom this split "
                "tests; take a model of the same seed and split, or one of other patients"
            )
    if unknown:
        log.warning(
            "initial_model: what %s of %s learnt from is not known (no predictions.csv of it there); if it saw "
            "patients whom this split tests, the test proves nothing",
            ", ".join(unknown),
            folder,
        )
