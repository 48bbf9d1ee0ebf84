"""params.yaml: what is wrong is one sentence with its key; what is right keeps its meaning."""

import copy
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lesion_transfer.settings import HYPERPARAMETERS, SettingsError, load_settings, settings_from
from lesion_transfer.transfer.plan import order_phases

ROOT = Path(__file__).parents[2]
COMMITTED = YAML(typ="safe").load(ROOT / "params.yaml")


def changed(**values):
    """The committed settings with dotted keys (a__b__c) replaced."""
    content = copy.deepcopy(COMMITTED)
    for dotted, value in values.items():
        *path, last = dotted.split("__")
        place = content
        for key in path:
            place = place[key]
        place[last] = value
    return content


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gradient_flow__every": "sometimes"}, r"params\.yaml: gradient_flow\.every: it should be 'auto'"),
        ({"network__filters": [1, 2]}, r"network\.filters: it should have at least 3 items, not \[1, 2\]"),
    ],
)
def test_a_sentence_has_the_key_as_it_is_written(values, sentence):
    with pytest.raises(SettingsError, match=sentence) as raised:
        settings_from(changed(**values))
    assert not re.search(r"literal|constrained|validation", str(raised.value))


def test_the_committed_settings_are_valid_and_have_the_seven_phases():
    settings = load_settings(ROOT / "params.yaml")
    assert [phase.name for phase in order_phases(settings.phases.values())] == [
        *("ds1_full", "ds2_frozen", "ds2_full", "ds3_frozen", "ds3_full", "ds4_frozen", "ds4_full")
    ]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"lr": "abc"}, "lr"),
        ({"lr": "1e-08"}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"lr": float("inf")}, "lr"),
        ({"lr": -1e-8}, "lr"),
        ({"lr": 0}, "lr"),
        ({"epochs": 1.5}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"dropout": 1.0}, "dropout"),
        ({"batch_size": 1}, "batch_size"),
        ({"typo": 1}, "typo"),
        ({"transfer__ds2_frozen__lrr": 1}, "transfer.ds2_frozen.lrr"),
        ({"transfer__ds2_frozen__lr": 0}, "transfer.ds2_frozen.lr"),
        ({"transfer__ds2_frozen__cohort": "kidney"}, "kidney"),
        ({"transfer__ds2_full__start": "ds9"}, "ds9"),
        ({"transfer__ds2_frozen__start": "ds4_full"}, "circle"),
        ({"transfer__ds2_frozen__start": "ds2_frozen"}, "circle"),
        ({"transfer__ds2_frozen__decision_maker": "ds3_full"}, "ds2_frozen"),
        ({"transfer__ds2_frozen__cohort": "prostatex_mpmri"}, "channels"),
        ({"target": "kidney"}, "target"),
        ({"cohorts__lung__dataset": "nowhere"}, "cohorts.lung.dataset"),
        ({"cohorts__lung__crop_fraction": None}, "cohorts.lung"),
        ({"cohorts__lung__crop_mm": 60.0}, "cohorts.lung"),
        ({"cohorts__lung__patch_pixels": 64}, "cohorts.lung"),
        ({"datasets__brain__kind": "knee"}, "datasets.brain.kind"),
        ({"datasets__brain__phantom": None}, "datasets.brain.phantom"),
        ({"datasets__brain__tables": "both"}, "datasets.brain"),
        ({"datasets__prostatex__tables": "both"}, "n_test_patients"),
        ({"cohorts__prostatex_mpmri__mode": "single"}, "cohorts.prostatex_mpmri"),
        ({"cohorts__prostatex_dwi__slice_rule": "position"}, "cohorts.prostatex_dwi.slice_rule"),
        ({"cohorts__prostatex_mpmri__channels": ["t2", "t3"]}, "t3"),
        ({"cohorts__brain__channels": ["t2"]}, "cohorts.brain.channels"),
        ({"augmentation__rotation_degrees": 45.0}, "margin_pixels"),
        ({"cohorts__prostatex_mpmri__margin_pixels": 7}, "cohorts.prostatex_mpmri.margin_pixels"),
        ({"initial_model": ""}, "initial_model"),
        ({"split__test_share": 0.0}, "split.test_share"),
        ({"evaluation__after": "ds3_full"}, "evaluation.after"),
        ({"evaluation__after": "ds1_full"}, "evaluation.after"),
        ({"ledger__arms": ["full", "full"]}, "ledger.arms"),
        ({"ledger__reference": "nix"}, "before"),
        ({"reproduction__test_share": 0.95}, "reproduction"),
        ({"challenge__prostatex_test__keep_epochs": [3, 3]}, "challenge.prostatex_test.keep_epochs"),
        ({"reproduction__cut": 4}, "reproduction.cut"),
        ({"network__architecture": "xmasnet", "network__cut": 3}, "network"),
        ({"loss": "hinge"}, "loss"),
        ({"split__test_share": 0.9, "split__validation_share": 0.2}, "split"),
        (
            {"cohorts__prostatex_mpmri__patch_pixels": 33, "cohorts__prostatex_test__patch_pixels": 33},
            "cohorts.prostatex_mpmri.patch_pixels",
        ),
        ({"transfer__ds3_full__autocast": "bfloat16", "transfer__ds3_full__precision": "float64"}, "transfer.ds3_full"),
        ({"reproduction__autocast": "bfloat16", "reproduction__precision": "float64"}, "reproduction"),
        ({"challenge__prostatex_test__autocast": "bfloat16", "precision": "float64"}, "challenge.prostatex_test"),
        ({"cv__lrs": [1e-3, 1e-3]}, "cv"),
        ({"cv__lrs": [0.0]}, "cv.lrs.0"),
        ({"cv__folds": 1}, "cv.folds"),
        ({"transfer__ds2_frozen__cv": {"folds": 5}}, "transfer.ds2_frozen.cv.lrs"),
        ({"backend__kind": "slurm"}, "backend.kind"),
        ({"backend__workers": 0}, "backend.workers"),
    ],
)
def test_a_fault_is_a_sentence_that_names_its_key(values, key):
    with pytest.raises(SettingsError) as caught:
        settings_from(changed(**values))
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("architecture", "cut"), [("xmasnet", 2), ("vgg16", 2), ("resnet18", 1), ("thesis_vgg", 3)])
def test_another_network_by_one_setting_fits_the_reproduction_too(architecture, cut):
    assert settings_from(changed(network__architecture=architecture)).reproduction_network().cut == cut


@pytest.mark.parametrize("name", ["baselines", "roulette", "ledger"])
def test_a_phase_cannot_take_the_name_of_a_stage(name):
    content = changed()
    content["transfer"] = {name: content["transfer"].pop("ds2_frozen"), **content["transfer"]}
    with pytest.raises(SettingsError, match=f"transfer.{name}: the name is taken"):
        settings_from(content)


def test_a_missing_setting_is_named():
    content = changed()
    del content["epochs"]
    with pytest.raises(SettingsError, match="epochs: the setting is missing"):
        settings_from(content)


def test_an_entry_may_leave_hyperparameters_out():
    content = changed()
    content["transfer"]["ds2_full"] = {
        key: content["transfer"]["ds2_full"][key] for key in ("cohort", "start", "decision_maker", "frozen")
    }
    assert settings_from(content).hyperparameters("ds2_full").lr == COMMITTED["lr"]


def test_learning_rates_as_dvc_writes_them_are_numbers(tmp_path):
    """DVC writes 1e-08, which a YAML 1.1 reader takes for text."""
    text, n_changed = re.subn(r"(?m)^lr: .*$", "lr: 1e-08", (ROOT / "params.yaml").read_text())
    assert n_changed == 1
    (tmp_path / "params.yaml").write_text(text)
    assert load_settings(tmp_path / "params.yaml").lr == 1e-8


@pytest.mark.parametrize("text", ["", "- 1\n", "a: [1\n", "lr: 1\nlr: 2\n", "\x00"])
def test_a_file_without_settings_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SettingsError):
        load_settings(tmp_path / "params.yaml")


@given(st.sampled_from(HYPERPARAMETERS), st.sampled_from(sorted(COMMITTED["transfer"])))
def test_null_inherits_and_a_value_of_its_own_wins(key, phase):
    base = settings_from(changed(**{f"transfer__{phase}__{key}": None}))
    assert getattr(base.hyperparameters(phase), key) == getattr(base, key)
    other = {"lr": 0.5, "batch_size": 7, "epochs": 3, "augmentation_factor": 2.0, "bank_copies": 2, "dropout": 0.1}
    if key in other:
        settings = settings_from(changed(**{f"transfer__{phase}__{key}": other[key]}))
        assert getattr(settings.hyperparameters(phase), key) == other[key]
        assert getattr(settings.hyperparameters("ds1_full"), key) == getattr(base, key)


def test_the_cross_validation_of_a_phase_is_its_own_or_that_of_the_top_level():
    own = {"folds": 3, "lrs": [1e-3, 1e-4]}
    settings = settings_from(changed(cv={"folds": 4, "lrs": [0.1]}, transfer__ds2_full__cv=own))
    assert settings.cross_validation("ds2_full").model_dump() == own
    for phase in ("ds1_full", "ds2_frozen"):
        assert settings.cross_validation(phase).model_dump() == {"folds": 4, "lrs": [0.1]}


def test_a_fourth_body_part_is_two_more_entries():
    content = changed()
    content["datasets"]["knee"] = {"kind": "patch_archive", "source": "/somewhere"}
    content["cohorts"]["knee"] = {"dataset": "knee", "channels": ["t1"], "crop_fraction": [1.0, 1.0]}
    entry = {"cohort": "knee", "decision_maker": "reset", "frozen": True, "start": "ds3_full"}
    content["transfer"]["ds5_frozen"] = entry
    content["transfer"]["ds4_frozen"]["start"] = "ds5_frozen"
    names = [phase.name for phase in order_phases(settings_from(content).phases.values())]
    assert names.index("ds3_full") < names.index("ds5_frozen") < names.index("ds4_frozen")


def test_the_target_may_have_its_sequences_as_images_of_their_own():
    """Mode separate: one channel an image, whatever the number of sequences; arms are held to that number."""
    separate = {"cohorts__prostatex_dwi__mode": "separate", "cohorts__prostatex_dwi__channels": ["t2", "dwi", "adc"]}
    assert settings_from(changed(**separate)).cohorts["prostatex_dwi"].image_channels == ["image"]


def test_an_arms_cohort_has_patches_of_the_targets_size():
    small = changed(arms__other={"cohorts": {"brain": "small"}}, ledger__arms=["full", "other"])
    small["cohorts"]["small"] = {**small["cohorts"]["brain"], "patch_pixels": 33}
    with pytest.raises(SettingsError, match="small has another patch_pixels"):
        settings_from(small)


def test_the_ledgers_share_of_the_epochs_is_of_an_arms_own_epochs_too():
    content = changed()
    content["ledger"]["epochs_scale"] = 0.5
    content["arms"]["full"]["overrides"] = {"ds2_frozen": {"epochs": 30}}
    settings = settings_from(content)
    epochs = {step.phase.name: step.options.epochs for step in settings.arm_steps("full")}
    wanted = {name: max(1, round(settings.hyperparameters(name).epochs / 2)) for name in settings.phases}
    assert epochs == wanted | {"ds2_frozen": 15}
