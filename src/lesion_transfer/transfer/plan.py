"""The plan of a transfer as data: which phase starts from which; no torch, so that settings can check it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from lesion_transfer.errors import LesionError

FIRST_PHASE = "ds1_full"
"""Trained from the roulette's winner on the target; every other phase descends from it."""

KEEP, RESET = "keep", "reset"


class PlanError(LesionError, ValueError):
    """The phases do not form a plan: a sentence that names the phase and what to change."""


@dataclass(frozen=True)
class Phase:
    """One training of the transfer (THESIS 7).

    start: the phase whose best model it starts from (None for ds1_full, which starts from the roulette).
    decision_maker: `keep` the start's, `reset` it to random weights, or attach that of the named phase.
    frozen: only the decision maker is trained; the feature extractor stays bit for bit.
    """

    name: str
    cohort: str
    start: str | None
    decision_maker: str
    frozen: bool


def ancestors(name: str, phases: Mapping[str, Phase]) -> list[str]:
    """The phases that `name` descends from, nearest first; raises PlanError where the chain breaks or circles."""
    chain: list[str] = []
    start = phases[name].start
    while start is not None:
        if start not in phases:
            raise PlanError(f"phase {name} descends from {start}, which is no phase; phases are {', '.join(phases)}")
        if start == name or start in chain:
            raise PlanError(f"phases start from each other in a circle: {' -> '.join([name, *chain, start])}")
        chain.append(start)
        start = phases[start].start
    return chain


def order_phases(phases: Iterable[Phase]) -> list[Phase]:
    """The phases in an order in which each comes after its start; raises PlanError naming the phase at fault."""
    by_name = {phase.name: phase for phase in phases}
    for phase in by_name.values():
        descends_from = ancestors(phase.name, by_name)
        donor = phase.decision_maker
        if donor not in {KEEP, RESET} and donor not in descends_from:
            raise PlanError(
                f"phase {phase.name}: decision_maker is {donor!r}; it must be keep, reset or a phase that it "
                f"descends from ({', '.join(descends_from) or 'none'})"
            )
    try:
        names = TopologicalSorter({p.name: {p.start} if p.start else set() for p in by_name.values()}).static_order()
        return [by_name[name] for name in names]
    except CycleError as error:  # pragma: no cover - ancestors() has found every circle before
        raise PlanError(str(error)) from error
