"""The arms of a ledger as one tree of phases: what two arms have in common is trained once. No torch here."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.transfer.options import ArmOptions
from lesion_transfer.transfer.plan import FIRST_PHASE, KEEP, RESET, Phase, PlanError, ancestors


@dataclass(frozen=True)
class Step:
    """One phase of an arm, complete.

    permuted_labels: its cohort's labels are dealt out anew. updates_of: the cohort on which it would train outside of
    the arm, whose number of updates it keeps (None: that of its own).
    """

    phase: Phase
    options: TrainingOptions
    permuted_labels: bool = False
    updates_of: str | None = None

    def with_epochs(self, scale: float) -> "Step":
        """With `scale` times the epochs, at least one."""
        epochs = max(1, round(self.options.epochs * scale))
        return replace(self, options=self.options.model_copy(update={"epochs": epochs}))


@dataclass(frozen=True)
class Node:
    """A step with the keys of the nodes that it starts from and whose decision maker it attaches.

    key: a hash of the step and of all that it descends from.
    """

    key: str
    step: Step
    start: str | None
    lender: str | None


@dataclass(frozen=True)
class PhaseTree:
    """nodes: each after those that it needs. keys: of the node of every phase of every arm, in order."""

    nodes: tuple[Node, ...]
    keys: Mapping[str, Mapping[str, str]]


def arm_steps(
    arm: str,
    options: ArmOptions,
    phases: Mapping[str, Phase],
    chain: Sequence[str],
    hyperparameters: Mapping[str, TrainingOptions],
) -> list[Step]:
    """The steps of one arm; `chain` are its phases where the arm names none.

    Raises PlanError naming the arm for an unknown phase, one before its start, or a cohort that no phase trains on.
    """
    names = list(chain if options.phases is None else options.phases)
    _check_names(arm, names, phases)
    trained_on = {phases[name].cohort for name in names}
    for key, asked in (("cohorts", options.cohorts), ("permuted_labels", options.permuted_labels)):
        for cohort in asked:
            if cohort not in trained_on:
                raise PlanError(
                    f"arms.{arm}.{key}: no phase of the arm trains on {cohort!r}; they train on {_listed(trained_on)}"
                )
    if unknown := sorted(set(options.overrides) - set(names)):
        raise PlanError(f"arms.{arm}.overrides: {unknown[0]} is no phase of the arm; it has {_listed(names)}")
    return [_step(arm, name, names, options, phases, hyperparameters[name]) for name in names]


def phase_tree(arms: Mapping[str, Sequence[Step]]) -> PhaseTree:
    """Steps that agree in themselves and in all that they descend from become one node."""
    nodes: dict[str, Node] = {}
    keys: dict[str, dict[str, str]] = {}
    for arm, steps in arms.items():
        own: dict[str, str] = {}
        for step in steps:
            start = own[step.phase.start] if step.phase.start is not None else None
            lends = step.phase.decision_maker not in {KEEP, RESET}
            lender = own[step.phase.decision_maker] if lends else None
            key = _key(step, start, lender)
            nodes.setdefault(key, Node(key, step, start, lender))
            own[step.phase.name] = key
        keys[arm] = own
    return PhaseTree(tuple(nodes.values()), keys)


def _check_names(arm: str, names: Sequence[str], phases: Mapping[str, Phase]) -> None:
    for name in names:
        if name not in phases:
            raise PlanError(f"arms.{arm}.phases: there is no phase {name!r}; there are {_listed(phases)}")
    if len(set(names)) != len(names):
        raise PlanError(f"arms.{arm}.phases: a phase stands twice; name each once")
    if names[0] != FIRST_PHASE:
        raise PlanError(f"arms.{arm}.phases: it begins with {names[0]}, but every arm begins with {FIRST_PHASE}")


def _step(
    arm: str,
    name: str,
    names: Sequence[str],
    options: ArmOptions,
    phases: Mapping[str, Phase],
    inherited: TrainingOptions,
) -> Step:
    phase = phases[name]
    before = names[: names.index(name)]
    start = next((ancestor for ancestor in ancestors(name, phases) if ancestor in names), None)
    for needed in (start, phase.decision_maker):
        if needed is not None and needed not in {KEEP, RESET, *before}:
            raise PlanError(f"arms.{arm}.phases: {name} needs {needed} before it; put it there")
    cohort = options.cohorts.get(phase.cohort, phase.cohort)
    own = {} if name not in options.overrides else options.overrides[name].model_dump(exclude_none=True)
    return Step(
        Phase(name, cohort, start, phase.decision_maker, phase.frozen),
        TrainingOptions(**(inherited.model_dump() | own)),
        not {phase.cohort, cohort}.isdisjoint(options.permuted_labels),
        phase.cohort if cohort != phase.cohort else None,
    )


def _key(step: Step, start: str | None, lender: str | None) -> str:
    content = {
        "phase": asdict(step.phase),
        "options": step.options.model_dump(mode="json"),
        "permuted_labels": step.permuted_labels,
        "updates_of": step.updates_of,
        "start": start,
        "lender": lender,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _listed(names: Sequence[str] | set[str] | Mapping[str, Phase]) -> str:
    return ", ".join(sorted(names) if isinstance(names, set) else names)
