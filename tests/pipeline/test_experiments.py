"""What a user changes and runs again: experiments, the queue, `mlflow run`, other data sets and phases. Real DVC."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from .conftest import LATER, PHASES

pytestmark = pytest.mark.slow


def test_one_phases_entry_reruns_it_and_those_after_it(project):
    """And the value arrives as a number, in the optimizer's history and in MLflow."""
    ran = project.stages_run("dvc", "exp", "run", "-S", "transfer.ds3_full.lr=1e-7")
    assert [name for name in ran if name != "ledger"] == ["settings", *LATER[3:], "evaluate", "report"]
    assert "ledger" in ran
    assert (pd.read_csv(project.root / "models/ds3_full/history.csv")["lr"] == 1e-7).all()
    assert (pd.read_csv(project.root / "models/ds4_frozen/history.csv")["lr"] == 0.001).all()
    run = project.mlflow_runs()["ds3_full"][0]
    assert run.data.params["lr"] == "1e-07"
    assert run.data.metrics["log10_lr"] == pytest.approx(-7)
    assert run.data.tags["dvc.exp_name"]


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
    runs = clone.mlflow_runs()["ds4_full"]
    assert sorted(run.data.params["lr"] for run in runs) == ["1e-05", "1e-06"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["lesion.started_from_run"] for run in runs} == {"not in this store"}


def test_mlflow_run_starts_an_experiment_and_adopts_its_stages(project):
    command = ["mlflow", "run", ".", "-P", "lr=1e-8", "--env-manager", "local"]
    project.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{project.root}/mlflow.db"
    project.run(*command, "--experiment-name", "lesion-transfer")
    runs = project.mlflow_runs()
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
    assert project.mlflow_runs()["ds1_full"][0].info.status == "FAILED"


def test_a_wrong_setting_stops_before_anything_runs(project):
    done = project.run("dvc", "exp", "run", "-S", "transfer.ds2_frozen.lr=fast", check=False)
    assert done.returncode != 0
    assert "transfer.ds2_frozen.lr" in done.stderr
    assert "Running stage 'train'" not in done.stdout
    done = project.run("dvc", "exp", "run", "-S", "+epoch=3", check=False)
    assert "epoch: no such setting" in done.stderr


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
    own = ["acquire@knee", "cohort@knee", "check@knee", "split@knee", "assign", "transfer@ds5_frozen"]
    assert sorted((name for name in ran if name in own), key=own.index) == own
    assert not {"train", "transfer@ds2_frozen", "transfer@ds3_full"} & set(ran)
    assert {"transfer@ds4_frozen", "transfer@ds4_full", "evaluate"} <= set(ran)
    lineage = json.loads((project.root / "models/ds4_full/model.json").read_text())["lineage"]
    assert [link["phase"] for link in lineage][-3:] == ["ds3_full", "ds5_frozen", "ds4_frozen"]

    # DVC notices a change in the user's own folder, which nothing else has changed
    assert sorted(path.name for path in knee.iterdir()) == ["findings.csv", "images.npy"]
    assert project.stages_run("dvc", "repro", "acquire@knee") == []
    np.save(knee / "images.npy", np.clip(images + 1, 0, 255).astype(np.uint8))
    assert project.stages_run("dvc", "repro", "acquire@knee") == ["acquire@knee"]


def test_a_removed_phase_leaves_nothing_behind(project):
    text = (project.root / "params.yaml").read_text()
    project.change_params({"transfer": {"ds4_frozen": {"start": "ds2_full"}}})

    content = YAML().load(project.root / "params.yaml")
    del content["transfer"]["ds3_frozen"], content["transfer"]["ds3_full"]
    YAML().dump(content, project.root / "params.yaml")
    assert text != (project.root / "params.yaml").read_text()
    ran = project.stages_run("dvc", "repro")
    assert "transfer@ds2_full" not in ran
    assert not (project.root / "models/ds3_full").exists()
    assert not (project.root / "reports/ds3_frozen.json").exists()
