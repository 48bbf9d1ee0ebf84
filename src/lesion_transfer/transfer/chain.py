"""All arms of one outer fold: a tree of phases trained from the fold's own roulette; tensors in, predictions out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lesion_transfer.learning.augmentation import centre_crop
from lesion_transfer.learning.balance import draws_of_each_class, labelled
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import LesionNetwork, weight_dtype
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, NetworkOptions
from lesion_transfer.learning.resume import StateFile, StatePlace
from lesion_transfer.learning.roulette import roulette
from lesion_transfer.learning.scoring import outputs, positive_probabilities
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import DEFAULT_LIMITS, train
from lesion_transfer.randomness import named_generator
from lesion_transfer.transfer.arms import Node, PhaseTree
from lesion_transfer.transfer.errors import PhaseError
from lesion_transfer.transfer.freezing import assert_frozen
from lesion_transfer.transfer.permutation import permuted_by_patient
from lesion_transfer.transfer.phases import starting_network


@dataclass(frozen=True)
class FoldData:
    """What one outer fold is trained and tested on.

    cohorts: the training data of every cohort that a phase trains on, its rows without any test patient. patients: of
    the rows of every cohort, (n,) text, equal where two rows are of one person, also of different cohorts. target: the
    cohort that is predicted, in which test_rows (m,) are the fold's.
    """

    cohorts: Mapping[str, TrainingData]
    patients: Mapping[str, np.ndarray]
    target: str
    test_rows: Tensor
    patch_pixels: int


@dataclass(frozen=True)
class ChainOptions:
    """What all phases share."""

    network: NetworkOptions
    augmentation: AugmentationOptions
    roulette_n: int
    device: str = "cpu"
    limits: GradientLimits = DEFAULT_LIMITS


@dataclass(frozen=True)
class TrainedNode:
    """What is kept of one training: probabilities (m,) of the fold's test rows, and how it went.

    A phase on the target predicts with its own decision maker, one on another cohort with that of ds1_full on the
    extractor as it is then (the global performance of thesis 6.4.3).
    """

    probabilities: np.ndarray
    best_epoch: int
    validation_auc: float
    n_updates: int


@dataclass(frozen=True)
class TreePlace:
    """Where the trainings of one tree keep their states; fingerprint: of all that they depend on beside their nodes."""

    folder: Path
    fingerprint: str

    def of(self, node: Node) -> StatePlace:
        """That of one node."""
        return StatePlace(self.folder / f"{node.key}.safetensors", f"{self.fingerprint} {node.key}")


def train_tree(
    tree: PhaseTree,
    data: FoldData,
    options: ChainOptions,
    seed: int,
    place: TreePlace | None = None,
) -> dict[str, TrainedNode]:
    """Every node of the tree, by key; each is trained once, whatever the number of arms that pass through it.

    seed: of this fold. Phases of one name draw from the same streams in every arm, so that arms differ in what they are
    declared to differ in and not in their luck. The target's test rows are read once, after a phase is finished.
    place: where a killed tree is gone on with, to the same numbers; what is kept there is left there.
    Raises FrozenError where a frozen extractor moved, PhaseError where a tested patient is also learnt from.
    """
    _refuse_leaks(data)
    networks: dict[str, LesionNetwork] = {}
    first: dict[str, str] = {}
    trained: dict[str, TrainedNode] = {}
    for node in tree.nodes:
        network = _start(node, networks, data, options, seed)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        phase = node.step.phase
        with StateFile(None if place is None else place.of(node), phase.name) as state:
            result = train(
                network,
                _training_data(node, data, seed),
                node.step.options,
                options.augmentation,
                epoch_factor=_epoch_factor(node, data),
                frozen=phase.frozen,
                seed=seed,
                name=phase.name,
                patch_pixels=data.patch_pixels,
                device=options.device,
                limits=options.limits,
                resume_from=state.state,
                on_state=state.keep,
            )
        network.load_state_dict(result.best_state)
        network.cpu()
        if phase.frozen:
            assert_frozen(before, result.best_state, phase.name)
        networks[node.key] = network
        first[node.key] = node.key if node.start is None else first[node.start]
        trained[node.key] = TrainedNode(
            _probabilities(node, networks, first[node.key], data),
            result.best_epoch,
            result.best_metrics["validation_auc"],
            len(result.gradient_flow.values),
        )
    return trained


def _refuse_leaks(data: FoldData) -> None:
    tested = set(data.patients[data.target][data.test_rows.numpy()])
    for name, cohort in data.cohorts.items():
        learnt_from = torch.cat([cohort.train_rows, cohort.validation_rows]).numpy()
        if shared := sorted(tested & set(data.patients[name][learnt_from])):
            raise PhaseError(
                f"Patient {shared[0]} is tested in an outer fold and learnt from in the same fold's {name}; "
                "assign the outer folds again."
            )


def _start(
    node: Node, networks: Mapping[str, LesionNetwork], data: FoldData, options: ChainOptions, seed: int
) -> LesionNetwork:
    phase, chosen = node.step.phase, node.step.options
    start = _winner(node, data, options, seed) if node.start is None else networks[node.start]
    attached = None if node.lender is None else networks[node.lender]
    generator = torch_generator(seed, phase.name, "decision maker")
    return starting_network(phase, start, attached, options.network, generator, chosen.dropout, weight_dtype(chosen))


def _winner(node: Node, data: FoldData, options: ChainOptions, seed: int) -> LesionNetwork:
    """The fold's own roulette, on its validation patients, whose labels are those that the phase is given."""
    on_target = node.step.phase.cohort == data.target
    target = _training_data(node, data, seed) if on_target else data.cohorts[data.target]
    chosen = node.step.options
    channels = target.images.shape[1]
    result = roulette(
        options.network,
        target,
        options.roulette_n,
        seed,
        channels,
        dropout=chosen.dropout,
        patch_pixels=data.patch_pixels,
        device=options.device,
        autocast=chosen.autocast,
        loss=loss_function(chosen.loss),
    )
    network = LesionNetwork(options.network, channels, chosen.dropout, data.patch_pixels)
    network.load_state_dict(result.best_state)
    return network


def _training_data(node: Node, data: FoldData, seed: int) -> TrainingData:
    """The cohort's; with permuted labels dealt out anew within the training and within the validation rows."""
    cohort = node.step.phase.cohort
    own = data.cohorts[cohort]
    if not node.step.permuted_labels:
        return own
    labels = own.labels.numpy()
    for subset, rows in (("train", own.train_rows), ("validation", own.validation_rows)):
        generator = named_generator(seed, "permuted labels", cohort, subset)
        labels = permuted_by_patient(labels, data.patients[cohort], labelled(own.labels, rows).numpy(), generator)
    return replace(own, labels=torch.from_numpy(labels))


def _epoch_factor(node: Node, data: FoldData) -> float | None:
    """That by which an arm that replaces the cohort draws as many samples an epoch as on the cohort replaced.

    It may be below 1, which params.yaml does not allow: then an epoch shows a part of the larger class.
    """
    step = node.step
    if step.updates_of is None:
        return None
    balance = step.options.balance
    replaced, own = data.cohorts[step.updates_of], data.cohorts[step.phase.cohort]
    wanted = draws_of_each_class(replaced.labels, replaced.train_rows, step.options.augmentation_factor, balance)
    at_one = draws_of_each_class(own.labels, own.train_rows, 1, balance)
    return wanted / at_one


def _probabilities(node: Node, networks: Mapping[str, LesionNetwork], first: str, data: FoldData) -> np.ndarray:
    """What is read of the tested rows after this phase, as `target_probe` reads its rows: each part in its own type.

    first: the key of the ds1_full that it descends from; its decision maker reads where the phase is not of the target.
    """
    reader = networks[node.key if node.step.phase.cohort == data.target else first]
    images = centre_crop(data.cohorts[data.target].images[data.test_rows], data.patch_pixels)
    features = outputs(networks[node.key].feature_extractor, images)
    return positive_probabilities(outputs(reader.decision_maker, features))
