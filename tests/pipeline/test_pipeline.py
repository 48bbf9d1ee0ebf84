"""The pipeline as a user runs it: real DVC, a real MLflow store, tiny phantoms."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
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

pytestmark = pytest.mark.slow
PHASES = ["ds1_full", "ds2_frozen", "ds2_full", "ds3_frozen", "ds3_full", "ds4_frozen", "ds4_full"]
LATER = [f"transfer@{phase}" for phase in PHASES[1:]]


def mlflow_runs(project) -> dict[str, list[Run]]:
    """All runs by name, newest first."""
    client = MlflowClient(tracking_uri=f"sqlite:///{project.root}/mlflow.db")
    experiment = client.get_experiment_by_name("lesion-transfer")
    assert experiment is not None
    runs: dict[str, list[Run]] = {}
    for run in client.search_runs([experiment.experiment_id], order_by=["start_time DESC"]):
        runs.setdefault(str(run.info.run_name), []).append(run)
    return runs


def test_every_stage_of_the_chain_runs_after_what_it_needs(reproduced):
    ran = reproduced.first_run
    assert ran[0] == "settings"
    assert [name for name in ran if name in {"roulette", "train", *LATER, "evaluate", "report"}] == [
        *("roulette", "train", *LATER, "evaluate", "report")
    ]
    for name, dataset in (("prostatex_dwi", "prostatex"), ("brain", "brain"), ("lung", "lungx")):
        chain = [f"acquire@{dataset}", f"cohort@{name}", f"check@{name}", f"split@{dataset}", f"assign@{name}"]
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
    runs = mlflow_runs(reproduced)
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
    runs = mlflow_runs(reproduced)
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


def test_one_phases_entry_reruns_it_and_those_after_it(project):
    """And the value arrives as a number, in the optimizer's history and in MLflow."""
    ran = project.stages_run("dvc", "exp", "run", "-S", "transfer.ds3_full.lr=1e-7")
    assert [name for name in ran if name != "ledger"] == ["settings", *LATER[3:], "evaluate", "report"]
    assert "ledger" in ran
    assert (pd.read_csv(project.root / "models/ds3_full/history.csv")["lr"] == 1e-7).all()
    assert (pd.read_csv(project.root / "models/ds4_frozen/history.csv")["lr"] == 0.001).all()
    run = mlflow_runs(project)["ds3_full"][0]
    assert run.data.params["lr"] == "1e-07"
    assert run.data.metrics["log10_lr"] == pytest.approx(-7)
    assert run.data.tags["dvc.exp_name"]


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


def test_two_queue_workers_share_a_store_that_did_not_exist(reproduced, tmp_path):
    clone = reproduced.clone(tmp_path / "clone")
    clone.run("dvc", "pull")
    for lr in ("1e-5", "1e-6"):
        clone.run("dvc", "exp", "run", "--queue", "-S", f"transfer.ds4_full.lr={lr}")
    # its workers are daemons that inherit the output: nobody must wait for its end, as one may stay idle for long
    start = ["dvc", "queue", "start", "-j", "2"]
    quiet = subprocess.DEVNULL
    subprocess.run(start, cwd=clone.root, env=clone.environment, stdout=quiet, stderr=quiet, check=True)
    status = ""
    for _ in range(300):
        status = clone.run("dvc", "queue", "status").stdout
        if status.count("Success") == 2 or "Failed" in status:
            break
        clone.run("sleep", "1")
    assert status.count("Success") == 2, status
    clone.run("dvc", "queue", "stop", "--kill")
    runs = mlflow_runs(clone)["ds4_full"]
    assert sorted(run.data.params["lr"] for run in runs) == ["1e-05", "1e-06"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["lesion.started_from_run"] for run in runs} == {"not in this store"}


def test_mlflow_run_starts_an_experiment_and_adopts_its_stages(project):
    command = ["mlflow", "run", ".", "-P", "lr=1e-8", "--env-manager", "local"]
    project.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{project.root}/mlflow.db"
    project.run(*command, "--experiment-name", "lesion-transfer")
    runs = mlflow_runs(project)
    newest = runs["ds1_full"][0]
    assert newest.data.params["lr"] == "1e-08"
    parent = newest.data.tags["mlflow.parentRunId"]
    assert runs["ds4_full"][0].data.tags["mlflow.parentRunId"] == parent
    assert parent not in {run.info.run_id for name in PHASES for run in runs[name]}


def test_a_failing_stage_says_why_and_closes_its_run(project):
    done = project.run("dvc", "exp", "run", "-S", "lr=1e30", check=False)
    assert done.returncode != 0
    assert "The loss of ds1_full is" in done.stderr
    assert "Traceback" not in done.stderr
    assert mlflow_runs(project)["ds1_full"][0].info.status == "FAILED"


def test_a_wrong_setting_stops_before_anything_runs(project):
    done = project.run("dvc", "exp", "run", "-S", "transfer.ds2_frozen.lr=fast", check=False)
    assert done.returncode != 0
    assert "transfer.ds2_frozen.lr" in done.stderr
    assert "Running stage 'train'" not in done.stdout
    done = project.run("dvc", "exp", "run", "-S", "+epoch=3", check=False)
    assert "epoch: no such setting" in done.stderr


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("data/raw/brain", lambda layout: cohort(layout, "brain")),
        ("data/cohorts/brain", lambda layout: assign(layout, "brain")),
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


def test_the_full_width_network_goes_through_all_seven_phases(project, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    wide = {"filters": [32, 64, 128], "dense": [256, 64, 16]}
    project.change_params({"network": wide, "epochs": 2, "batch_size": 32, "threads": 2})
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


def test_a_fourth_body_part_is_params_alone(project, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.normal(100, 20, (40, 1, 70, 70)) + 40 * labels[:, None, None, None]
    knee = tmp_path / "knee"
    knee.mkdir()
    np.save(knee / "images.npy", np.clip(images, 0, 255).astype(np.uint8))
    table = {"patient_id": [f"K{n}" for n in range(40)], "finding_id": 1, "label": labels.astype(bool)}
    pd.DataFrame(table).to_csv(knee / "findings.csv", index=False)
    project.change_params(
        {
            "datasets": {"knee": {"kind": "patch_archive", "source": str(knee)}},
            "cohorts": {
                "knee": {"dataset": "knee", "channels": ["t1"], "crop_fraction": [1.0, 1.0], "zscore": "dataset"}
            },
            "transfer": {
                "ds5_frozen": {"cohort": "knee", "start": "ds3_full", "decision_maker": "reset", "frozen": True},
                "ds4_frozen": {"start": "ds5_frozen"},
            },
        }
    )
    ran = project.stages_run("dvc", "repro")
    own = ["acquire@knee", "cohort@knee", "check@knee", "split@knee", "assign@knee", "transfer@ds5_frozen"]
    assert sorted((name for name in ran if name in own), key=own.index) == own
    assert not {"train", "transfer@ds2_frozen", "transfer@ds3_full"} & set(ran)
    assert {"transfer@ds4_frozen", "transfer@ds4_full", "evaluate"} <= set(ran)
    lineage = json.loads((project.root / "models/ds4_full/model.json").read_text())["lineage"]
    assert [link["phase"] for link in lineage][-3:] == ["ds3_full", "ds5_frozen", "ds4_frozen"]


def test_a_removed_phase_leaves_nothing_behind(project):
    text = (project.root / "params.yaml").read_text()
    project.change_params({"transfer": {"ds4_frozen": {"start": "ds2_full"}}})
    from ruamel.yaml import YAML

    content = YAML().load(project.root / "params.yaml")
    del content["transfer"]["ds3_frozen"], content["transfer"]["ds3_full"]
    YAML().dump(content, project.root / "params.yaml")
    assert text != (project.root / "params.yaml").read_text()
    ran = project.stages_run("dvc", "repro")
    assert "transfer@ds2_full" not in ran
    assert not (project.root / "models/ds3_full").exists()
    assert not (project.root / "reports/ds3_frozen.json").exists()


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
