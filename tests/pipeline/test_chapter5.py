"""The reproduction and the challenge on tiny phantoms, stage by stage, without DVC."""

import json
import shutil

import pandas as pd
import pytest
from ruamel.yaml import YAML

from lesion_transfer.evaluation.predictions import read_predictions
from lesion_transfer.reporting.model_card import render_model_card
from lesion_transfer.settings import SettingsError, settings_from
from lesion_transfer.stages.acquire import acquire
from lesion_transfer.stages.challenge import challenge
from lesion_transfer.stages.cohort import cohort
from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.model_cards import chapter_5_cards
from lesion_transfer.stages.predict import open_model, predict_folder
from lesion_transfer.stages.reproduction import reproduction
from lesion_transfer.stages.runs import list_runs, runs_of_models
from lesion_transfer.stages.trace import trace_finding
from lesion_transfer.stages.training import lone_training

from .conftest import Project, new_project

pytestmark = pytest.mark.slow
OF_EPOCHS = ["epoch_001", "epoch_003", "r001_epoch_001", "r001_epoch_003"]
SUBMISSIONS = ["ensemble", *OF_EPOCHS]


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    project: Project = new_project(tmp_path_factory.mktemp("chapter5") / "project", chapter5=True)
    project.change_params(
        {
            "reproduction": {"epochs": 2, "roulette_n": 2, "test_share": 0.2, "validation_share": 0.2},
            "challenge": {"prostatex_test": {"epochs": 3, "keep_epochs": [1, 3], "replicates": 2, "ensemble": True}},
        }
    )
    layout = Layout(project.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(project.root))
        for dataset in ("prostatex", "prostatex_test"):
            acquire(layout, dataset)
        for name in ("prostatex_dwi", "prostatex_mpmri", "prostatex_test"):
            cohort(layout, name)
        reproduction(layout)
        challenge(layout)
    return layout


def test_the_reproduction_splits_by_patient_and_reports_its_best_epoch(layout):
    predictions = pd.read_csv(layout.model("reproduction") / "predictions.csv")
    plain = predictions[predictions["copy"] == 0]
    assert set(plain["subset"]) == {"train", "validation", "test"}
    assert (plain.groupby("patient_id")["subset"].nunique() == 1).all()
    assert predictions["copy"].max() == 11
    summary = json.loads(layout.metrics("reproduction").read_text())
    assert summary["test"]["plain"]["auc"]["n"] == (plain["subset"] == "test").sum()
    report = layout.reproduction_report.read_text()
    assert f"Best epoch: {summary['best_epoch']} (the thesis: 21)" in report
    assert "Phantom data" in report


def test_the_decision_maker_of_the_reproduction_is_the_last_layer(layout):
    info = json.loads((layout.model("reproduction") / "model.json").read_text())
    assert (info["network"]["cut"], info["network"]["dropout_after_dense"]) == (3, [1, 2])
    assert info["in_channels"] == 3


def test_the_challenge_writes_every_published_test_finding_once_an_epoch(layout):
    published = pd.read_csv(layout.tables("prostatex_test") / "ProstateX-Findings-Test.csv", dtype=str)
    asked = sorted(zip(published["ProxID"], published["fid"], strict=True))
    tables = {}
    for name in SUBMISSIONS:
        tables[name] = pd.read_csv(layout.challenge_file(name), dtype={"ProxID": str, "fid": str})
        assert sorted(zip(tables[name]["ProxID"], tables[name]["fid"], strict=True)) == asked
        assert tables[name]["ClinSig"].between(0, 1).all()
    mean = sum(tables[name]["ClinSig"] for name in OF_EPOCHS) / 4
    assert tables["ensemble"]["ClinSig"].to_numpy() == pytest.approx(mean.to_numpy())
    assert len({tuple(tables[name]["ClinSig"]) for name in OF_EPOCHS}) == 4
    assert (layout.model("challenge") / "epoch_003" / "model.safetensors").is_file()
    history = pd.read_csv(layout.model("challenge") / "history.csv")
    assert list(history["epoch"]) == [1, 2, 3]
    other = pd.read_csv(layout.model("challenge", 1) / "history.csv")
    assert list(other["epoch"]) == [1, 2, 3]
    assert not other.equals(history)


def test_every_model_of_the_challenge_has_its_predictions_and_is_traced(layout):
    """All labelled findings were trained on, the test findings only read."""
    predictions = read_predictions(layout.challenge_model(3) / "predictions.csv")
    test = read_predictions(layout.challenge_model(3) / "test_predictions.csv")
    assert (set(predictions["cohort"]), set(predictions["subset"])) == ({"prostatex_mpmri"}, {"train"})
    assert (set(test["cohort"]), set(test["subset"]), set(test["label"])) == ({"prostatex_test"}, {"test"}, {None})
    submitted = pd.read_csv(layout.challenge_file("epoch_003"), dtype={"ProxID": str, "fid": str})
    clin_sig = {f"{row.ProxID}/{row.fid}/1": row.ClinSig for row in submitted.itertuples()}
    assert test["probability"].to_numpy() == pytest.approx([clin_sig[key] for key in test["finding_key"]], abs=1e-12)
    trained_on = predictions["finding_key"].iloc[0]
    models = {model["model"]: model for model in trace_finding(layout, trained_on)["models"]}
    assert models["challenge/epoch_003"]["subset"] == "train"
    assert models["challenge/members/r001/epoch_003"]["replicate"] == 1
    hashes = json.loads(layout.metrics("challenge").read_text())["model_sha256"]
    assert models["challenge/epoch_003"]["model_sha256"] == hashes["epoch_003"]
    assert len(runs_of_models([hashes["epoch_001"]])[hashes["epoch_001"]]) == 1


def test_a_test_finding_that_was_learnt_from_stops_the_challenge(layout, tmp_path):
    """Planted: the images of a labelled training finding under the id of a patient of the test set."""
    root = tmp_path / "project"
    shutil.copytree(layout.root, root, ignore=shutil.ignore_patterns("mlflow.db", "mlartifacts", "models", "raw"))
    shutil.copytree(layout.model("reproduction"), root / "models" / "reproduction")
    again = Layout(root)
    learnt, test = (again.cohort(name) / "findings.csv" for name in ("prostatex_mpmri", "prostatex_test"))
    table, known = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (test, learnt))
    labelled = known[known["label"] != ""].iloc[0]
    table.loc[0, "t2_sop_uid"] = labelled["t2_sop_uid"]
    table.to_csv(test, index=False)
    with pytest.raises(StageError, match=f"prostatex_test is no test of .*: sop_uid {labelled['t2_sop_uid']}"):
        challenge(again)


@pytest.mark.parametrize("own", [None, "bfloat16"])
def test_the_roulette_of_the_reproduction_computes_as_its_training_does(layout, own, tmp_path, monkeypatch):
    root = tmp_path / "project"
    shutil.copytree(layout.root, root)
    monkeypatch.setenv("DVC_ROOT", str(root))
    content = YAML(typ="safe").load(root / "params.yaml")
    content["reproduction"]["autocast"] = own
    YAML().dump(content, root / "params.yaml")

    def spinning(*args, autocast, **kwargs):
        raise StageError(autocast)

    monkeypatch.setattr("lesion_transfer.stages.reproduction.spin", spinning)
    with pytest.raises(StageError, match=f"^{own or 'off'}$"):
        reproduction(Layout(root))


@pytest.mark.parametrize("stage", [reproduction, challenge])
def test_interrupted_it_says_so_and_goes_on_to_the_same_bytes(layout, stage, tmp_path, monkeypatch, caplog):
    """In the run that it left, and with the models that it had kept by then."""
    root = tmp_path / "project"
    shutil.copytree(layout.root, root, ignore=shutil.ignore_patterns("mlflow.db", "mlartifacts"))
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    again, name = Layout(root), stage.__name__
    made = {path.relative_to(root): path.read_bytes() for path in again.model(name).rglob("*") if path.is_file()}
    made |= {path.relative_to(root): path.read_bytes() for path in again.reports.rglob(f"*{name}*") if path.is_file()}
    shutil.rmtree(again.model(name))  # as DVC does before a stage
    # of other settings, which nobody emptied: no part of the results
    for left in (again.challenge_model(2), again.challenge_file("epoch_002").parent / "old"):
        left.mkdir(parents=True)
    mirror = lone_training.mirror_epoch

    def interrupted(run, row, before):
        mirror(run, row, before)
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(lone_training, "mirror_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage(again)
    assert f"{name}: interrupted; the same command goes on from its last finished epoch" in caplog.text
    for folder in root.glob(".lesion/resume/*/kept/*"):
        (folder / ".model.safetensors.0.tmp").write_bytes(b"killed while it was written")
    epochs = []
    monkeypatch.setattr(lone_training, "mirror_epoch", lambda run, row, before: epochs.append(row["epoch"]))
    stage(again)
    assert 1 not in epochs
    assert {path: (root / path).read_bytes() for path in made} == made
    assert not list(again.model(name).rglob("*.tmp"))
    if stage is challenge:
        assert not again.challenge_model(2).exists()
        assert sorted(path.stem for path in again.challenge_file("any").parent.iterdir()) == SUBMISSIONS
    (run,) = [run for run in list_runs() if run.name == name]
    assert run.status == "FINISHED"


def test_findings_without_images_get_the_prior_and_are_listed(layout):
    summary = json.loads(layout.metrics("challenge").read_text())
    images = set(pd.read_csv(layout.cohort("prostatex_test") / "findings.csv")["finding_key"])
    table = pd.read_csv(layout.challenge_file("epoch_001"), dtype={"ProxID": str, "fid": str})
    filled = {f"{row.ProxID}/{row.fid}/1" for row in table.itertuples()} - images
    assert set(summary["filled_with_prior"]) == filled
    labels = pd.read_csv(layout.cohort("prostatex_mpmri") / "findings.csv")["label"]
    assert summary["prior"] == pytest.approx(labels.mean())


def test_the_challenges_card_counts_its_findings_and_names_every_model(layout):
    reproduced, entered = chapter_5_cards(layout, layout.settings())
    assert (reproduced.name, entered.name) == ("reproduction", "challenge")
    text = render_model_card(entered)
    images = pd.read_csv(layout.cohort("prostatex_test") / "findings.csv")
    assert f"{len(images)} with usable images" in text
    assert "epochs 1, 3, of 2 trainings" in text
    for epoch, replicate in ((1, 0), (3, 0), (1, 1), (3, 1)):
        info = json.loads((layout.challenge_model(epoch, replicate) / "model.json").read_text())
        assert (info["replicate"], info["model_sha256"] in text) == (replicate, True)
    assert "No number" in text


def test_the_reproductions_model_predicts_the_test_cohort_anew(layout):
    """As the challenge's models did, whose images were made in the same way."""
    for folder in (layout.model("reproduction"), layout.challenge_model(3)):
        table, excluded = predict_folder(open_model(str(folder)), layout.cohort("prostatex_test"))
        assert excluded.empty
    submitted = pd.read_csv(layout.challenge_file("epoch_003"), dtype={"ProxID": str, "fid": str})
    clin_sig = {f"{row.ProxID}/{row.fid}/1": row.ClinSig for row in submitted.itertuples()}
    expected = [clin_sig[key] for key in table["finding_key"]]
    assert table["probability"].to_numpy() == pytest.approx(expected, abs=1e-6)


def published_with_real_patients(real_data, source) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A source whose test tables hold the published test findings, and those of the real patients at hand unlabelled.

    No image of the published test patients is at hand, so the others, from the training tables, bring the real pixels.
    """
    source.mkdir()
    (source / "PROSTATEx").symlink_to(real_data / "prostatex" / "PROSTATEx")
    # ProstateX-0005 has one fid twice, which the challenge's three columns cannot tell apart.
    at_hand = {folder.name for folder in (source / "PROSTATEx").iterdir()} - {"ProstateX-0005"}
    joined = {}
    for table in ("Findings", "Images"):
        test, train = (
            pd.read_csv(real_data / "prostatex" / f"ProstateX-{table}-{which}.csv", dtype=str, keep_default_na=False)
            for which in ("Test", "Train")
        )
        joined[table] = (test, train.loc[train["ProxID"].isin(at_hand), list(test)])
        pd.concat(joined[table]).to_csv(source / f"ProstateX-{table}-Test.csv", index=False)
    return joined["Findings"]


@pytest.mark.real
def test_the_published_test_findings_stand_once_each_beside_real_pixels(layout, real_data, tmp_path):
    """The challenge trained on phantoms: what is real are the tables, and the pixels of seven patients."""
    published, at_hand = published_with_real_patients(real_data, tmp_path / "source")
    project = Project(shutil.copytree(layout.root, tmp_path / "project", symlinks=True))
    changed = {"datasets": {"prostatex_test": {"source": str(tmp_path / "source")}}}
    project.change_params(changed | {"split": {"shared_patient_ids": False}})  # phantoms are called as patients are
    real = Layout(project.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(project.root))
        acquire(real, "prostatex_test")
        cohort(real, "prostatex_test")
        challenge(real, "prostatex_test")
    summary = json.loads(real.metrics("challenge").read_text())
    assert summary["phantom"]
    asked = [f"{row.ProxID}/{row.fid}/1" for row in published.itertuples()]
    assert (len(asked), len(set(asked))) == (208, 208)
    imaged = set(pd.read_csv(real.cohort("prostatex_test") / "findings.csv")["finding_key"])
    assert len(imaged) >= 10
    assert set(summary["filled_with_prior"]) >= set(asked)
    assert not imaged & set(summary["filled_with_prior"])
    for name in SUBMISSIONS:
        table = pd.read_csv(real.challenge_file(name), dtype={"ProxID": str, "fid": str})
        keys = [f"{row.ProxID}/{row.fid}/1" for row in table.itertuples()]
        assert sorted(keys) == sorted([*asked, *(f"{row.ProxID}/{row.fid}/1" for row in at_hand.itertuples())])
        clin_sig = dict(zip(keys, table["ClinSig"], strict=True))
        assert [clin_sig[key] for key in asked] == pytest.approx([summary["prior"]] * len(asked))
        assert all(0 <= clin_sig[key] <= 1 for key in imaged)
        assert len({clin_sig[key] for key in imaged}) == len(imaged)


def test_the_challenge_needs_the_test_tables(layout):
    content = YAML(typ="safe").load(layout.params)
    content["challenge"] = {"prostatex_mpmri": content["challenge"]["prostatex_test"]}
    with pytest.raises(SettingsError, match=r"challenge.prostatex_mpmri: datasets.prostatex must be"):
        settings_from(content)
