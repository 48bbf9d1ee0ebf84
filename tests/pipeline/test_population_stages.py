"""Replicates and the grid of learning rates in the training stages, on a small archive of patches, without DVC."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML

from lesion_transfer.cohorts.splits import SplitError
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.settings import HYPERPARAMETERS
from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.report_rows import phase_row
from lesion_transfer.stages.roulette import roulette
from lesion_transfer.stages.runs import list_runs
from lesion_transfer.stages.train import train
from lesion_transfer.stages.training.phase_start import load_initial
from lesion_transfer.stages.training.replicates import replicate_seed
from lesion_transfer.stages.training.training_data import load_training_data
from lesion_transfer.stages.transfer import transfer

ROOT = Path(__file__).parents[2]
CHANNELS = {"prostatex_dwi": "dwi", "brain": "grey"}
CV = {"folds": 2, "lrs": [0.01, 0.001]}
PATCH, MARGIN = 37, 7


def write_params(path: Path, **changes: object) -> None:
    """The committed settings, tiny, with a grid in ds2_frozen."""
    content = YAML(typ="safe").load(ROOT / "params.yaml")
    content |= {"epochs": 2, "augmentation_factor": 1.0, "bank_copies": 2, "batch_size": 8, "roulette": {"n": 3}}
    content["network"] |= {"filters": [2, 2, 2], "dense": [8, 4, 4]}
    content["split"] |= {"replicates": 2}
    for cohort in content["cohorts"].values():
        cohort["patch_pixels"] = PATCH
    content["transfer"]["ds2_frozen"] |= {**dict.fromkeys(HYPERPARAMETERS), "cv": CV}
    YAML().dump(content | changes, path)


def write_cohort(layout: Layout, name: str, n_patients: int = 20) -> None:
    """Two replicates of patients with one noisy patch each, half of them positive and brighter in the middle."""
    rng = np.random.default_rng(len(name))
    side = PATCH + 2 * MARGIN
    labels = np.arange(n_patients) % 2 == 0
    images = rng.normal(100, 10, (n_patients, 1, side, side)).astype(np.float32)
    images[labels, :, side // 2 - 3 : side // 2 + 4, side // 2 - 3 : side // 2 + 4] += 10
    channel = CHANNELS[name]
    patients = [f"{name}-{k:02d}" for k in range(n_patients)]
    keys = [f"{patient}/1/1" for patient in patients]
    folder = layout.cohort(name)
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", images)
    findings = pd.DataFrame({"finding_key": keys, "patient_id": patients, "finding_id": "1", "label": labels})
    findings[f"{channel}_mean"], findings[f"{channel}_std"] = 100.0, 10.0
    findings.to_csv(folder / "findings.csv", index=False)
    info = {"channels": [channel], "patch_pixels": PATCH, "margin_pixels": MARGIN}
    (folder / "cohort.json").write_text(json.dumps(info))
    assigned = []
    for replicate in (0, 1):
        subset = np.array(["train"] * 12 + ["validation"] * 4 + ["test"] * 4)
        table = pd.DataFrame({"finding_key": keys, "patient_id": patients, "replicate": replicate, "fold": 0})
        assigned.append(table.assign(subset=np.roll(subset, 4 * replicate)))
    layout.assigned(name).parent.mkdir(parents=True, exist_ok=True)
    pd.concat(assigned).to_csv(layout.assigned(name), index=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Layout:
    """roulette, ds1_full and ds2_frozen of two replicates, the last with a grid."""
    root = tmp_path_factory.mktemp("population")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        layout = Layout(root)
        write_params(layout.params)
        (root / "dvc.yaml").touch()
        for name in CHANNELS:
            write_cohort(layout, name)
        roulette(layout)
        train(layout)
        transfer(layout, "ds2_frozen")
    return layout


def runs_of(layout: Layout) -> dict[str, Run]:
    client = MlflowClient(tracking_uri=f"sqlite:///{layout.root}/mlflow.db")
    experiment = client.get_experiment_by_name("lesion-transfer")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], max_results=1000, order_by=["start_time ASC"])
    return {str(run.info.run_name): run for run in found}


def read_json(path: Path):
    return json.loads(path.read_text())


def test_every_replicate_has_its_folder_and_descends_from_its_own_replicate(trained):
    for phase, start in (("ds1_full", "roulette"), ("ds2_frozen", "ds1_full")):
        for replicate in (0, 1):
            folder = trained.model(phase, replicate)
            info = read_json(folder / "model.json")
            assert info["replicate"] == replicate
            started_from = read_json(trained.model(start, replicate) / "model.json")["model_sha256"]
            assert info["lineage"][-1] == {**info["lineage"][-1], "phase": start, "model_sha256": started_from}
            for table in ("history.csv", "predictions.csv"):
                assert set(pd.read_csv(folder / table)["replicate"]) == {replicate}
    assert trained.model("ds1_full", 1) == trained.root / "models/ds1_full/members/r001"


def test_replicates_differ_in_their_roulette_split_and_streams(trained):
    hashes = [read_json(trained.model(phase, r) / "model.json") for phase in ("roulette", "ds1_full") for r in (0, 1)]
    assert len({info["model_sha256"] for info in hashes}) == 4
    subsets = [pd.read_csv(trained.model("ds1_full", r) / "predictions.csv").query("copy == 0") for r in (0, 1)]
    assert (subsets[0]["subset"].to_numpy() != subsets[1]["subset"].to_numpy()).any()


def test_no_two_replicates_of_any_seeds_share_their_streams():
    seeds = {replicate_seed(seed, replicate) for seed in range(20) for replicate in range(5)}
    assert len(seeds) == 20 * 5
    assert [replicate_seed(seed, 0) for seed in range(20)] == list(range(20))


@pytest.mark.parametrize("start", ["ds1_full", "ds2_frozen"])
def test_a_start_that_learnt_from_what_this_split_tests_is_refused(trained, tmp_path, caplog, start):
    """By its own predictions, or by those of a model that it descends from; the same split's own is a start."""
    settings = trained.settings().model_copy(update={"initial_model": f"models/{start}"})
    loaded = [load_training_data(trained, settings, settings.target, replicate) for replicate in (0, 1)]
    assert load_initial(trained, settings, loaded[0], 0)[1] == start
    assert "is not known" not in caplog.text
    with pytest.raises(StageError, match="learnt from prostatex_dwi-00 and 3 more patients whom this split tests"):
        load_initial(trained, settings, loaded[1], 1)
    if start == "ds1_full":
        # as if it had learnt from people of another data set who have the same ids
        moved = tmp_path / "moved" / start
        shutil.copytree(trained.model(start), moved)
        table = pd.read_csv(moved / "predictions.csv").assign(cohort="brain")
        table.to_csv(moved / "predictions.csv", index=False)
        others = settings.model_copy(update={"initial_model": str(moved)})
        with pytest.raises(StageError, match="learnt from prostatex_dwi-00"):
            load_initial(trained, others, loaded[1], 1)
        apart = others.model_copy(update={"split": others.split.model_copy(update={"shared_patient_ids": False})})
        load_initial(trained, apart, loaded[1], 1)
    alone = tmp_path / "elsewhere" / start
    shutil.copytree(trained.model(start), alone, ignore=shutil.ignore_patterns("predictions.csv"))
    unknown = settings.model_copy(update={"initial_model": str(alone)})
    load_initial(trained, unknown, loaded[1], 1)
    assert f"what {start}" in caplog.text
    assert "is not known (no predictions.csv" in caplog.text


def test_the_grid_trains_every_rate_on_every_fold_and_the_best_mean_trains_the_phase(trained):
    report = read_json(trained.metrics("ds2_frozen"))
    table = pd.read_csv(trained.model("ds2_frozen") / "cv.csv")
    assert list(zip(table["lr"], table["fold"], strict=True)) == [(lr, k) for lr in CV["lrs"] for k in (0, 1)]
    assert (table["n_train"] + table["n_validation"] == 12).all()
    means = table.groupby("lr")["validation_auc"].mean()
    listed = {row["lr"]: row["mean_auc"] for row in report["cross_validation"]["rates"]}
    assert listed == pytest.approx(means.to_dict())
    best = report["cross_validation"]["chosen_lr"]
    assert listed[best] == max(listed.values())
    assert read_json(trained.model("ds2_frozen") / "model.json")["hyperparameters"]["lr"] == best
    assert pd.read_csv(trained.model("ds2_frozen") / "history.csv")["lr"][0] == best
    assert phase_row(trained, trained.settings(), "ds2_frozen").lr == best
    assert [row["replicate"] for row in report["replicates"]] == [0, 1]
    assert not (trained.model("ds1_full") / "cv.csv").exists()


def test_members_are_finished_children_of_their_stages_run_and_lesion_runs_leaves_them_out(trained, monkeypatch):
    runs = runs_of(trained)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    children = {name for name, run in runs.items() if "lesion.member" in run.data.tags}
    grid = {f"ds2_frozen cv lr {lr:g} fold {k}{r}" for lr in CV["lrs"] for k in (0, 1) for r in ("", " r001")}
    drawn = {f"roulette {k:03d}" for k in range(3)}
    assert children == grid | drawn | {"roulette r001", "ds1_full r001", "ds2_frozen r001"}
    for name in children:
        parent = runs[name.split()[0]]
        assert runs[name].data.tags["mlflow.parentRunId"] == parent.info.run_id
    folder = trained.model("ds2_frozen", 1)
    assert runs["ds2_frozen r001"].data.tags["lesion.model_sha256"] == read_json(folder / "model.json")["model_sha256"]
    row = pd.read_csv(trained.model("ds2_frozen") / "cv.csv").iloc[0]
    member = runs[f"ds2_frozen cv lr {row['lr']:g} fold {row['fold']:g}"]
    assert member.data.metrics["best_validation_auc"] == pytest.approx(row["validation_auc"])
    chosen = read_json(trained.metrics("ds2_frozen"))["cross_validation"]["chosen_lr"]
    assert float(runs["ds2_frozen"].data.params["lr"]) == chosen
    monkeypatch.setenv("DVC_ROOT", str(trained.root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert {run.name for run in list_runs()} == {"roulette", "ds1_full", "ds2_frozen"}
    assert {run.name for run in list_runs(members=True)} == set(runs)
    assert {run.name for run in list_runs(["roulette"], members=True)} == {"roulette", "roulette r001"} | drawn


@pytest.fixture
def again(trained, tmp_path, monkeypatch) -> Layout:
    """A copy that a test may train again."""
    shutil.copytree(trained.root, tmp_path / "project")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Layout(tmp_path / "project")


def test_validation_rows_of_one_class_stop_neither_the_roulette_nor_its_run(again):
    path = again.assigned("prostatex_dwi")
    table = pd.read_csv(path)
    findings = pd.read_csv(again.cohort("prostatex_dwi") / "findings.csv").set_index("finding_key")
    positive = findings.loc[table["finding_key"], "label"].to_numpy()
    table.loc[(table["subset"] == "validation") & positive, "subset"] = "train"
    table.to_csv(path, index=False)
    roulette(again)
    found = read_json(again.metrics("roulette"))
    assert "validation_auc" not in found["validation"]
    assert found["validation"]["validation_loss"] > 0
    assert runs_of(again)["roulette"].info.status == "FINISHED"


def test_the_roulette_obeys_autocast_and_says_so(again, trained):
    write_params(again.params, autocast="bfloat16")
    roulette(again)
    exact, rounded = (pd.read_csv(of.model("roulette") / "history.csv")["validation_loss"] for of in (trained, again))
    assert (exact != rounded).all()
    assert rounded.to_numpy() == pytest.approx(exact.to_numpy(), rel=1e-2)
    assert runs_of(again)["roulette"].data.params["autocast"] == "bfloat16"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_the_first_replicate_is_what_a_pipeline_of_one_replicate_trains(again, trained):
    write_params(again.params, split=YAML(typ="safe").load(again.params)["split"] | {"replicates": 1})
    shutil.rmtree(again.models)
    roulette(again)
    train(again)
    for phase in ("roulette", "ds1_full"):
        before = {name: data for name, data in files_of(trained.model(phase)).items() if "members" not in name}
        assert files_of(again.model(phase)) == before


@pytest.mark.parametrize("backend", ["in_process", "ray"])
def test_a_rate_that_cannot_go_on_is_out_of_the_grid_and_the_others_go_on(again, caplog, backend):
    write_params(again.params, backend={"kind": backend, "workers": 2, "address": None})
    content = YAML(typ="safe").load(again.params)
    content["stack_members"] = backend == "in_process"
    content["transfer"]["ds2_frozen"]["cv"]["lrs"] = [1e30, 0.001]
    YAML().dump(content, again.params)
    transfer(again, "ds2_frozen")
    table = pd.read_csv(again.model("ds2_frozen") / "cv.csv", keep_default_na=False)
    assert (table["stopped"] == "").tolist() == [False, False, True, True]
    assert table["stopped"][0].startswith("The loss of ds2_frozen cv fold 0 is")
    assert caplog.text.count("the rate 1e+30 is out of the grid: The loss of ds2_frozen cv fold") == 1
    assert table["best_epoch"].str.fullmatch("[12]?").all()
    found = read_json(again.metrics("ds2_frozen"))["cross_validation"]
    assert found["chosen_lr"] == 0.001
    assert [(row["mean_auc"] is None, row["n_stopped"]) for row in found["rates"]] == [(True, 2), (False, 0)]
    runs = runs_of(again)
    assert runs["ds2_frozen"].info.status == "FINISHED"
    stopped = runs["ds2_frozen cv lr 1e+30 fold 1"]
    assert stopped.info.status == "FAILED"
    assert stopped.data.tags["lesion.stopped"] == table["stopped"][1]
    assert runs["ds2_frozen cv lr 0.001 fold 1"].info.status == "FINISHED"
    content["transfer"]["ds2_frozen"]["cv"]["lrs"] = [1e30, 1e31]
    YAML().dump(content, again.params)
    with pytest.raises(TrainingError, match=r"None of the rates in cv\.lrs went through its folds"):
        transfer(again, "ds2_frozen")
    assert "FAILED" in {run.info.status for run in runs_of(again).values() if run.info.run_name == "ds2_frozen"}


def test_folds_that_cannot_be_made_are_told_and_the_run_is_closed_as_failed(again):
    content = YAML(typ="safe").load(again.params)
    content["transfer"]["ds2_frozen"]["cv"] = {"folds": 7, "lrs": [0.01]}
    YAML().dump(content, again.params)
    with pytest.raises(SplitError, match=r"cannot make 7 folds with both classes.*cv\.folds"):
        transfer(again, "ds2_frozen")
    assert runs_of(again)["ds2_frozen"].info.status == "FAILED"


KILLING = """
import os, signal, sys
from pathlib import Path
from lesion_transfer.learning import population
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.transfer import transfer

root = Path(sys.argv[1])
flag, train_together = root / "killed", population._train_together

def train_or_die(common, watchers, tasks):
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return train_together(common, watchers, tasks)

population._train_together = train_or_die
transfer(Layout(root), "ds2_frozen")
"""


@pytest.mark.slow
def test_ray_writes_the_same_files_though_a_worker_is_killed_and_leaves_no_run_open(again, trained):
    write_params(again.params, backend={"kind": "ray", "workers": 2, "address": None})
    shutil.rmtree(again.model("ds2_frozen"))
    done = subprocess.run([sys.executable, "-c", KILLING, str(again.root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (again.root / "killed").exists()
    assert files_of(again.model("ds2_frozen")) == files_of(trained.model("ds2_frozen"))
    assert again.metrics("ds2_frozen").read_bytes() == trained.metrics("ds2_frozen").read_bytes()
    assert {run.info.status for run in runs_of(again).values()} == {"FINISHED"}


@pytest.mark.slow
def test_a_stage_that_is_terminated_while_ray_works_closes_its_run_and_ends_its_workers(again):
    write_params(again.params, epochs=2000, backend={"kind": "ray", "workers": 2, "address": None})
    command = "import sys; from pathlib import Path; from lesion_transfer.stages.layout import Layout; "
    command += "from lesion_transfer.stages.transfer import transfer; transfer(Layout(Path(sys.argv[1])), 'ds2_frozen')"
    stage = subprocess.Popen([sys.executable, "-c", command, str(again.root)], stderr=subprocess.DEVNULL)
    try:
        workers = wait_for_workers(stage)
        stage.send_signal(signal.SIGTERM)
        stage.wait(timeout=60)
    finally:
        stage.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert runs_of(again)["ds2_frozen"].info.status == "FAILED"
    assert not [run for run in runs_of(again).values() if run.info.status == "RUNNING"]


def wait_for_workers(stage: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All processes below a stage, as soon as a Ray worker among them has a task."""
    for _ in range(1200):
        assert stage.poll() is None, "the stage ended before a task started"
        below = psutil.Process(stage.pid).children(recursive=True)
        if any("_run_task" in title(process) for process in below):
            return below
        time.sleep(0.1)
    raise AssertionError("no task started within two minutes")


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
