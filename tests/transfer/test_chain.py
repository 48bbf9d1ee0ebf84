"""All arms of one outer fold, trained for real on tiny patches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lesion_transfer.learning import views
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, NetworkOptions, TrainingOptions
from lesion_transfer.transfer import chain
from lesion_transfer.transfer.arms import arm_steps, phase_tree
from lesion_transfer.transfer.chain import ChainOptions, FoldData, TreePlace, train_tree
from lesion_transfer.transfer.errors import PhaseError
from lesion_transfer.transfer.options import ArmOptions
from lesion_transfer.transfer.permutation import permuted_by_patient
from lesion_transfer.transfer.plan import Phase

PATCH = 36
PHASES = {
    phase.name: phase
    for phase in (
        Phase("ds1_full", "prostate", None, "keep", False),
        Phase("ds2_frozen", "brain", "ds1_full", "reset", True),
        Phase("ds2_full", "brain", "ds2_frozen", "keep", False),
        Phase("ds4_frozen", "prostate", "ds2_full", "ds1_full", True),
        Phase("ds4_full", "prostate", "ds4_frozen", "keep", False),
    )
}
ARMS = {
    "full": {},
    "target_only": {"phases": ["ds1_full", "ds4_frozen", "ds4_full"]},
    "equal_updates": {"cohorts": {"brain": "prostate"}},
    "source_labels_permuted": {"permuted_labels": ["brain"]},
}
OPTIONS = TrainingOptions(
    lr=0.003,
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
CHAIN = ChainOptions(
    NetworkOptions(filters=[2, 2, 4], dense=[4, 4]), AugmentationOptions(rotation_degrees=0, horizontal_shift_px=0), 2
)


def cohort(n: int, seed: int) -> tuple[TrainingData, np.ndarray]:
    """n patches of n // 2 patients, the positives brighter; of three thirds the first validates, the second trains."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) // 2 % 2
    images = torch.randn(n, 1, PATCH, PATCH, generator=generator) + labels[:, None, None, None]
    third = n // 6 * 2
    data = TrainingData(images, labels, torch.arange(third, 2 * third), torch.arange(third))
    return data, np.array([f"{seed}-{row // 2:02d}" for row in range(n)])


@pytest.fixture(scope="module")
def data() -> FoldData:
    target, of_target = cohort(48, 1)
    brain, of_brain = cohort(84, 2)
    return FoldData(
        {"prostate": target, "brain": brain},
        {"prostate": of_target, "brain": of_brain},
        "prostate",
        torch.arange(32, 48),
        PATCH,
    )


@pytest.fixture(scope="module")
def tree():
    hyperparameters = dict.fromkeys(PHASES, OPTIONS)
    return phase_tree(
        {
            arm: arm_steps(arm, ArmOptions.model_validate(options), PHASES, list(PHASES), hyperparameters)
            for arm, options in ARMS.items()
        }
    )


@pytest.fixture(scope="module")
def trained(data, tree):
    calls = []
    original = chain.train

    def counted(network, training_data, options, *args, **kwargs):
        calls.append((kwargs["name"], training_data))
        return original(network, training_data, options, *args, **kwargs)

    chain.train = counted
    try:
        return train_tree(tree, data, CHAIN, seed=3), calls
    finally:
        chain.train = original


def test_what_arms_have_in_common_is_trained_once(tree, trained):
    nodes, calls = trained
    assert len(calls) == len(tree.nodes) == len(nodes) == 1 + 4 + 2 + 4 + 4
    assert [name for name, _ in calls].count("ds1_full") == 1


def test_an_arm_comes_out_as_if_it_were_trained_alone(data, tree, trained):
    for arm in ("target_only", "source_labels_permuted"):
        options = ArmOptions.model_validate(ARMS[arm])
        own = phase_tree({arm: arm_steps(arm, options, PHASES, list(PHASES), dict.fromkeys(PHASES, OPTIONS))})
        alone = train_tree(own, data, CHAIN, seed=3)
        for name, key in own.keys[arm].items():
            together = trained[0][tree.keys[arm][name]]
            np.testing.assert_array_equal(alone[key].probabilities, together.probabilities)


def test_a_killed_tree_goes_on_from_its_last_epoch(data, tree, trained, tmp_path, monkeypatch):
    """Killed in its fourth training after the first of two epochs: the rest is trained, to the same numbers."""
    original, epochs = chain.train, []
    killed_after = 3 * OPTIONS.epochs + 1

    def watched(*args, on_state, **kwargs):
        def kept(state):
            on_state(state)
            if len(epochs) == killed_after:
                raise KeyboardInterrupt

        return original(*args, on_epoch=epochs.append, on_state=kept, **kwargs)

    monkeypatch.setattr(chain, "train", watched)
    place = TreePlace(tmp_path, "this fold")
    with pytest.raises(KeyboardInterrupt):
        train_tree(tree, data, CHAIN, seed=3, place=place)
    assert len(epochs) == killed_after
    again = train_tree(tree, data, CHAIN, seed=3, place=place)
    assert len(epochs) == len(tree.nodes) * OPTIONS.epochs, "no epoch is trained twice"
    for key, node in trained[0].items():
        np.testing.assert_array_equal(again[key].probabilities, node.probabilities)
        assert (again[key].best_epoch, again[key].n_updates) == (node.best_epoch, node.n_updates)
        assert again[key].validation_auc == node.validation_auc

    epochs.clear()
    killed_after = -1
    train_tree(tree, data, CHAIN, seed=3, place=replace(place, fingerprint="another fold"))
    assert len(epochs) == len(tree.nodes) * OPTIONS.epochs, "states of another fold are not gone on with"


def test_equal_updates_are_equal(tree, trained):
    nodes = trained[0]
    for name in PHASES:
        updates = {nodes[tree.keys[arm][name]].n_updates for arm in ("full", "equal_updates")}
        assert len(updates) == 1, name
    # the source has more rows than the target, so without the correction they would differ
    assert nodes[tree.keys["full"]["ds2_full"]].n_updates > nodes[tree.keys["full"]["ds4_full"]].n_updates


def test_equal_updates_are_equal_with_undersampling(data):
    """Whose epochs are of the smaller class, which is not to the larger one as in the other cohort."""
    brain = data.cohorts["brain"]
    labels = brain.labels.clone()
    labels[brain.train_rows[:8]] = 0
    uneven = replace(data, cohorts={**data.cohorts, "brain": replace(brain, labels=labels)})
    options = OPTIONS.model_copy(update={"balance": "undersampling", "augmentation_factor": 3, "epochs": 1})
    arms = {name: ARMS[name] for name in ("full", "equal_updates")}
    tree = phase_tree(
        {
            arm: arm_steps(arm, ArmOptions.model_validate(given), PHASES, list(PHASES), dict.fromkeys(PHASES, options))
            for arm, given in arms.items()
        }
    )
    nodes = train_tree(tree, uneven, CHAIN, seed=3)
    for name in PHASES:
        assert len({nodes[tree.keys[arm][name]].n_updates for arm in arms}) == 1, name


def test_the_limits_of_gradients_are_those_asked_for(data, tree):
    with pytest.raises(TrainingError, match="gradient"):
        train_tree(tree, data, replace(CHAIN, limits=GradientLimits(exploding=1e-9)), seed=3)


def test_only_source_labels_are_permuted(data, tree, trained):
    brain, target = data.cohorts["brain"], data.cohorts["prostate"]
    permuted = [d for name, d in trained[1] if d.images is brain.images and not torch.equal(d.labels, brain.labels)]
    assert len(permuted) == 2  # ds2_frozen and ds2_full of one arm
    for one in permuted:
        for rows in (brain.train_rows, brain.validation_rows):
            assert sorted(one.labels[rows].tolist()) == sorted(brain.labels[rows].tolist())
    assert all(torch.equal(d.labels, target.labels) for _, d in trained[1] if d.images is target.images)


def test_with_permuted_labels_of_the_target_the_roulette_sees_no_true_ones(data, monkeypatch):
    seen = {}
    original = {name: getattr(chain, name) for name in ("roulette", "train")}

    def spinning(options, given, *args, **kwargs):
        seen["roulette"] = given
        return original["roulette"](options, given, *args, **kwargs)

    def training(network, given, *args, **kwargs):
        seen.setdefault(kwargs["name"], given)
        return original["train"](network, given, *args, **kwargs)

    monkeypatch.setattr(chain, "roulette", spinning)
    monkeypatch.setattr(chain, "train", training)
    for arm in ({"permuted_labels": ["prostate"]}, {"permuted_labels": ["prostate"], "cohorts": {"brain": "prostate"}}):
        seen.clear()
        steps = arm_steps("arm", ArmOptions.model_validate(arm), PHASES, list(PHASES), dict.fromkeys(PHASES, OPTIONS))
        train_tree(phase_tree({"arm": steps}), data, CHAIN, seed=3)
        assert torch.equal(seen["roulette"].labels, seen["ds1_full"].labels)
        target = data.cohorts["prostate"]
        on_target = [given for given in seen.values() if given.images is target.images]
        assert len(on_target) == (6 if "cohorts" in arm else 4)
        assert not any(torch.equal(given.labels, target.labels) for given in on_target)


def test_the_roulette_computes_as_its_phase_does(data, monkeypatch):
    seen = []
    original = chain.roulette

    def spinning(*args, **kwargs):
        seen.append(kwargs["autocast"])
        return original(*args, **kwargs)

    monkeypatch.setattr(chain, "roulette", spinning)
    for autocast in ("off", "bfloat16"):
        hyperparameters = {"ds1_full": OPTIONS.model_copy(update={"autocast": autocast})}
        only = {"ds1_full": PHASES["ds1_full"]}
        steps = arm_steps("arm", ArmOptions(), only, list(only), hyperparameters)
        train_tree(phase_tree({"arm": steps}), data, CHAIN, seed=3)
    assert seen == ["off", "bfloat16"]


def test_equal_updates_choose_their_epoch_on_as_many_validation_samples(data, monkeypatch):
    """The thesis's validation copies the rows by the phase's factor, not by that which makes the updates equal."""
    sizes: dict[float, set[int]] = {}
    original = views.DataViews.validation_rows

    def noted(self):
        rows = original(self)
        if self.images.shape[0] == 48:
            sizes.setdefault(self.epoch_factor, set()).add(len(rows.inputs))
        return rows

    monkeypatch.setattr(views.DataViews, "validation_rows", noted)
    thesis = OPTIONS.model_copy(update={"validation": "augmented_balanced", "epochs": 1})
    steps = arm_steps(
        "equal_updates",
        ArmOptions.model_validate(ARMS["equal_updates"]),
        PHASES,
        list(PHASES),
        dict.fromkeys(PHASES, thesis),
    )
    train_tree(phase_tree({"equal_updates": steps}), data, CHAIN, seed=3)
    assert len(sizes) == 2, "the phases on the target, and those that took the place of the source"
    assert len(set.union(*sizes.values())) == 1


def test_validation_labels_are_permuted_otherwise_than_those_of_training(data, trained):
    """Both thirds have the same labels in the same order of patients: one permutation would leave them so."""
    brain = data.cohorts["brain"]
    assert torch.equal(brain.labels[brain.train_rows], brain.labels[brain.validation_rows])
    permuted = [d for _, d in trained[1] if d.images is brain.images and not torch.equal(d.labels, brain.labels)]
    assert permuted
    for one in permuted:
        assert not torch.equal(one.labels[brain.train_rows], one.labels[brain.validation_rows])


def test_every_phase_that_resets_draws_a_decision_maker_of_its_own(data):
    """Of one extractor, which is frozen; at this learning rate no weight moves from where it starts."""
    phases = {
        phase.name: phase
        for phase in (
            Phase("ds1_full", "prostate", None, "keep", False),
            Phase("ds2_frozen", "prostate", "ds1_full", "reset", True),
            Phase("ds3_frozen", "prostate", "ds1_full", "reset", True),
        )
    }
    still = dict.fromkeys(phases, OPTIONS.model_copy(update={"lr": 1e-30, "epochs": 1}))
    tree = phase_tree({"full": arm_steps("full", ArmOptions(), phases, list(phases), still)})
    nodes = train_tree(tree, data, CHAIN, seed=3)
    second, third = (nodes[tree.keys["full"][name]].probabilities for name in ("ds2_frozen", "ds3_frozen"))
    assert not np.array_equal(second, third)


def test_a_frozen_phase_on_another_cohort_leaves_the_target_as_it_read_it(tree, trained):
    """ds1_full's decision maker reads the extractor, which a frozen phase does not move."""
    nodes, keys = trained[0], tree.keys["full"]
    np.testing.assert_array_equal(nodes[keys["ds1_full"]].probabilities, nodes[keys["ds2_frozen"]].probabilities)
    assert not np.array_equal(nodes[keys["ds2_full"]].probabilities, nodes[keys["ds1_full"]].probabilities)


def test_the_tested_rows_change_nothing_in_any_training(data, tree, trained):
    target = data.cohorts["prostate"]
    images = target.images.clone()
    images[data.test_rows] = 100.0
    labels = target.labels.clone()
    labels[data.test_rows] = 1 - labels[data.test_rows]
    other = replace(data, cohorts={**data.cohorts, "prostate": replace(target, images=images, labels=labels)})
    again = train_tree(tree, other, CHAIN, seed=3)
    for key, node in trained[0].items():
        assert (again[key].best_epoch, again[key].validation_auc) == (node.best_epoch, node.validation_auc)


def test_a_tested_patient_that_is_also_learnt_from_is_refused(data, tree):
    with pytest.raises(PhaseError, match="1-00 is tested"):
        train_tree(tree, replace(data, test_rows=torch.arange(4)), CHAIN, seed=3)
    shared = {**data.patients, "brain": np.array(["1-20"] * 84)}
    with pytest.raises(PhaseError, match="same fold's brain"):
        train_tree(tree, replace(data, patients=shared), CHAIN, seed=3)


def test_permuted_labels_stay_together_by_patient():
    generator = np.random.default_rng(0)
    patients = np.repeat(["a", "b", "c", "d", "e", "f"], 3)
    labels = np.repeat([0, 1, 0, 1, 1, 0], 3)
    dealt = permuted_by_patient(labels, patients, np.arange(18), generator)
    assert (np.ptp(dealt.reshape(6, 3), axis=1) == 0).all()
    assert dealt.sum() == labels.sum()
    some = permuted_by_patient(labels, patients, np.arange(6, 18), generator)
    np.testing.assert_array_equal(some[:6], labels[:6])
