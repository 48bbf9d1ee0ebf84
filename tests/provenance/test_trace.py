"""`lesion trace`: from a finding to its files and to every model that saw it."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lesion_transfer.cli import app
from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.trace import trace_finding


@pytest.fixture
def project(data_project, tmp_path) -> Layout:
    """The data project with models that the stages would have written: roulette, a DS1 and a brain phase after it."""
    shutil.copytree(data_project.root, tmp_path / "project")
    layout = Layout(tmp_path / "project")
    lineage: list[dict[str, object]] = []
    for name, cohort, sha256 in (
        ("roulette", None, "aa"),
        ("ds1_full", "prostatex_dwi", "bb"),
        ("ds2_frozen", "brain", "cc"),
    ):
        folder = layout.model(name)
        folder.mkdir(parents=True)
        info = {"phase": name, "model_sha256": sha256}
        if cohort is not None:
            images = (layout.cohort(cohort) / "images.npy").read_bytes()
            info |= {"cohort": cohort, "lineage": list(lineage), "images_sha256": hashlib.sha256(images).hexdigest()}
            table = pd.read_csv(layout.assigned(cohort), dtype=str, keep_default_na=False).assign(cohort=cohort)
            copies = [table.assign(copy=copy, probability=0.25 + copy / 8) for copy in range(3)]
            pd.concat(copies).to_csv(folder / "predictions.csv", index=False)
        (folder / "model.json").write_text(json.dumps(info))
        lineage.append({"phase": name, "model_sha256": sha256, "epochs": 1})
    return layout


def a_finding(layout: Layout, cohort: str, subset: str) -> str:
    table = pd.read_csv(layout.assigned(cohort))
    return str(table.loc[table["subset"] == subset, "finding_key"].iloc[0])


def roles(found) -> dict[str, str]:
    return {model["model"]: model["role"] for model in found["models"]}


def test_a_training_finding_was_trained_on_and_later_models_descend_from_that(project):
    found = trace_finding(project, a_finding(project, "prostatex_dwi", "train"))
    assert roles(found) == {
        "ds1_full": "trained on it",
        "ds2_frozen": "descends from models that saw it: ds1_full trained on it",
    }
    (ds1, _) = found["models"]
    assert (ds1["probability"], ds1["augmented_probabilities"]) == (0.25, [0.375, 0.5])


def test_the_roulette_chose_by_a_validation_finding(project):
    found = trace_finding(project, a_finding(project, "prostatex_dwi", "validation"))
    assert roles(found)["roulette"] == roles(found)["ds1_full"] == "selected on it"


def test_every_replicates_roulette_is_told_by_the_rows_that_chose_it(project):
    key = a_finding(project, "prostatex_dwi", "train")
    path = project.assigned("prostatex_dwi")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    pd.concat([table, table.assign(replicate="1", subset="validation")]).to_csv(path, index=False)
    shutil.copytree(project.model("roulette"), project.model("roulette", 1))
    assert roles(trace_finding(project, key))["roulette/members/r001"] == "selected on it"
    assert "roulette" not in roles(trace_finding(project, key))


def test_a_test_finding_was_only_tested_on(project):
    found = trace_finding(project, a_finding(project, "prostatex_dwi", "test"))
    assert roles(found)["ds1_full"] == "tested on it"


def test_a_brain_finding_is_not_seen_by_earlier_models(project):
    found = trace_finding(project, a_finding(project, "brain", "train"))
    assert roles(found) == {"ds2_frozen": "trained on it"}
    (patch,) = found["patches"]
    assert patch["crop"]["crop_fraction"] == pytest.approx([2 / 7, 1 / 4], abs=1e-9)


def test_a_model_of_other_images_is_told_from_one_that_saw_these(project):
    """As the phantom's models beside real patients, whose keys may be the same."""
    key = a_finding(project, "prostatex_dwi", "test")
    path = project.cohort("prostatex_dwi") / "images.npy"
    np.save(path, np.load(path) + 1)
    assert roles(trace_finding(project, key))["ds1_full"] == "tested on it, of other images than prostatex_dwi has now"


def test_slice_crop_and_split_of_both_cohorts_are_told(project):
    key = a_finding(project, "prostatex_dwi", "train")
    found = trace_finding(project, key)
    assert [patch["cohort"] for patch in found["patches"]] == ["prostatex_dwi", "prostatex_mpmri"]
    assert [patch["crop"]["crop_mm"] for patch in found["patches"]] == [65.0, 24.5]
    assert list(found["patches"][1]["slices"]) == ["t2", "dwi", "adc"]
    assert {row["subset"] for row in found["assigned"]} == {"train"}
    for patch in found["patches"]:
        findings = pd.read_csv(project.cohort(patch["cohort"]) / "findings.csv")
        assert findings["finding_key"][patch["row"]] == key


def test_a_file_outside_the_source_is_compared_all_the_same(project, tmp_path):
    """A cohort notes it by its whole path."""
    key = a_finding(project, "prostatex_dwi", "train")
    file = tmp_path / "outside.dcm"
    file.write_bytes(b"pixels")
    folder = project.cohort("prostatex_dwi")
    table = pd.read_csv(folder / "findings.csv", dtype=str, keep_default_na=False)
    table.loc[table["finding_key"] == key, "dwi_file"] = str(file)
    table.to_csv(folder / "findings.csv", index=False)
    info = json.loads((folder / "cohort.json").read_text())
    info["source_sha256"][str(file)] = hashlib.sha256(b"pixels").hexdigest()
    (folder / "cohort.json").write_text(json.dumps(info))
    assert trace_finding(project, key)["patches"][0]["slices"]["dwi"]["file_now"] == "unchanged"


def test_a_file_that_changed_or_went_is_told(project):
    key = a_finding(project, "prostatex_dwi", "train")
    source = project.source(project.settings(), "prostatex")
    slices = trace_finding(project, key)["patches"][1]["slices"]
    assert {one["file_now"] for one in slices.values()} == {"unchanged"}
    (source / slices["t2"]["file"]).write_bytes(b"other")
    (source / slices["adc"]["file"]).unlink()
    after = trace_finding(project, key)["patches"][1]["slices"]
    assert {name: one["file_now"] for name, one in after.items()} == {
        "t2": "CHANGED",
        "dwi": "unchanged",
        "adc": "not there",
    }


def test_an_excluded_finding_gives_its_reason(project):
    excluded = pd.read_csv(project.cohort("lung") / "excluded.csv", dtype=str)
    key = excluded["finding_key"].iloc[0]
    found = trace_finding(project, key)
    assert found["excluded"][0]["reason"] == excluded["reason"].iloc[0]
    assert (found["patches"], found["models"]) == ([], [])


def test_an_unknown_finding_is_a_sentence(project):
    with pytest.raises(StageError, match="PATIENT/FID/n"):
        trace_finding(project, "Nobody/1/1")


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_it_works_without_an_mlflow_store_and_makes_none(project, monkeypatch, option):
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    said = CliRunner().invoke(app, ["trace", a_finding(project, "lung", "train"), *option])
    assert said.exit_code == 0
    assert "1.2.826" in said.stdout
    assert not (project.root / "mlflow.db").exists()
    if option:
        assert json.loads(said.stdout)["patches"][0]["cohort"] == "lung"
