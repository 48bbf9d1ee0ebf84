"""The stage `ledger` on tiny cohorts: a killed one goes on to the same bytes, more repeats from those there are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.files import write_text
from lesion_transfer.stages import ledger as stage
from lesion_transfer.stages import ledger_fold
from lesion_transfer.stages.assign import assign
from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.ledger_inputs import ledger_inputs
from lesion_transfer.stages.outer import outer
from lesion_transfer.stages.runs import list_runs
from lesion_transfer.stages.split import split
from lesion_transfer.transfer.arms import phase_tree
from lesion_transfer.transfer.chain import TreePlace

ROOT = Path(__file__).parents[2]
TINY = {
    "lr": 0.003,
    "epochs": 1,
    "augmentation_factor": 1,
    "bank_copies": 1,
    "batch_size": 16,
    "roulette": {"n": 2},
    "network": {"filters": [2, 2, 2], "dense": [4, 4, 4]},
}


def write_cohort(folder: Path, n_patients: int, seed: int) -> None:
    """Two findings a patient, every other patient positive and brighter."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), 2)
    labels = patient % 2 == 1
    images = generator.normal(100, 20, (len(patient), 1, 85, 85)) + 40 * labels[:, None, None, None]
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", images.astype(np.float32))
    table = {"patient_id": [f"{seed}-{p:02d}" for p in patient], "finding_id": [1, 2] * n_patients, "label": labels}
    pd.DataFrame(table).to_csv(folder / "findings.csv", index=False)
    (folder / "cohort.json").write_text(json.dumps({"channels": ["x"], "patch_pixels": 65, "margin_pixels": 10}))


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    """Three cohorts, split, assigned and with outer folds; the ledger not yet run."""
    root = tmp_path_factory.mktemp("ledger")
    content = YAML(typ="safe").load(ROOT / "params.yaml")
    content["cohorts"] = {
        name: {
            "dataset": dataset,
            "channels": ["x"],
            "crop_fraction": [1.0, 1.0],
            "margin_pixels": 10,
            "zscore": "dataset",
        }
        for name, dataset in (("prostatex_dwi", "prostatex"), ("brain", "brain"), ("lung", "lungx"))
    }
    for key, value in TINY.items():
        if isinstance(value, dict):
            content[key].update(value)
        else:
            content[key] = value
    content["datasets"] = {
        name: {"kind": "patch_archive", "source": f"archives/{name}"} for name in ("prostatex", "brain", "lungx")
    }
    content["reproduction"]["cohort"] = "prostatex_dwi"
    content["challenge"] = {}
    for phase in content["transfer"].values():
        for key in ("lr", "batch_size", "epochs"):
            phase[key] = None
    content["ledger"] |= {"repeats": 1, "folds": 2, "arms": ["full", "target_only"], "bootstrap_draws": 100}
    save(root, content)
    layout = Layout(root)
    for seed, name in enumerate(content["cohorts"], start=1):
        write_cohort(layout.cohort(name), 14, seed)
        write_text(layout.checked(name), load_cohort(layout.cohort(name)).images_sha256)
    for dataset in content["datasets"]:
        split(layout, dataset)
    assign(layout)
    outer(layout)
    return layout


def use_store(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Finished folds and MLflow's runs go to `folder` until the patch is undone."""
    patch.setenv("DVC_ROOT", str(folder))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")


def save(root: Path, content) -> None:
    YAML().dump(content, root / "params.yaml")


def changed_ledger(layout: Layout, **values) -> None:
    content = YAML(typ="safe").load(layout.params)
    content["ledger"] |= values
    save(layout.root, content)


def results(layout: Layout) -> dict[str, bytes]:
    files = [*sorted(layout.arms.rglob("*.csv")), layout.ledger]
    return {str(file.relative_to(layout.root)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def finished(layout, tmp_path_factory) -> dict[str, bytes]:
    """What the ledger writes in one go; its folds are kept in a store of their own."""
    with pytest.MonkeyPatch.context() as patch:
        use_store(patch, tmp_path_factory.mktemp("store"))
        stage.ledger(layout)
    return results(layout)


def counted(monkeypatch, fail_at: int | None = None) -> list[tuple[int, int]]:
    """The (repeat, fold) that are really trained from now on; the one of number `fail_at` fails."""
    trained: list[tuple[int, int]] = []
    original = stage.run_fold

    def run(inputs, place, fold):
        if len(trained) == fail_at:
            raise StageError("killed")
        trained.append((fold.replicate, fold.fold))
        return original(inputs, place, fold)

    monkeypatch.setattr(stage, "run_fold", run)
    return trained


def test_files_are_those_that_scripts_rely_on(layout, finished):
    content = json.loads(finished["reports/ledger.json"])
    assert list(content["arms"]["full"]["phases"])[-1] == "ds4_full"
    assert content["n"] == 28
    assert "too few repeats (1 < 2)" in content["verdict"]
    for arm, phases in (("full", 7), ("target_only", 3)):
        tables = [name for name in finished if name.startswith(f"models/arms/{arm}/")]
        assert len(tables) == phases
    table = pd.read_csv(layout.arms / "full" / "ds4_full" / "predictions.csv")
    assert sorted(table["finding_key"]) == sorted(pd.read_csv(layout.split("prostatex"))["finding_key"].unique())
    assert set(table["subset"]) == {"test"}
    trainings = pd.read_csv(layout.arms / "trainings.csv")
    # ds1_full of a fold is one training in both arms
    assert trainings[trainings["phase"] == "ds1_full"].groupby("fold")["key"].nunique().tolist() == [1, 1]


def test_a_killed_ledger_goes_on_to_the_same_bytes(layout, finished, monkeypatch, tmp_path):
    use_store(monkeypatch, tmp_path)
    first = counted(monkeypatch, fail_at=1)
    with pytest.raises(StageError, match="killed"):
        stage.ledger(layout)
    assert first == [(0, 0)]
    monkeypatch.undo()
    use_store(monkeypatch, tmp_path)
    second = counted(monkeypatch)
    stage.ledger(layout)
    assert second == [(0, 1)]
    assert results(layout) == finished
    kept = [path.name for path in (tmp_path / ".lesion" / "ledger").glob("*/*")]
    assert sorted(kept) == ["r000_f0.json", "r000_f1.json"], "states of single trainings are gone with their fold"

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("lesion-transfer")
    runs = client.search_runs([experiment.experiment_id])
    whole = next(run for run in runs if run.info.run_name == "ledger" and run.info.status == "FINISHED")
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id]
    assert sorted(run.info.run_name for run in children) == ["ledger full", "ledger target_only"]
    assert all("difference" in run.data.metrics for run in children)
    assert {run.name for run in list_runs()} == {"ledger"}
    assert sum(run.info.status == "FAILED" for run in runs) == 1

    # more repeats leave the folds that there are as they are; another seed does not go on from them
    changed_ledger(layout, repeats=2)
    outer(layout)
    third = counted(monkeypatch)
    stage.ledger(layout)
    assert third == [(1, 0), (1, 1)]
    table = pd.read_csv(layout.arms / "full" / "ds4_full" / "predictions.csv")
    assert sorted(table["replicate"].unique()) == [0, 1]


def test_what_shares_an_image_with_a_tested_patient_is_left_out_of_the_fold(layout, monkeypatch):
    """Under another id, in another data set: the ids alone would not tell."""
    images = {name: np.load(layout.cohort(name) / "images.npy") for name in ("prostatex_dwi", "brain")}
    kept = images["brain"].copy()
    images["brain"][4] = images["prostatex_dwi"][6]
    np.save(layout.cohort("brain") / "images.npy", images["brain"])
    settings = layout.settings()
    inputs = ledger_inputs(layout, settings, phase_tree({"full": settings.arm_steps("full")}), "cpu")
    np.save(layout.cohort("brain") / "images.npy", kept)
    assert [row for row, patients in enumerate(inputs.linked["brain"]) if patients] == [4]
    assert inputs.linked["brain"][4] == ["1-03"]

    seen = {}

    def noted(tree, data, *rest, **named):
        brain = data.cohorts["brain"]
        seen["brain"] = {*brain.train_rows.tolist(), *brain.validation_rows.tolist()}
        raise StageError("enough")

    monkeypatch.setattr(ledger_fold, "train_tree", noted)
    rows = inputs.outer["prostatex_dwi"]
    tested = int(rows.loc[(rows["patient_id"] == "1-03") & (rows["subset"] == "test"), "fold"].iloc[0])
    for fold in range(2):
        with pytest.raises(StageError, match="enough"):
            ledger_fold.run_fold(inputs, TreePlace(layout.root, ""), ledger_fold.OuterFold(0, fold))
        assert (4 in seen["brain"]) == (fold != tested)
        assert {3, 6} < seen["brain"]


def test_images_of_one_finding_are_averaged(layout):
    settings = layout.settings()
    tree = phase_tree({"full": settings.arm_steps("full")})
    inputs = ledger_inputs(layout, settings, tree, "cpu")
    keys = inputs.cohorts[inputs.target].findings["finding_key"].tolist()[:2]
    nodes = {node.key: {"probability": [0.1, 0.5, 0.3, 0.9]} for node in tree.nodes}
    result = {"replicate": 0, "fold": 1, "finding_key": [keys[1], keys[0], keys[1], keys[0]], "nodes": nodes}
    table = stage.predictions(inputs, [result])["full"]["ds4_full"]
    assert dict(zip(table["finding_key"], table["probability"], strict=True)) == pytest.approx(
        {keys[1]: 0.2, keys[0]: 0.7}
    )


def test_folds_that_do_not_know_a_finding_are_refused(layout, tmp_path, monkeypatch):
    use_store(monkeypatch, tmp_path)
    path = layout.outer_folds
    kept = path.read_bytes()
    table = pd.read_csv(path)
    table[table["finding_key"] != table["finding_key"].iloc[0]].to_csv(path, index=False)
    with pytest.raises(StageError, match="does not know 1-00/1/1; run `lesion outer`"):
        stage.ledger(layout)
    path.write_bytes(kept)
