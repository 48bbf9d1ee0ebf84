"""Arms as one tree: what is equal in two arms is one node, what differs has its own."""

import pytest

from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.transfer.arms import arm_steps, phase_tree
from lesion_transfer.transfer.options import ArmOptions
from lesion_transfer.transfer.plan import Phase, PlanError

CHAIN = (
    Phase("ds1_full", "prostate", None, "keep", False),
    Phase("ds2_frozen", "brain", "ds1_full", "reset", True),
    Phase("ds2_full", "brain", "ds2_frozen", "keep", False),
    Phase("ds3_frozen", "lung", "ds2_full", "reset", True),
    Phase("ds3_full", "lung", "ds3_frozen", "keep", False),
    Phase("ds4_frozen", "prostate", "ds3_full", "ds1_full", True),
    Phase("ds4_full", "prostate", "ds4_frozen", "keep", False),
)
PHASES = {phase.name: phase for phase in CHAIN}
OPTIONS = TrainingOptions(
    lr=0.01,
    batch_size=8,
    dropout=0.1,
    epochs=2,
    augmentation_factor=1,
    augmentation_mode="auto",
    bank_copies=1,
    loss="cross_entropy",
    optimized_metric="auc",
    plateau_factor=1.0,
    plateau_patience=2,
    validation="plain",
    precision="float32",
)
ARMS = {
    "full": {},
    "target_only": {"phases": ["ds1_full", "ds4_frozen", "ds4_full"]},
    "equal_updates": {"cohorts": {"brain": "prostate", "lung": "prostate"}},
    "source_labels_permuted": {"permuted_labels": ["brain", "lung"]},
    "without_brain": {"phases": ["ds1_full", "ds3_frozen", "ds3_full", "ds4_frozen", "ds4_full"]},
    "without_lung": {"phases": ["ds1_full", "ds2_frozen", "ds2_full", "ds4_frozen", "ds4_full"]},
}


def steps(arm: str, **options):
    asked = ArmOptions.model_validate(options or ARMS[arm])
    return arm_steps(arm, asked, PHASES, list(PHASES), dict.fromkeys(PHASES, OPTIONS))


def test_equal_prefixes_are_one_node():
    tree = phase_tree({arm: steps(arm) for arm in ARMS})
    # ds1_full is common to all; without_lung shares both phases of brain with full
    assert len(tree.nodes) == 1 + 6 + 2 + 6 + 6 + 4 + 2
    assert len({keys["ds1_full"] for keys in tree.keys.values()}) == 1
    assert tree.keys["without_lung"]["ds2_full"] == tree.keys["full"]["ds2_full"]
    assert tree.keys["without_lung"]["ds4_frozen"] != tree.keys["full"]["ds4_frozen"]
    assert tree.keys["without_brain"]["ds3_frozen"] != tree.keys["full"]["ds3_frozen"]
    assert len({keys["ds4_full"] for keys in tree.keys.values()}) == len(ARMS)


def test_every_node_comes_after_those_that_it_needs():
    seen: set[str] = set()
    for node in phase_tree({arm: steps(arm) for arm in ARMS}).nodes:
        assert {needed for needed in (node.start, node.lender) if needed is not None} <= seen
        seen.add(node.key)


def test_a_phase_whose_start_is_left_out_starts_from_its_nearest_ancestor():
    starts = {step.phase.name: step.phase.start for step in steps("without_brain")}
    assert starts["ds3_frozen"] == "ds1_full"
    assert {step.phase.name: step.phase.start for step in steps("target_only")}["ds4_frozen"] == "ds1_full"


def test_an_override_changes_a_phase_and_what_descends_from_it():
    plain, changed = steps("full"), steps("full", overrides={"ds3_full": {"lr": 0.5}})
    tree = phase_tree({"full": plain, "faster": changed})
    same = [name for name in PHASES if tree.keys["full"][name] == tree.keys["faster"][name]]
    assert same == ["ds1_full", "ds2_frozen", "ds2_full", "ds3_frozen"]
    assert next(step.options.lr for step in changed if step.phase.name == "ds3_full") == 0.5


def test_a_replaced_cohort_remembers_whose_updates_it_has():
    for step in steps("equal_updates"):
        assert step.phase.cohort == "prostate"
        assert step.updates_of == PHASES[step.phase.name].cohort or step.updates_of is None
        assert (step.updates_of is None) == (PHASES[step.phase.name].cohort == "prostate")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phases": ["ds1_full", "ds9"]}, "no phase 'ds9'"),
        ({"phases": ["ds1_full", "ds1_full"]}, "stands twice"),
        ({"phases": ["ds2_frozen", "ds4_full"]}, "begins with ds1_full"),
        ({"phases": ["ds1_full", "ds4_full", "ds4_frozen"]}, "ds4_full needs ds4_frozen before it"),
        ({"cohorts": {"knee": "prostate"}}, "trains on 'knee'"),
        ({"permuted_labels": ["knee"]}, "trains on 'knee'"),
        ({"overrides": {"ds9": {"lr": 0.1}}}, "ds9 is no phase"),
    ],
)
def test_an_arm_that_cannot_be_trained_is_a_sentence_with_its_key(options, message):
    with pytest.raises(PlanError, match=message) as caught:
        steps("odd", **options)
    assert str(caught.value).startswith("arms.odd.")
