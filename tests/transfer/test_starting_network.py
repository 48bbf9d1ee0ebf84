"""What a phase starts with: kept, reset, attached."""

import pytest
import torch

from lesion_transfer.learning.network import LesionNetwork, build_network, place
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.transfer.errors import PhaseError
from lesion_transfer.transfer.freezing import assert_frozen
from lesion_transfer.transfer.phases import starting_network
from lesion_transfer.transfer.plan import Phase

OPTIONS = NetworkOptions(filters=[4, 4, 4], dense=[16, 8])


def network(seed: int, options: NetworkOptions = OPTIONS) -> LesionNetwork:
    return build_network(options, 1, 0.4, torch_generator(seed, "network"), 36)


def phase(decision_maker: str) -> Phase:
    return Phase("ds4_frozen", "prostatex_dwi", "ds3_full", decision_maker, frozen=True)


def start(decision_maker: str, attached: LesionNetwork | None = None, seed: int = 0) -> LesionNetwork:
    return starting_network(phase(decision_maker), network(1), attached, OPTIONS, torch_generator(seed, "reset"), 0.1)


def equal(module: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(module.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("decision_maker", ["keep", "reset", "ds1_full"])
def test_a_start_in_float64_is_rounded_before_the_phase_and_not_in_it(decision_maker) -> None:
    """Else the proof of a frozen extractor takes the rounding for a training."""
    wide = network(1).double()
    with torch.no_grad():
        for weight in wide.parameters():
            weight.mul_(1 + 1e-12)
    lender = network(2).double() if decision_maker == "ds1_full" else None
    made = starting_network(phase(decision_maker), wide, lender, OPTIONS, torch_generator(0, "reset"), 0.1)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    place(made, "cpu", torch.float32)
    assert_frozen(before, made, "ds4_frozen")
    assert {tensor.dtype for tensor in made.parameters()} == {torch.float32}


def test_keep_is_a_copy_with_the_dropout_of_the_phase() -> None:
    given = network(1)
    made = starting_network(phase("keep"), given, None, OPTIONS, torch_generator(0, "reset"), 0.1)
    assert equal(made, given)
    assert (made.dropout, given.dropout) == (0.1, 0.4)
    with torch.no_grad():
        next(made.parameters()).zero_()
    assert not equal(made, given)


def test_reset_draws_the_decision_maker_from_the_generator() -> None:
    made = start("reset")
    assert equal(made.feature_extractor, network(1).feature_extractor)
    assert not equal(made.decision_maker, network(1).decision_maker)
    assert equal(made, start("reset"))
    assert not equal(made.decision_maker, start("reset", seed=1).decision_maker)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_drawn_or_lent_does_not_depend_on_the_precision_of_the_start(dtype) -> None:
    for decision_maker, lender in (("reset", None), ("ds1_full", network(2).double())):
        if lender is not None:
            with torch.no_grad():
                next(lender.decision_maker.parameters()).mul_(1 + 1e-12)
        made, wider = (
            starting_network(
                phase(decision_maker), given, lender, OPTIONS, torch_generator(0, "reset"), 0.1, dtype
            ).decision_maker
            for given in (network(1), network(1).double())
        )
        assert {weight.dtype for weight in made.parameters()} == {dtype}
        assert equal(made, wider)
        if lender is not None and dtype is torch.float64:
            assert equal(made, lender.decision_maker)


def test_a_named_phase_lends_its_decision_maker() -> None:
    first = network(2)
    made = start("ds1_full", first)
    assert equal(made.feature_extractor, network(1).feature_extractor)
    assert equal(made.decision_maker, first.decision_maker)
    with torch.no_grad():
        next(made.decision_maker.parameters()).zero_()
    assert equal(first, network(2))


def test_a_decision_maker_that_is_missing_or_does_not_fit_is_refused() -> None:
    with pytest.raises(PhaseError, match="ds4_frozen needs the decision maker of ds1_full"):
        start("ds1_full")
    wider = network(2, NetworkOptions(filters=[4, 4, 4], dense=[32, 8]))
    with pytest.raises(PhaseError, match="decision maker of ds1_full does not fit the extractor that phase ds4_frozen"):
        start("ds1_full", wider)
