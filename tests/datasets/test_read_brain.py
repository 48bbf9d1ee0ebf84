"""Brain images with either table."""

import os
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesion_transfer.cohorts.units import indivisible_units
from lesion_transfer.datasets import brain
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding
from lesion_transfer.files import file_sha256
from lesion_transfer.imaging.raster import read_grey

GROUND_TRUTH = """file,label,x,y,keep,patient_group
yes/Y1.jpg,True,3,2,True,
no/no 1.png,False,5,4,True,P7
no/N1.JPG,False,5,4,True,
yes/Y2.jpg,True,1,1,False,
no/no 2.png,False,0,0,True,P7
yes/gone.jpg,True,1,1,True,
../outside.png,True,1,1,True,
yes/Y3.jpg,True,300,1,True,
yes/Y4.jpg,True,,1,True,
yes/torn.jpg,True,1,1,True,
yes/Y5.jpg,maybe,1,1,True,
"""


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    for number, name in enumerate(
        [
            "yes/Y1.jpg",
            "yes/Y2.jpg",
            "yes/Y3.jpg",
            "yes/Y4.jpg",
            "yes/Y5.jpg",
            "no/no 1.png",
            "no/no 2.png",
            "no/N1.JPG",
        ]
    ):
        path = folder / "brain_tumor_dataset" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 10), 10 * number, np.uint8)).save(path)
    (folder / "brain_tumor_dataset" / "yes" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(tmp_path / "outside.png")
    (folder / "ground_truth.csv").write_text(GROUND_TRUTH)
    return folder


def read(source, channels=("grey",)):
    return list(brain.read_findings(source, source, channels, "world"))


def test_rows_become_findings_or_reasons(source):
    found = {one.finding_key: one for one in read(source)}
    labels = {key: one.label for key, one in found.items() if isinstance(one, Finding)}
    assert labels == {"yes-Y1/1/1": True, "P7/1/1": False, "P7/1/2": False, "no-N1/1/1": False}
    assert {one.patient_id: one.reason for one in found.values() if isinstance(one, Exclusion)} == {
        "yes-Y2": "not_kept",
        "yes-gone": "not_in_source",
        "outside": "bad_path",
        "yes-Y3": "outside_volume",
        "yes-Y4": "bad_position",
        "yes-torn": "unreadable_file",
        "yes-Y5": "bad_label",
    }


def test_images_of_a_group_are_one_patient_and_stay_together(source):
    found = [one for one in read(source) if isinstance(one, Finding)]
    assert [(one.patient_id, one.group) for one in found] == [("yes-Y1", ""), ("P7", "P7"), ("P7", "P7"), ("no-N1", "")]
    grey = found[1].slices["grey"]
    assert grey.file.name == "no 1.png"
    assert grey.centre_xy == (5, 4)
    assert grey.spacing_mm is None
    assert grey.pixels.shape == (8, 10)
    assert (grey.pixels == 50).all()


@pytest.mark.parametrize(
    "rows", ["yes/Y1.jpg,True,1,1,P#1\nyes/Y2.jpg,True,1,1,P@1", "a/Y#1.jpg,True,1,1,\na/Y@1.jpg,True,1,1,"]
)
def test_two_patients_whose_names_would_be_one_stop(source, rows):
    (source / "ground_truth.csv").write_text(f"file,label,x,y,patient_group\n{rows}\n")
    with pytest.raises(DatasetError, match=r"#1' and '.*@1' would both be the patient .*_1, .*rename one"):
        read(source)


def test_the_thesis_table_names_images_by_stem(source):
    (source / "ground_truth.csv").unlink()
    (source / "brains.csv").write_text(
        "PatientID,Nodule Center Position,fid,Diagnosis\n"
        'Y1,"3, 2",1,True\n'
        'no 1,"5,4",1,False\n'
        'no 9,"5,4",1,False\n'
        "Y2,3 x,1,True\n"
    )
    assert [path.name for path in brain.published_tables(source)] == ["brains.csv"]
    found = read(source)
    assert [one.finding_key for one in found] == ["Y1/1/1", "no 1/1/1", "no 9/1/1", "Y2/1/1"]
    assert found[0].slices["grey"].centre_xy == (3, 2)
    assert found[1].label is False
    assert [one.reason for one in found[2:]] == ["not_in_source", "bad_position"]


def test_names_that_fit_two_images_need_their_folder(source):
    for folder in ("yes", "no", "more"):
        path = source / folder / "same.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 10), np.uint8)).save(path)
    (source / "ground_truth.csv").write_text("file,label,x,y\nsame.png,True,1,1\nno/same.png,False,1,1\n")
    ambiguous, named = read(source)
    assert ambiguous.reason == "ambiguous_file"
    assert named.slices["grey"].file == source / "no" / "same.png"
    (source / "ground_truth.csv").unlink()
    (source / "t.csv").write_text('PatientID,Nodule Center Position,fid,Diagnosis\nsame,"1,1",1,True\n')
    assert read(source)[0].slices["grey"].file == source / "yes" / "same.png"


def test_image_files_are_sorted_and_only_images(source):
    names = [path.name for path in brain.image_files(source)]
    assert names == [
        "N1.JPG",
        "no 1.png",
        "no 2.png",
        "Y1.jpg",
        "Y2.jpg",
        "Y3.jpg",
        "Y4.jpg",
        "Y5.jpg",
        "torn.jpg",
    ]


def test_without_a_table_the_columns_are_named(source):
    (source / "ground_truth.csv").unlink()
    with pytest.raises(DatasetError, match="Nodule Center Position"):
        brain.published_tables(source)


def test_the_only_channel_is_grey(source):
    with pytest.raises(DatasetError, match="one channel, grey"):
        read(source, ["t2"])


@pytest.mark.real
def test_real_images(real_data):
    found = read(real_data / "brain")
    findings = [one for one in found if isinstance(one, Finding)]
    assert len(found) == 250
    assert {one.reason for one in found if isinstance(one, Exclusion)} == {"not_kept"}
    assert sum(one.label for one in findings) == 149
    assert len(findings) == 245
    assert len({one.finding_key for one in found}) == 250
    assert all(one.slices["grey"].pixels.max() > 0 for one in findings)


@pytest.mark.real
def test_identical_real_images_are_one_indivisible_unit(real_data):
    rows = [
        (one.patient_id, one.group, file_sha256(one.slices["grey"].file))
        for one in read(real_data / "brain")
        if isinstance(one, Finding)
    ]
    table = pd.DataFrame(rows, columns=["patient_id", "group", "file_sha256"])
    units = table["patient_id"].map(indivisible_units(table[["patient_id", "group"]]))
    identical = units.groupby(table["file_sha256"]).agg(["size", "nunique"])
    assert (identical["size"] > 1).sum() == 22
    assert (identical["nunique"] == 1).all()


@pytest.mark.real
def test_real_formats_and_modes_are_read_whatever_the_file_is_called(real_data):
    kinds = Counter()
    for path in brain.image_files(real_data / "brain"):
        with Image.open(path) as image:
            kinds[image.format, image.mode] += 1
            columns, rows = image.size
        assert read_grey(path).shape == (rows, columns)  # none of these is turned by its EXIF orientation
    assert kinds == {
        ("JPEG", "RGB"): 213,
        ("JPEG", "L"): 29,
        ("PNG", "RGB"): 1,
        ("PNG", "L"): 1,
        ("PNG", "P"): 1,
        ("PNG", "RGBA"): 5,
    }


def test_an_image_in_a_folder_that_cannot_be_read_is_not_missing(source, make_unreadable, caplog):
    """`not_in_source` never counts; a folder without permission is a fault of the copy."""
    make_unreadable(source / "brain_tumor_dataset" / "no")
    found = {one.finding_key: one for one in read(source)}
    assert isinstance(found["yes-Y1/1/1"], Finding)
    lost = found["no-N1/1/1"]
    assert lost.reason == "unreadable_file"
    assert "in what cannot be read: brain_tumor_dataset/no/: the folder cannot be read" in lost.detail
    assert any("brain_tumor_dataset/no/: the folder cannot be read" in message for message in caplog.messages)


def test_a_file_that_cannot_be_opened_costs_its_own_finding(source, make_unreadable):
    make_unreadable(source / "brain_tumor_dataset" / "yes" / "Y1.jpg")
    found = {one.finding_key: one for one in read(source)}
    assert found["yes-Y1/1/1"].reason == "unreadable_file"
    assert isinstance(found["no-N1/1/1"], Finding)


@pytest.mark.parametrize("thesis", [False, True])
def test_an_image_whose_name_is_no_utf8_is_set_aside_by_name(source, caplog, thesis):
    folder = source / "brain_tumor_dataset" / "yes"
    (folder / "Y1.jpg").rename(folder / os.fsdecode(b"Gr\xf6\xdfe.jpg"))
    (source / "ground_truth.csv").unlink()
    if thesis:
        text = "PatientID,Nodule Center Position,fid,Diagnosis\nGröße,3 2,1,True\ngone,3 2,1,True\n"
        (source / "thesis.csv").write_text(text, encoding="utf-8")
    else:
        text = "file,label,x,y\nyes/Größe.jpg,True,3,2\nyes/gone.jpg,True,3,2\n"
        (source / "ground_truth.csv").write_text(text, encoding="utf-8")
    misnamed, gone = read(source)
    assert misnamed.reason == "unreadable_file"
    assert misnamed.detail.startswith(r"brain_tumor_dataset/yes/Gr\xf6\xdfe.jpg: the name is not UTF-8")
    assert misnamed.detail in caplog.messages
    assert gone.reason == "not_in_source"
