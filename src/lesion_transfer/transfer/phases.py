"""The network that a phase starts with, made of earlier phases' models (THESIS 7)."""

import copy

import torch

from lesion_transfer.learning.network import LesionNetwork, reset_decision_maker, set_dropout
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.transfer.errors import PhaseError
from lesion_transfer.transfer.plan import KEEP, RESET, Phase


def starting_network(
    phase: Phase,
    start: LesionNetwork,
    attached: LesionNetwork | None,
    options: NetworkOptions,
    generator: torch.Generator,
    dropout: float,
    dtype: torch.dtype = torch.float32,
) -> LesionNetwork:
    """A new network: the extractor of `start`, the decision maker as `phase` says, every dropout at `dropout`.

    dtype: the type in which the phase's weights are kept; a start in a wider one is rounded here, once. A reset draws
    the same numbers for every type.
    attached: the best model of the phase that phase.decision_maker names, None with keep and reset. generator: draws
    the new decision maker of a reset, initialised as `options` say. Neither `start` nor `attached` is changed.
    Raises PhaseError where `attached` is missing or has other widths than `start`.
    """
    network = copy.deepcopy(start).to(dtype=dtype)
    set_dropout(network, dropout)
    if phase.decision_maker == RESET:
        # of one generator torch draws other numbers in float64
        network.decision_maker.float()
        reset_decision_maker(network, options, generator)
    elif phase.decision_maker != KEEP:
        _attach(phase, network, attached)
    return network.to(dtype=dtype)


def _attach(phase: Phase, network: LesionNetwork, attached: LesionNetwork | None) -> None:
    lender = phase.decision_maker
    if attached is None:
        raise PhaseError(f"Phase {phase.name} needs the decision maker of {lender}, but got no model of it.")
    needed, lent = _shapes(network), _shapes(attached)
    if needed != lent:
        raise PhaseError(
            f"The decision maker of {lender} does not fit the extractor that phase {phase.name} starts with: its "
            f"tensors are {lent}, needed are {needed}. Both must be trained with the same dense widths and cut."
        )
    network.decision_maker.load_state_dict(attached.decision_maker.state_dict())


def _shapes(network: LesionNetwork) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.decision_maker.state_dict().items()}
