"""The order of phases, and plans that are none."""

import pytest

from lesion_transfer.transfer.plan import FIRST_PHASE, Phase, PlanError, ancestors, order_phases


def phase(name: str, start: str | None, decision_maker: str = "keep") -> Phase:
    return Phase(name, "brain", start, decision_maker, frozen=False)


FIRST = phase(FIRST_PHASE, None)


def test_each_phase_comes_after_its_start() -> None:
    phases = [phase("c", "b", FIRST_PHASE), phase("b", "a"), phase("a", FIRST_PHASE, "reset"), FIRST]
    assert [each.name for each in order_phases(phases)] == [FIRST_PHASE, "a", "b", "c"]
    assert ancestors("c", {each.name: each for each in phases}) == ["b", "a", FIRST_PHASE]


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ([phase("a", "ds3_ful")], "ds3_ful, which is no phase"),
        ([phase("a", "b"), phase("b", "a")], "circle: a -> b -> a"),
        ([phase("a", "a")], "circle: a -> a"),
        ([phase("a", FIRST_PHASE, "rest")], "decision_maker is 'rest'"),
        ([phase("a", FIRST_PHASE, "b"), phase("b", "a")], "phase a: decision_maker is 'b'"),
        ([phase("a", FIRST_PHASE, "a")], "phase a: decision_maker is 'a'"),
    ],
)
def test_what_is_no_plan_is_refused_naming_the_phase(phases: list[Phase], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        order_phases([FIRST, *phases])
