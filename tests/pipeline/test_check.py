"""The stage `check` on a tiny phantom: what it writes, and that a wrong cohort stops the pipeline."""

import io
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from ruamel.yaml import YAML

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.learning import augmented_dots
from lesion_transfer.settings import SettingsError
from lesion_transfer.stages.acquire import acquire
from lesion_transfer.stages.augmented_picture import augmented_picture
from lesion_transfer.stages.check import check
from lesion_transfer.stages.check_settings import check_settings
from lesion_transfer.stages.cohort import cohort
from lesion_transfer.stages.fingerprint import fingerprint_tables
from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.training.training_data import check_augmentation

ROOT = Path(__file__).parents[2]
COMMITTED = YAML(typ="safe").load(ROOT / "params.yaml")
NAME = "prostatex_mpmri"


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    """A project whose prostatex phantom has five patients; the three-channel cohort is built."""
    layout = Layout(tmp_path_factory.mktemp("project"))
    content = YAML().load(ROOT / "params.yaml")
    content["datasets"]["prostatex"]["phantom"] |= {"n_patients": 5, "n_slices": 3}
    content["checks"]["pictured_findings"] = 4
    del content["cohorts"]["prostatex_dwi"]
    content["target"] = NAME
    content["transfer"] = {}
    content["evaluation"]["after"] = "ds1_full"
    YAML().dump(content, layout.params)
    (layout.root / "phantom").symlink_to(ROOT / "phantom")
    acquire(layout, "prostatex")
    cohort(layout, NAME)
    return layout


@pytest.fixture(scope="module")
def written(layout) -> dict[Path, bytes]:
    """What a first check wrote."""
    check(layout, NAME)
    files = [layout.check(NAME), layout.checked(NAME), *sorted(layout.check_pictures(NAME).iterdir())]
    return {file: file.read_bytes() for file in files}


def test_a_right_cohort_passes_and_says_how_right_it_is(layout, written):
    assert layout.checked(NAME) in written
    content = json.loads(written[layout.check(NAME)])
    dots = content["red_dots"]
    assert dots["n_patches"] == content["fingerprint"]["n_findings"] > 4
    assert dots["n_dots"] == 3 * dots["n_patches"]
    assert dots["centre_error_px"]["max"] < 0.5
    assert dots["off_centre_error_px"]["max"] < 0.5
    assert dots["stored_difference_max"] == 0
    assert content["faulty_patches"] == {"nan": [], "black": [], "constant": []}
    pictures = {file.name: content for file, content in written.items() if file.suffix == ".png"}
    assert set(pictures) == {"red_dots.png", "alignment.png"}
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())


def test_the_same_data_give_the_same_bytes_and_a_table_for_people(layout, written):
    check(layout, NAME)
    assert {file: file.read_bytes() for file in written} == written
    console = Console(width=120, record=True, file=io.StringIO())
    for table in fingerprint_tables(layout, "prostatex"):
        console.print(table)
    text = console.export_text()
    for words in ("cohort prostatex_mpmri", "positive (", "adc: spacing, mm", "2 x 2 (", "t2: rows x columns"):
        assert words in text


def test_a_fingerprint_of_other_images_is_not_shown(layout, written):
    check(layout, NAME)
    images = layout.cohort(NAME) / "images.npy"
    before = images.read_bytes()
    np.save(images, np.load(images) + 1)
    try:
        with pytest.raises(StageError, match=f"has other images than when it was checked; run `lesion check {NAME}`"):
            list(fingerprint_tables(layout, "prostatex"))
    finally:
        images.write_bytes(before)


def test_stored_patches_that_the_source_does_not_give_stop_the_pipeline_and_are_reported(layout):
    path = layout.cohort(NAME) / "images.npy"
    before = path.read_bytes()
    images = np.load(path)
    images[0, 1] = np.roll(images[0, 1], 2, axis=1)
    images[1, 2] = 0
    np.save(path, images)
    try:
        with pytest.raises(StageError, match=r"stored patch is not the patch cropped again: 2 \(\S+ dwi, \S+ adc\)"):
            check(layout, NAME)
    finally:
        path.write_bytes(before)
    assert not layout.checked(NAME).exists()
    content = json.loads(layout.check(NAME).read_text())
    assert len(content["red_dots"]["failures"]["stored patch is not the patch cropped again"]) == 2
    assert [name.split()[1] for name in content["faulty_patches"]["black"]] == ["adc"]
    assert (layout.check_pictures(NAME) / "red_dots.png").is_file()


def test_dots_go_through_the_augmentation_before_a_training(layout, monkeypatch):
    made, settings = load_cohort(layout.cohort(NAME)), layout.settings()
    dots = check_augmentation(made, settings)
    assert dots.landed_xy.shape[1] == 3
    assert dots.error_px < 0.05
    assert augmented_picture(made, dots).startswith(b"\x89PNG")
    right = augmented_dots.apply_affine
    monkeypatch.setattr(augmented_dots, "apply_affine", lambda *given: right(*given).roll(1, dims=2))
    with pytest.raises(StageError, match=r"prostatex_mpmri: dots .* land up to 1\.\d+ pixels from where"):
        check_augmentation(made, settings)


def test_a_removed_phase_is_put_aside_unless_dvc_did_not_make_it_or_the_first_phase_starts_from_it(layout, written):
    """One that DVC did not make may come from another project."""
    for name in ("lent", "made", "start"):
        layout.model(name).mkdir(parents=True)
        (layout.model(name) / "model.json").write_text(name)
    content = YAML().load(layout.params)
    content["initial_model"] = "models/start"
    YAML().dump(content, layout.params)
    lock = layout.root / "dvc.lock"
    lock.write_text("stages:\n  transfer@made:\n    cmd: x\n  transfer@start:\n    cmd: x\n")
    check_settings(layout)
    assert [layout.model(name).exists() for name in ("lent", "made", "start")] == [True, False, True]
    aside = layout.root / ".lesion" / "removed" / "models"
    assert (aside / "made" / "model.json").read_text() == "made"
    layout.model("made").mkdir()
    check_settings(layout)
    assert sorted(path.name for path in aside.iterdir()) == ["made", "made.1"]
    lock.unlink()
    content["initial_model"] = "models/roulette"
    YAML().dump(content, layout.params)


@pytest.mark.parametrize(
    "place", ["data/raw/brain", "data/raw", ".", "data/raw/brain/images", "data/raw/lungx/tables/x"]
)
def test_a_source_that_a_stage_would_empty_or_write_into_is_refused_and_stays(layout, written, place):
    content = YAML().load(layout.params)
    kept = layout.params.read_text()
    own = layout.root / place / "yes" / "mine.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    content["datasets"]["brain"]["source"] = place
    YAML().dump(content, layout.params)
    for stage in (check_settings, partial(acquire, name="brain")):
        with pytest.raises(StageError, match=r"datasets\.brain\.source: .*keep your own files in a folder"):
            stage(layout)
    assert own.read_bytes() == b"mine"
    layout.params.write_text(kept)
    shutil.rmtree(own.parent)


def test_files_of_ones_own_beside_what_acquire_writes_stay(layout, written):
    content = YAML().load(layout.params)
    kept = layout.params.read_text()
    own = layout.raw("brain") / "mine"
    own.mkdir(parents=True)
    (own / "a.jpg").write_bytes(b"")
    (own / "ground_truth.csv").write_text("file,label,x,y\na.jpg,True,1,1\n")
    content["datasets"]["brain"]["source"] = "data/raw/brain/mine"
    YAML().dump(content, layout.params)
    for _ in range(2):
        acquire(layout, "brain")
    assert sorted(path.name for path in own.iterdir()) == ["a.jpg", "ground_truth.csv"]
    layout.params.write_text(kept)


def test_the_stages_that_look_across_cohorts_are_told_which_are_trained_on(layout, written):
    content = YAML().load(layout.params)
    kept = layout.params.read_text()
    check_settings(layout)
    before = pd.read_csv(layout.cohort_datasets).set_index("cohort")["is_trained_on"]
    assert before.to_dict() == {NAME: True, "prostatex_test": False, "brain": False, "lung": False}
    content["cohorts"]["brain"] = dict(content["cohorts"][NAME])
    there = {**COMMITTED["transfer"]["ds2_full"], "cohort": "brain", "start": "ds1_full"}
    back = {**COMMITTED["transfer"]["ds4_full"], "cohort": NAME, "start": "ds2_full"}
    content["transfer"], content["evaluation"]["after"] = {"ds2_full": there, "ds4_full": back}, "ds4_full"
    YAML().dump(content, layout.params)
    check_settings(layout)
    assert pd.read_csv(layout.cohort_datasets).set_index("cohort")["is_trained_on"]["brain"]
    layout.params.write_text(kept)


@pytest.mark.parametrize("model", ["models/ds1_full", "models/reproduction"])
def test_the_pipeline_does_not_start_from_what_it_makes(layout, written, model):
    content = YAML().load(layout.params)
    kept = layout.params.read_text()
    content["initial_model"] = model
    YAML().dump(content, layout.params)
    with pytest.raises(SettingsError, match=f"initial_model: {model} is made by the pipeline itself"):
        check_settings(layout)
    layout.params.write_text(kept)


@pytest.mark.parametrize("key", ["source", "initial_model"])
def test_what_is_not_there_is_said_before_dvc_says_errno(layout, written, key):
    content = YAML().load(layout.params)
    kept = layout.params.read_text()
    if key == "source":
        content["datasets"]["brain"]["source"] = "~/brain"
    else:
        content["initial_model"] = "models/nowhere"
    YAML().dump(content, layout.params)
    with pytest.raises(SettingsError, match=f"{key}: "):
        check_settings(layout)
    layout.params.write_text(kept)


def test_what_was_checked_of_a_removed_cohort_is_cleared(layout, written):
    old = layout.check("removed")
    old.write_text("{}")
    layout.check_pictures("removed").mkdir()
    lock = layout.root / "dvc.lock"
    lock.write_text("stages:\n  check@removed:\n")
    check_settings(layout)
    lock.unlink()
    assert not old.exists()
    assert not layout.check_pictures("removed").exists()
    assert layout.check(NAME).exists()


def test_results_of_removed_cohorts_and_data_sets_are_cleared_if_dvc_made_them(layout, written):
    """Folders of them are dependencies: leftovers would re-run the ledger in every clone that pulls without them."""
    made = [layout.cohort("gone"), layout.split("gone_data")]
    put_there = layout.cohort("somebodys")
    for path in (*made, put_there):
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        else:
            path.mkdir()
    lock = layout.root / "dvc.lock"
    lock.write_text("stages:\n  cohort@gone:\n  split@gone_data:\n")
    check_settings(layout)
    lock.unlink()
    assert not [path for path in made if path.exists()]
    assert put_there.exists()
    assert layout.cohort(NAME).exists()
    put_there.rmdir()
