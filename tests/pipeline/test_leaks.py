"""The leak check: what a split must not separate is planted on both sides, in one cohort and between data sets."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.stages.assign import assign
from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.split import split

ROOT = Path(__file__).parents[2]
CHANNELS = {"prostatex_dwi": "dwi", "prostatex_mpmri": "t2", "brain": "grey", "lung": "ct"}
N_PATIENTS = 24


def write_cohort(layout: Layout, name: str, patients: list[str]) -> None:
    """A cohort of random 9 x 9 patches, one finding a patient, labels alternating."""
    rng = np.random.default_rng(len(patients[0]) + len(name))
    folder = layout.cohort(name)
    folder.mkdir(parents=True)
    channel = CHANNELS[name]
    np.save(folder / "images.npy", rng.uniform(0, 255, (len(patients), 1, 9, 9)).astype(np.float32))
    table = pd.DataFrame({"finding_key": [f"{patient}/1/1" for patient in patients], "patient_id": patients})
    table["label"] = np.arange(len(patients)) % 2 == 0
    table["group"] = ""
    table[f"{channel}_sop_uid"] = [f"1.2.{name}.{patient}" for patient in patients]
    table[f"{channel}_phash"] = [f"{int.from_bytes(rng.bytes(72)):0144x}" for _ in patients]
    table.to_csv(folder / "findings.csv", index=False)
    info = {"channels": [channel], "patch_pixels": 9, "margin_pixels": 0}
    (folder / "cohort.json").write_text(json.dumps(info))
    mark_checked(layout, name)


def mark_checked(layout: Layout, name: str) -> None:
    """As the check stage does for a cohort that is all right."""
    layout.checked(name).parent.mkdir(parents=True, exist_ok=True)
    layout.checked(name).write_text(load_cohort(layout.cohort(name)).images_sha256)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Four cohorts of three data sets, split, without a leak; both cohorts of prostatex show the same patients."""
    layout = Layout(tmp_path)
    content = YAML(typ="safe").load(ROOT / "params.yaml")
    content["challenge"] = {}
    del content["cohorts"]["prostatex_test"], content["datasets"]["prostatex_test"]
    YAML().dump(content, layout.params)
    for name, letter in zip(CHANNELS, "PPBL", strict=True):
        write_cohort(layout, name, [f"{letter}{number}" for number in range(N_PATIENTS)])
    for dataset in ("prostatex", "brain", "lungx"):
        split(layout, dataset)
    return layout


def subset_of(layout: Layout, dataset: str, subset: str) -> int:
    """The number of the first patient of a subset."""
    table = pd.read_csv(layout.split(dataset))
    return int(table.loc[table["subset"] == subset, "patient_id"].iloc[0][1:])


def change(layout: Layout, name: str, number: int, **cells: object) -> None:
    """Overwrites cells of one row of a cohort's findings.csv."""
    path = layout.cohort(name) / "findings.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column, value in cells.items():
        table.loc[number, column] = value
    table.to_csv(path, index=False)


def cell(layout: Layout, name: str, number: int, column: str) -> str:
    return str(pd.read_csv(layout.cohort(name) / "findings.csv", dtype=str)[column][number])


def plant(layout: Layout, what: str, first: tuple[str, int], second: tuple[str, int]) -> None:
    """Makes row `second` share with row `first` (cohort, row number) what is named."""
    if what == "image_sha256":
        images = [np.load(layout.cohort(name) / "images.npy") for name, _ in (first, second)]
        images[1][second[1]] = images[0][first[1]]
        np.save(layout.cohort(second[0]) / "images.npy", images[1])
        mark_checked(layout, second[0])
    elif what == "near_duplicate":
        near = int(cell(layout, *first, f"{CHANNELS[first[0]]}_phash"), 16) ^ 0b1111
        change(layout, *second, **{f"{CHANNELS[second[0]]}_phash": f"{near:0144x}"})
    elif what == "sop_uid":
        uid = cell(layout, *first, f"{CHANNELS[first[0]]}_sop_uid")
        change(layout, *second, **{f"{CHANNELS[second[0]]}_sop_uid": uid})
    elif what == "file_sha256":
        for name, number in (first, second):
            change(layout, name, number, **{f"{CHANNELS[name]}_file": f"{name}/copy.jpg"})
            path = layout.cohort(name) / "cohort.json"
            sources = {"source_sha256": {f"{name}/copy.jpg": "5" * 64}}
            path.write_text(json.dumps(json.loads(path.read_text()) | sources))
    elif what == "group":
        for name, number in (first, second):
            change(layout, name, number, group="twins")


def test_splits_without_a_leak_are_assigned_to_every_cohort(layout):
    layout.assigned("removed").parent.mkdir(parents=True)
    layout.assigned("removed").write_text("of a cohort that is no more")
    assign(layout)
    assert {path.stem for path in layout.assigned_folder.iterdir()} == set(CHANNELS)
    for name in CHANNELS:
        table = pd.read_csv(layout.assigned(name))
        assert list(table["finding_key"]) == [f"{table['patient_id'][0][0]}{n}/1/1" for n in range(N_PATIENTS)]


@pytest.mark.parametrize("what", ["group", "image_sha256", "file_sha256", "sop_uid", "near_duplicate"])
@pytest.mark.parametrize("cohorts", [("prostatex_dwi", "prostatex_dwi"), ("prostatex_dwi", "prostatex_mpmri")])
def test_what_two_patients_of_a_data_set_share_is_a_leak_until_the_split_is_drawn_again(layout, what, cohorts):
    train, test = (subset_of(layout, "prostatex", subset) for subset in ("train", "test"))
    plant(layout, what, (cohorts[0], train), (cohorts[1], test))
    with pytest.raises(StageError, match=rf"{what} \S+ stands in the subsets test and train") as raised:
        assign(layout)
    assert f"train: {cohorts[0]} P{train}/1/1" in str(raised.value)
    assert not layout.assigned_folder.exists()
    split(layout, "prostatex")
    assign(layout)
    table = pd.read_csv(layout.assigned("prostatex_dwi")).set_index("patient_id")
    assert table["subset"][f"P{train}"] == table["subset"][f"P{test}"]


def test_a_patient_in_two_subsets_of_one_cohort_is_a_leak(layout):
    test = subset_of(layout, "prostatex", "test")
    number = subset_of(layout, "prostatex", "train")
    change(layout, "prostatex_dwi", number, patient_id=f"P{test}")
    with pytest.raises(StageError, match=f"patient_id P{test} stands in the subsets test and train"):
        assign(layout)


@pytest.mark.parametrize("what", ["image_sha256", "file_sha256", "sop_uid", "near_duplicate"])
def test_what_two_data_sets_share_is_a_leak(layout, what):
    """The target's test lesion must not have been trained on in another data set."""
    train, test = subset_of(layout, "brain", "train"), subset_of(layout, "prostatex", "test")
    plant(layout, what, ("brain", train), ("prostatex_dwi", test))
    with pytest.raises(StageError, match=rf"{what} \S+ stands in the subsets test and train"):
        assign(layout)


def test_a_data_set_that_the_reproduction_alone_learns_from_may_hold_the_targets_patients(layout):
    """Thesis chapter 5 on stacked patches of the patients whose single sequences are transferred to."""
    content = YAML().load(layout.params)
    content["datasets"]["stacks"] = {"kind": "patch_archive", "source": "stacks"}
    content["cohorts"]["stacks"] = {**content["cohorts"]["brain"], "dataset": "stacks"}
    content["reproduction"]["cohort"] = "stacks"
    YAML().dump(content, layout.params)
    shutil.copytree(layout.cohort("prostatex_dwi"), layout.cohort("stacks"))
    mark_checked(layout, "stacks")
    split(layout, "stacks")
    assign(layout)
    content["transfer"]["ds2_frozen"]["cohort"] = "stacks"
    YAML().dump(content, layout.params)
    with pytest.raises(StageError, match=r"stands in the subsets"):
        assign(layout)


def test_a_cohort_that_was_not_checked_or_has_changed_since_is_not_split(layout):
    split(layout, "prostatex")
    images = layout.cohort("prostatex_mpmri") / "images.npy"
    np.save(images, np.roll(np.load(images), 5, axis=3))
    with pytest.raises(StageError, match=r"has other images.*run `lesion check prostatex_mpmri`"):
        split(layout, "prostatex")
    layout.checked("prostatex_mpmri").unlink()
    with pytest.raises(StageError, match="lesion check prostatex_mpmri"):
        split(layout, "prostatex")


def test_a_cohort_that_is_trained_on_needs_labels(layout):
    for row in range(N_PATIENTS):
        change(layout, "brain", row, label="")
    with pytest.raises(StageError, match="cohort brain is trained on and none of its 24 findings has a label"):
        split(layout, "brain")


def test_group_names_of_two_data_sets_are_not_the_same_group(layout):
    train, test = subset_of(layout, "brain", "train"), subset_of(layout, "prostatex", "test")
    plant(layout, "group", ("brain", train), ("prostatex_dwi", test))
    assign(layout)


def test_one_patient_in_two_data_sets_is_a_leak_unless_ids_are_not_shared(layout):
    train, test = subset_of(layout, "brain", "train"), subset_of(layout, "prostatex", "test")
    for path in (layout.cohort("brain") / "findings.csv", layout.split("brain")):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table["patient_id"] = table["patient_id"].replace(f"B{train}", f"P{test}")
        table.to_csv(path, index=False)
    with pytest.raises(StageError, match=rf"patient_id P{test} stands in.*shared_patient_ids"):
        assign(layout)
    content = YAML().load(layout.params)
    content["split"]["shared_patient_ids"] = False
    YAML().dump(content, layout.params)
    assign(layout)


def test_near_duplicates_can_be_switched_off(layout):
    content = YAML().load(layout.params)
    content["split"]["near_duplicate_bits"] = None
    YAML().dump(content, layout.params)
    train, test = (subset_of(layout, "prostatex", subset) for subset in ("train", "test"))
    plant(layout, "near_duplicate", ("prostatex_dwi", train), ("prostatex_dwi", test))
    assign(layout)
