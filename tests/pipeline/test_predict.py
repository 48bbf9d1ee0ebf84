"""`lesion predict`: new images are shown to a model as those that it was trained on."""

import json
import os

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from typer.testing import CliRunner

from lesion_transfer.cli import app
from lesion_transfer.cohorts.cohort import CohortError
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.evaluation.predictions import read_predictions
from lesion_transfer.files import file_sha256
from lesion_transfer.learning.checkpoint import save_model
from lesion_transfer.learning.network import build_network
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions
from lesion_transfer.learning.scoring import predict_probabilities
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.stages.layout import StageError
from lesion_transfer.stages.predict import open_model, predict_folder, predict_position

OPTIONS = CohortOptions(dataset="prostatex", channels=["dwi"], crop_mm=65.0, patch_pixels=65, margin_pixels=10)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def network():
    return build_network(NetworkOptions(filters=[2, 2, 4], dense=[8, 4, 4]), 1, 0.1, torch_generator(0, "network"))


@pytest.fixture
def model(tmp_path, network):
    info = {
        **network.description(),
        "channels": ["dwi"],
        "zscore": {"scope": "patient", "channels": ["dwi"], "mean": [], "std": []},
        "kind": "prostatex",
        "cohort_options": OPTIONS.model_dump(mode="json"),
        "augmentation": AugmentationOptions().model_dump(mode="json"),
        "seed": 1,
    }
    save_model(tmp_path / "model", network.state_dict(), info)
    return tmp_path / "model"


def run(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def write_folder(folder, images, **columns):
    folder.mkdir()
    np.save(folder / "images.npy", images)
    n = len(images)
    table = {"patient_id": [f"P{row}" for row in range(n)], "finding_id": ["1"] * n, **columns}
    pd.DataFrame(table).to_csv(folder / "findings.csv", index=False)
    return folder


def zscored(images):
    values = images.astype(np.float64)
    scaled = (values - values.mean(axis=(1, 2, 3), keepdims=True)) / values.std(axis=(1, 2, 3), keepdims=True)
    return torch.from_numpy(scaled.astype(np.float32))


def test_a_cohort_without_labels_and_cohort_json(tmp_path, model, network):
    images = np.random.default_rng(0).uniform(0, 255, (3, 1, 85, 85)).astype(np.float32)
    folder = write_folder(tmp_path / "unseen", images)
    run("predict", model, folder, "--out", tmp_path / "out.csv", "--copies", 3)
    table = read_predictions(tmp_path / "out.csv")
    assert table["copy"].tolist() == [0, 1, 2, 3] * 3
    assert set(table["label"]) == {None}
    assert set(table["cohort"]) == {"unseen"}
    plain = table[table["copy"] == 0]["probability"].to_numpy()
    assert plain == pytest.approx(predict_probabilities(network, zscored(images), 65), abs=1e-6)
    assert not (tmp_path / "out.excluded.csv").exists()


def test_the_folders_name_is_no_part_of_a_prediction(tmp_path, model):
    images = np.random.default_rng(0).uniform(0, 255, (2, 1, 85, 85)).astype(np.float32)
    tables = [predict_folder(open_model(str(model)), write_folder(tmp_path / name, images), 3)[0] for name in "ab"]
    assert tables[0]["probability"].tolist() == tables[1]["probability"].tolist()


def test_images_that_the_model_learnt_from_have_their_subset_and_their_patients_are_named(
    tmp_path, model, network, caplog
):
    images = np.random.default_rng(0).uniform(0, 255, (3, 1, 85, 85)).astype(np.float32)
    known = write_folder(tmp_path / "known", images)
    info = json.loads((model / "model.json").read_text())
    save_model(
        model, network.state_dict(), {**info, "phase": "ds1_full", "images_sha256": file_sha256(known / "images.npy")}
    )
    table, _ = predict_folder(open_model(str(model)), known)
    assert set(table["subset"]) == {"new"}
    assert not caplog.text
    table.assign(subset=["train", "validation", "test"]).to_csv(model / "predictions.csv", index=False)
    table, _ = predict_folder(open_model(str(model)), known)
    assert table["subset"].tolist() == ["train", "validation", "test"]
    assert "2 of 3 findings are of patients with ids that" in caplog.text
    caplog.clear()
    other = write_folder(tmp_path / "other", images[::-1].copy())
    table, _ = predict_folder(open_model(str(model)), other)
    assert set(table["subset"]) == {"new"}, "other images of patients who are perhaps others"
    assert "2 of 3 findings are of patients with ids that" in caplog.text


def test_a_folder_of_several_models_names_one(tmp_path, model):
    (tmp_path / "challenge").mkdir()
    model.rename(tmp_path / "challenge" / "epoch_003")
    with pytest.raises(StageError, match=r"holds 1 models, one a folder; name one, as .*epoch_003"):
        open_model(str(tmp_path / "challenge"))


@pytest.mark.parametrize(("side", "outside"), [(101, 0), (41, 60)])
def test_patches_that_lie_outside_their_images_are_warned_of(tmp_path, model, caplog, side, outside):
    """At 1 mm a pixel, of a model that reads 65 mm: of 41 x 41 pixels in 65 x 65 60 % are no image."""
    caplog.set_level("INFO")
    images = np.random.default_rng(0).integers(0, 256, (2, 1, side, side)).astype(np.uint8)
    predict_folder(open_model(str(model)), write_folder(tmp_path / "archive", images, spacing_x=1.0, spacing_y=1.0))
    assert "its channels are taken as dwi, in this order" in caplog.text
    assert "phantoms" not in caplog.text
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    if outside:
        assert len(warned) == 1
        assert "2 of 2 patches of" in warned[0]
        assert f"to {outside} % in the median" in warned[0]
        assert "the model reads 65 mm" in warned[0]
    else:
        assert not warned


def test_where_each_sequence_is_an_image_patches_outside_are_warned_of_image_by_image(tmp_path, model, network, caplog):
    info = json.loads((model / "model.json").read_text())
    options = {**info["cohort_options"], "mode": "separate", "channels": ["dwi", "adc"]}
    zscore = {**info["zscore"], "channels": ["image"]}
    save_model(
        model, network.state_dict(), {**info, "channels": ["image"], "zscore": zscore, "cohort_options": options}
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 2, 41, 41)).astype(np.uint8)
    folder = write_folder(tmp_path / "archive", images, spacing_x=1.0, spacing_y=1.0)
    table, _ = predict_folder(open_model(str(model)), folder)
    assert len(table) == 2
    assert "4 of 4 patches of" in caplog.text


def test_a_model_of_phantoms_says_that_it_knows_nothing_of_people(tmp_path, model, network, caplog):
    info = json.loads((model / "model.json").read_text())
    save_model(model, network.state_dict(), {**info, "phantom": True})
    images = np.random.default_rng(0).uniform(0, 255, (3, 1, 85, 85)).astype(np.float32)
    predict_folder(open_model(str(model)), write_folder(tmp_path / "cohort", images))
    assert "has learnt from phantoms: its probabilities say nothing about people" in caplog.text


def test_a_patch_archive_is_cut_out_as_the_models_cohort_was_and_what_cannot_be_is_listed(tmp_path, model, network):
    """At 1 mm a pixel, the cohort's own pitch, the patch is the archive's centre."""
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 101, 101)).astype(np.uint8)
    folder = write_folder(tmp_path / "archive", images, spacing_x=[1.0, 1.0, 1.0], spacing_y=[1.0, 1.0, -1.0])
    done = run("predict", model, folder, "--out", tmp_path / "out.csv", "--copies", 0)
    assert "2 findings predicted" in done.stdout
    table = read_predictions(tmp_path / "out.csv")
    centre = (zscored(images[:2]))[:, :, 18:83, 18:83]
    assert table["probability"].to_numpy() == pytest.approx(predict_probabilities(network, centre, 65), abs=1e-4)
    excluded = pd.read_csv(tmp_path / "out.excluded.csv")
    assert excluded["reason"].tolist() == ["bad_spacing"]

    run("predict", model, folder, "--out", tmp_path / "out.csv", "--copies", 0)  # a table of its own is replaced
    before = (folder / "findings.csv").read_bytes()
    with pytest.raises(StageError, match="is no table of predictions"):
        run("predict", model, folder, "--out", folder / "findings.csv", "--copies", 0)
    assert (folder / "findings.csv").read_bytes() == before
    none = write_folder(tmp_path / "none", images, spacing_x=[0.0] * 3, spacing_y=[1.0] * 3)
    with pytest.raises(StageError, match=r"none: nothing to predict, 3 could not be used\. The first, .*spacing"):
        run("predict", model, none, "--out", tmp_path / "no.csv")


@pytest.mark.parametrize("own", ["mine.csv", "mine.excluded.csv"])
def test_a_file_of_somebody_is_not_replaced(tmp_path, model, own):
    folder = write_folder(tmp_path / "cohort", np.ones((2, 1, 85, 85), np.float32))
    (tmp_path / own).write_text("patient,age\nP1,60\n")
    said = CliRunner().invoke(app, ["predict", str(model), str(folder), "--out", str(tmp_path / "mine.csv")])
    assert isinstance(said.exception, StageError)
    assert own in str(said.exception)
    assert (tmp_path / own).read_text() == "patient,age\nP1,60\n"


def test_what_does_not_fit_the_model_is_a_sentence(tmp_path, model):
    opened = open_model(str(model))
    two = write_folder(tmp_path / "two", np.zeros((2, 2, 85, 85), np.uint8))
    with pytest.raises(DatasetError, match="has 2 channels and 1 were named"):
        predict_folder(opened, two)
    info = {"channels": ["t2"], "patch_pixels": 65, "margin_pixels": 10}
    other = write_folder(tmp_path / "other", np.ones((2, 1, 85, 85), np.float32))
    (other / "cohort.json").write_text(json.dumps(info))
    with pytest.raises(CohortError, match=r"has the channels \['t2'\], the normalisation was made for \['dwi'\]"):
        predict_folder(opened, other)
    (other / "cohort.json").write_text(
        json.dumps(info | {"channels": ["dwi"], "patch_pixels": 33, "margin_pixels": 26})
    )
    with pytest.raises(StageError, match="has patches of 33 pixels"):
        predict_folder(opened, other)
    (other / "cohort.json").write_text(json.dumps(info | {"channels": ["dwi"], "patch_pixels": 85, "margin_pixels": 0}))
    with pytest.raises(StageError, match="has patches of 85 pixels"):
        predict_folder(opened, other)
    (other / "cohort.json").write_text(json.dumps(info | {"channels": ["dwi"], "pitch_mm": 0.1}))
    with pytest.raises(StageError, match=r"has pixels of 0\.1 mm, .* has learnt from pixels of 1 mm"):
        predict_folder(opened, other)
    with pytest.raises(StageError, match=r"holds no images\.npy"):
        predict_folder(opened, tmp_path)
    described = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**described, "kind": "lungx"}))
    with pytest.raises(StageError, match="of kind lungx: --dicom finds PROSTATEx's sequences only"):
        predict_position(open_model(str(model)), tmp_path, (0, 0, 0))
    del described["cohort_options"]
    (model / "model.json").write_text(json.dumps(described))
    with pytest.raises(StageError, match="does not say how the model's images were made"):
        open_model(str(model))


@pytest.fixture
def dicom(tmp_path, write_dicom):
    """A diffusion series of two patients: 5 slices, 3 mm apart, 96 x 96 pixels of 1 mm, each with its own pattern."""
    folder = tmp_path / "dicom"
    for patient in ("P1", "P2"):
        for place in range(5):
            write_dicom(
                folder / patient / f"{place}.dcm",
                np.random.default_rng(place).integers(0, 4096, (96, 96)).astype(np.uint16),
                PatientID=patient,
                SeriesInstanceUID=f"1.2.{patient[1]}",
                StudyInstanceUID=f"1.{patient[1]}",
                SeriesDescription="ep2d_diff_tra_DYNDIST",
                b_value=b"800 ",
                PixelSpacing=[1.0, 1.0],
                InstanceNumber=place + 1,
                ImagePositionPatient=[0.0, 0.0, 3.0 * place],
            )
    return folder


def test_a_new_patients_dicom_at_a_position(tmp_path, dicom, model, network):
    done = run("predict", model, "--dicom", dicom / "P1", "--position-lps", "48,48,6.4", "--copies", 2)
    pixels = np.random.default_rng(2).integers(0, 4096, (96, 96)) * (255 / 4095)  # the slice at 6 mm
    around = zscored(pixels[None, None])[:, :, 16:81, 16:81]
    expected = predict_probabilities(network, around, 65)[0]
    assert float(done.stdout.split()[1]) == pytest.approx(expected, abs=2e-4)
    assert "mean of 2 augmented copies" in done.stdout
    run(
        "predict",
        model,
        "--dicom",
        dicom,
        "--patient",
        "p2",
        "--position-lps",
        "48 48 6",
        "--out",
        tmp_path / "out.csv",
    )
    assert read_predictions(tmp_path / "out.csv")["finding_key"].unique().tolist() == ["p2/1/1"]


def test_a_patient_who_can_be_told_from_the_files_is_refused_unless_allowed(dicom, model):
    for file in (dicom / "P1").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PatientIdentityRemoved = "NO"
        dataset.save_as(file)
    typed = ["predict", model, "--dicom", dicom / "P1", "--position-lps", "48,48,6", "--copies", 0]
    with pytest.raises(DatasetError, match=r"identity was not removed.*--allow-identified"):
        run(*typed)
    assert run(*typed, "--allow-identified").stdout.startswith("probability")


def test_a_folder_whose_name_is_no_utf8_has_to_be_renamed(tmp_path, dicom, model):
    """No table of predictions could name it."""
    misnamed = dicom.rename(tmp_path / os.fsdecode(b"Pr\xfcfung"))
    typed = ["predict", model, "--dicom", misnamed / "P1", "--position-lps", "48,48,6", "--copies", 0]
    with pytest.raises(StageError, match=r"/Pr\\xfcfung/P1: the name is not UTF-8.*rename"):
        run(*typed)
    with pytest.raises(StageError, match=r"/Pr\\xfcfung: the name is not UTF-8"):
        run("predict", model, misnamed, "--out", tmp_path / "out.csv")


def test_a_position_or_a_patient_that_is_not_there_is_a_sentence(dicom, model):
    for position, words in (("48,48,40", "from the position, more than half"), ("480,48,6", "falls on column 480.0")):
        with pytest.raises(DatasetError, match=words):
            run("predict", model, "--dicom", dicom / "P1", "--position-lps", position)
    with pytest.raises(DatasetError, match="holds images of 2 patients: P1, P2"):
        run("predict", model, "--dicom", dicom, "--position-lps", "48,48,6")
    with pytest.raises(DatasetError, match="No image in the source has the PatientID P9"):
        run("predict", model, "--dicom", dicom, "--position-lps", "48,48,6", "--patient", "P9")
    for arguments in (["--position-lps", "48,48"], [], ["--position-lps", "a,b,c"]):
        assert run("predict", model, "--dicom", dicom / "P1", *arguments).exit_code == 2
    assert run("predict", model).exit_code == 2


@pytest.mark.real
def test_real_dicom_at_a_published_position(real_data, model):
    opened = open_model(str(model))
    folder = real_data / "prostatex" / "PROSTATEx" / "ProstateX-0000"
    table = predict_position(opened, folder, (25.7457, 31.8707, -38.511), copies=1)
    assert table["finding_key"].tolist() == ["ProstateX-0000/1/1"] * 2
    assert table["probability"].between(0, 1).all()
    with pytest.raises(DatasetError, match="from the position"):
        predict_position(opened, folder, (25.7457, 31.8707, 138.5))


@pytest.mark.real
def test_a_real_patch_archive_that_the_model_never_saw(real_data, model, tmp_path):
    table, excluded = predict_folder(open_model(str(model)), real_data / "prostatex" / "patches" / "bval")
    assert len(table) == 252
    assert excluded.empty
    assert table["probability"].nunique() > 200


def test_augmented_copies_are_the_same_every_time(tmp_path, model):
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 101, 101)).astype(np.uint8)
    folder = write_folder(tmp_path / "archive", images, spacing_x=[1.0, 1.0], spacing_y=[1.0, 1.0])
    first, second = (predict_folder(open_model(str(model)), folder, copies=2)[0] for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert first["probability"].nunique() == 6


def archive_model(folder, network, scale):
    """A model of a patch archive whose numbers lay in `scale`, with one z-score for all."""
    info = {
        **network.description(),
        "channels": ["dwi"],
        "zscore": {"scope": "dataset", "channels": ["dwi"], "mean": [100.0], "std": [30.0]},
        "kind": "patch_archive",
        "cohort_options": OPTIONS.model_dump(mode="json"),
        "augmentation": AugmentationOptions().model_dump(mode="json"),
        "seed": 1,
        "display_scale": scale,
    }
    save_model(folder, network.state_dict(), info)
    return open_model(str(folder))


def test_an_archive_of_any_range_is_read_by_the_scale_of_the_training(tmp_path, network, caplog):
    """One lesion's own smallest and largest value would give it another contrast than it had in its data set."""
    opened = archive_model(tmp_path / "model", network, {"low": [-200.0], "high": [1000.0]})
    images = np.random.default_rng(0).uniform(-150, 700, (3, 1, 101, 101))
    images[1] /= 3
    spacing = {"spacing_x": 1.0, "spacing_y": 1.0}
    together, _ = predict_folder(opened, write_folder(tmp_path / "three", images, **spacing))
    alone, _ = predict_folder(opened, write_folder(tmp_path / "one", images[1:2], **spacing))
    assert alone["probability"].to_numpy() == pytest.approx([together["probability"][1]], abs=1e-7)
    assert not caplog.records
    predict_folder(opened, write_folder(tmp_path / "bytes", images.clip(0, 255).astype(np.uint8), **spacing))
    assert "of another kind than those of the archive" in caplog.text
