"""The pipeline as a user runs it: real DVC, a real MLflow store, tiny phantoms."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file

from lesion_transfer.errors import LesionError
from lesion_transfer.learning.metrics import METRICS
from lesion_transfer.stages.assign import assign
from lesion_transfer.stages.cohort import cohort
from lesion_transfer.stages.evaluate import evaluate
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.ledger import ledger
from lesion_transfer.stages.report import report
from lesion_transfer.stages.roulette import roulette
from lesion_transfer.stages.train import train
from lesion_transfer.stages.transfer import transfer

from .conftest import LATER, PHASES

pytestmark = pytest.mark.slow


def test_every_stage_of_the_chain_runs_after_what_it_needs(reproduced):
    ran = reproduced.first_run
    assert ran[0] == "settings"
    assert [name for name in ran if name in {"roulette", "train", *LATER, "evaluate", "report"}] == [
        *("roulette", "train", *LATER, "evaluate", "report")
    ]
    for name, dataset in (("prostatex_dwi", "prostatex"), ("brain", "brain"), ("lung", "lungx")):
        chain = [f"acquire@{dataset}", f"cohort@{name}", f"check@{name}", f"split@{dataset}", "assign"]
        assert sorted(chain, key=ran.index) == chain


def test_a_second_repro_has_nothing_to_do(reproduced):
    assert reproduced.stages_run("dvc", "repro") == []
    assert reproduced.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert reproduced.run("git", "status", "--porcelain").stdout == ""


def test_files_and_columns_are_those_that_scripts_rely_on(reproduced):
    root = reproduced.root
    images = np.load(root / "data/cohorts/prostatex_dwi/images.npy")
    findings = pd.read_csv(root / "data/cohorts/prostatex_dwi/findings.csv")
    assert images.dtype == np.float32
    assert images.shape == (len(findings), 1, 85, 85)
    wanted = "finding_key patient_id finding_id label zone dwi_series_uid dwi_sop_uid dwi_distance_mm"
    assert set(wanted.split()) <= set(findings)
    split = pd.read_csv(root / "data/splits/prostatex.csv")
    assert list(split) == ["finding_key", "patient_id", "replicate", "subset", "fold"]
    assert set(split["subset"]) == {"train", "validation", "test"}
    assert split.loc[split["subset"] == "test", "fold"].isna().all()
    assert set(pd.read_csv(root / "data/splits/brain.csv")["subset"]) == {"train", "validation"}
    scores = [f"{subset}_{metric}" for subset in ("train", "validation") for metric in METRICS]
    for phase in PHASES:
        history = pd.read_csv(root / f"models/{phase}/history.csv")
        wanted = ["epoch", "replicate", "lr", *scores]
        if phase != "ds1_full":
            wanted += [f"target_{score}" for score in scores]
        assert set(wanted) <= set(history), phase
        predictions = pd.read_csv(root / f"models/{phase}/predictions.csv")
        assert list(predictions) == [
            *("cohort", "finding_key", "patient_id", "finding_id", "label", "subset", "fold", "replicate", "copy"),
            "probability",
        ]
        assert predictions["probability"].between(0, 1).all()
        metrics = json.loads((root / f"reports/{phase}.json").read_text())
        assert metrics["model_sha256"] == json.loads((root / f"models/{phase}/model.json").read_text())["model_sha256"]
        assert metrics["extractor_unchanged"] is ("frozen" in phase)
    evaluation = json.loads((root / "reports/evaluation.json").read_text())
    assert (evaluation["before"]["phase"], evaluation["after"]["phase"]) == ("ds1_full", "ds4_full")
    assert {"value", "low", "high", "n", "n_positive", "n_patients"} <= set(evaluation["difference"]["auc"])
    test = predictions[(predictions["subset"] == "test") & (predictions["copy"] == 0)]
    assert evaluation["before"]["auc"]["n"] == len(test)
    assert "phantom" in (root / "reports/report.html").read_text().lower()


def test_the_global_performance_is_flat_in_frozen_phases_and_continuous_between_phases(reproduced):
    curves = pd.read_csv(reproduced.root / "reports/curves.csv")
    assert list(curves["global_epoch"]) == list(range(1, len(curves) + 1))
    last = curves.set_index("phase")["target_validation_loss"]
    # one epoch a phase: the extractor of a frozen phase is that of the phase before
    assert last["ds2_full"] == pytest.approx(last["ds3_frozen"], rel=1e-5)
    assert last["ds3_full"] == pytest.approx(last["ds4_frozen"], rel=1e-5)


def test_mlflow_holds_seven_phases_of_one_pipeline(reproduced):
    runs = reproduced.mlflow_runs()
    assert {name: len(runs[name]) for name in PHASES} == dict.fromkeys(PHASES, 1)
    first = runs["ds1_full"][0]
    assert len({run.data.tags["lesion.pipeline"] for name in PHASES for run in runs[name]}) == 1
    head = reproduced.run("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    for number, name in enumerate(PHASES):
        run = runs[name][0]
        assert run.info.status == "FINISHED"
        assert run.data.tags["dvc.stage"] == ("train" if name == "ds1_full" else f"transfer@{name}")
        assert run.data.tags["dvc.baseline_rev"] == head
        assert float(run.data.params["lr"]) == 0.001
        assert run.data.metrics["global_epoch"] == number + 1
        assert {data.dataset.name.rpartition("-")[2] for data in run.inputs.dataset_inputs} == {"train", "validation"}
        if number:
            assert run.data.tags["lesion.started_from_run"] == runs[PHASES[number - 1]][0].info.run_id
    client = MlflowClient(tracking_uri=f"sqlite:///{reproduced.root}/mlflow.db")
    artifacts = {
        file.path
        for folder in ("figures", "gradient_flow", "model", "checks")
        for file in client.list_artifacts(first.info.run_id, folder)
    }
    assert {f"figures/{metric}.png" for metric in METRICS} <= artifacts
    assert {
        "checks/prostatex_dwi.json",
        "checks/red_dots.png",
        "checks/alignment.png",
        "checks/augmented_dots.png",
    } <= artifacts
    assert {"gradient_flow/epoch_0001.png", "gradient_flow/evolution.png", "model/model.safetensors"} <= artifacts


def test_the_report_says_where_its_models_come_from(reproduced, tmp_path):
    """The versioned page by hashes, as its bytes depend on inputs alone; its copy in MLflow by revision and runs."""
    runs = reproduced.mlflow_runs()
    page = (reproduced.root / "reports/report.html").read_text()
    client = MlflowClient(tracking_uri=f"sqlite:///{reproduced.root}/mlflow.db")
    made = runs["report"][0]
    copy = Path(client.download_artifacts(made.info.run_id, "report.html", str(tmp_path))).read_text()
    assert made.data.tags["dvc.baseline_rev"] in copy
    assert made.data.tags["dvc.baseline_rev"] not in page
    for name in PHASES:
        assert runs[name][0].data.tags["lesion.model_sha256"] in page
        address = f"/#/experiments/{made.info.experiment_id}/runs/{runs[name][0].info.run_id}"
        assert f"http://127.0.0.1:5000{address}" in copy
        assert runs[name][0].info.run_id not in page


def test_a_fresh_clone_pulls_and_trains_nothing(reproduced, tmp_path):
    clone = reproduced.clone(tmp_path / "clone")
    clone.run("dvc", "pull")
    ran = clone.stages_run("dvc", "repro")
    assert all(name.startswith("acquire") for name in ran), ran
    assert clone.run("git", "status", "--porcelain").stdout == ""
    assert not (clone.root / "mlflow.db").exists()


def test_a_repetition_in_a_clean_clone_leaves_git_clean(reproduced, tmp_path):
    clone = reproduced.clone(tmp_path / "clone")
    clone.run("rm", "-rf", ".dvcstore")
    clone.run("git", "update-index", "--assume-unchanged", *clone.run("git", "ls-files", ".dvcstore").stdout.split())
    ran = clone.stages_run("dvc", "repro")
    assert {"roulette", "train", *LATER} <= set(ran)
    assert clone.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("data/raw/brain", lambda layout: cohort(layout, "brain")),
        ("data/cohorts/brain", assign),
        ("data/assigned/prostatex_dwi.csv", train),
        ("models/roulette", train),
        ("models/ds2_frozen/model.safetensors", lambda layout: transfer(layout, "ds2_full")),
        ("data/outer_folds.csv", ledger),
        ("models/ds4_full/predictions.csv", evaluate),
        ("reports/evaluation.json", report),
        ("reports/ledger.json", report),
    ],
)
def test_a_stage_without_its_inputs_fails_with_a_sentence(project, missing, stage, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    project.run("rm", "-r", missing)
    with pytest.raises(LesionError, match=re.escape(missing)):
        stage(Layout(project.root))


def test_the_full_width_network_goes_through_all_seven_phases_in_the_thesiss_ways(project, monkeypatch):
    """Its sizes, softmax before the cross-entropy, augmented validation, statistics of all rows, float32."""
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    wide = {"filters": [32, 64, 128], "dense": [256, 64, 16]}
    faithful = {"loss": "cross_entropy_on_softmax", "validation": "augmented_balanced", "precision": "float32"}
    all_rows = {name: {"zscore": "dataset", "zscore_rows": "all_rows"} for name in ("prostatex_dwi", "brain", "lung")}
    project.change_params(
        {"network": wide, "epochs": 2, "batch_size": 32, "threads": 2, **faithful, "cohorts": all_rows}
    )
    layout = Layout(project.root)
    roulette(layout)
    train(layout)
    for phase in PHASES[1:]:
        transfer(layout, phase)
    history = pd.read_csv(layout.model("ds4_full") / "history.csv")
    assert list(history["epoch"]) == [1, 2]
    state = load_file(layout.model("ds4_full") / "model.safetensors")
    assert state["feature_extractor.dense1.weight"].shape == (256, 2048)
    for phase in ("ds2_frozen", "ds3_frozen", "ds4_frozen"):
        assert json.loads(layout.metrics(phase).read_text())["extractor_unchanged"]


def test_dvc_shows_plots_and_metrics(reproduced, tmp_path):
    assert "ds4_full" in reproduced.run("dvc", "metrics", "show").stdout
    reproduced.run("dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text()
    assert "target_validation_auc" in page


def test_a_tagged_model_is_fetched_by_its_name(project, tmp_path):
    project.run("git", "tag", "--annotate", "--message", "first", "lesion-classifier@v1.0.0")
    project.run("dvc", "artifacts", "get", str(project.root), "lesion-classifier", "-o", str(tmp_path / "got"))
    model = project.root / "models/ds4_full/model.safetensors"
    assert (tmp_path / "got/model.safetensors").read_bytes() == model.read_bytes()
