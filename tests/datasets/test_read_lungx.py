"""LUNGx from small CT series and tables as published."""

import numpy as np
import pytest
from pydicom.uid import EnhancedCTImageStorage

from lesion_transfer.datasets import lungx
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding
from lesion_transfer.datasets.tables import TableRow

CALIBRATION, TEST = lungx.TABLES
CALIBRATION_TEXT = """Scan Number;Nodule Center x,y Position*;Nodule Center Image;Diagnosis
CT-Training-lc001;4,6;2;malignant
CT-Training-be001;1,1;1;benign
;;;
"*specified in pixels, where position (1,1) corresponds to the upper-leftmost pixel";;;
;;;
All images are in DICOM format with a matrix size of 512x512 pixels.;;;
"""
TEST_TEXT = """Scan Number;Nodule Number;Nodule Center x,y Position*;Nodule Center Image;Final Diagnosis
LUNGx-CT001;1;5, 3;1;Benign nodule
LUNGx-CT002;1;5, 3;3;Primary lung cancer\x20
LUNGx-CT001;2;2, 2;3;Suspicious malignant nodule
LUNGx-CT001;3;9, 3;1;Benign nodule
LUNGx-CT001;4;five;1;Benign nodule
LUNGx-CT001;5;5, 3;99;Benign nodule
LUNGx-CT001;6;5, 3;2;benign?
LUNGx-CT777;1;5, 3;2;Benign nodule
;;;;
All images are in DICOM format with a matrix size of 512x512 pixels.;;;;
"""


@pytest.fixture
def source(tmp_path, write_dicom):
    for patient in ("CT-Training-LC001", "ct-training-be001", "LUNGx-CT001", "LUNGX-CT002"):
        for number in (1, 2, 3):
            write_dicom(
                tmp_path / patient / f"{number}.dcm",
                np.full((7, 8), 1000 + number, np.int16),
                PatientID=patient,
                StudyInstanceUID=f"1.{patient[-1]}",
                SeriesInstanceUID=f"1.{patient[-1]}.2",
                Modality="CT",
                SeriesDescription=None,
                InstanceNumber=number,
                RescaleSlope=1,
                RescaleIntercept=-1024,
            )
    (tmp_path / CALIBRATION).write_text(CALIBRATION_TEXT)
    (tmp_path / TEST).write_text(TEST_TEXT)
    return tmp_path


def read(source, channels=("ct",)):
    return list(lungx.read_findings(source, source, channels, "world"))


def test_nodules_of_both_tables(source):
    found = {one.finding_key: one for one in read(source)}
    labels = {key: one.label for key, one in found.items() if isinstance(one, Finding)}
    assert labels == {
        "CT-Training-lc001/1/1": True,
        "CT-Training-be001/1/1": False,
        "LUNGx-CT001/1/1": False,
        "LUNGx-CT002/1/1": True,
    }
    reasons = {key: one.reason for key, one in found.items() if isinstance(one, Exclusion)}
    assert reasons == {
        "LUNGx-CT001/2/1": "uncertain_label",
        "LUNGx-CT001/3/1": "outside_volume",
        "LUNGx-CT001/4/1": "bad_position",
        "LUNGx-CT001/5/1": "missing_slice",
        "LUNGx-CT001/6/1": "bad_label",
        "LUNGx-CT777/1/1": "not_in_source",
    }


def test_patients_stay_together_in_order_of_first_appearance(source):
    patients = [one.patient_id for one in read(source)]
    assert list(dict.fromkeys(patients)) == [
        "CT-Training-lc001",
        "CT-Training-be001",
        "LUNGx-CT001",
        "LUNGx-CT002",
        "LUNGx-CT777",
    ]
    assert patients == sorted(patients, key=list(dict.fromkeys(patients)).index)


def test_positions_count_from_one_and_slices_by_instance_number(source):
    nodule = next(one for one in read(source) if one.finding_key == "CT-Training-lc001/1/1")
    ct = nodule.slices["ct"]
    assert ct.centre_xy == (3, 5)
    assert ct.file.name == "2.dcm"
    assert ct.spacing_mm == (2.0, 2.0)
    # Without a window of its own: the lung window, lower bound -600 - 750.
    assert float(ct.pixels[0, 0]) == pytest.approx(((1002 - 1024) - (-600.5)) / 1499 * 255 + 127.5, abs=1e-3)


def test_a_patient_in_two_spellings_is_one_patient_with_the_first_of_them(source):
    (source / TEST).write_text(
        f"{TEST_TEXT.splitlines()[0]}\n"
        "LUNGx-CT001;1;5, 3;1;Benign nodule\n"
        "ct-training-LC001;1;5, 3;1;Benign nodule\n"
        "lungx-ct001;1;5, 3;2;Benign nodule\n"
    )
    assert [(one.finding_key, one.patient_id) for one in read(source)] == [
        ("CT-Training-lc001/1/1", "CT-Training-lc001"),
        ("CT-Training-lc001/1/2", "CT-Training-lc001"),
        ("CT-Training-be001/1/1", "CT-Training-be001"),
        ("LUNGx-CT001/1/1", "LUNGx-CT001"),
        ("LUNGx-CT001/1/2", "LUNGx-CT001"),
    ]


def test_two_patients_whose_names_would_be_one_stop(source):
    (source / TEST).write_text(f"{TEST_TEXT.splitlines()[0]}\nA#1;1;5, 3;1;Benign nodule\nA@1;1;5, 3;1;Benign nodule\n")
    with pytest.raises(DatasetError, match=r"'A#1' and 'A@1' would both be the patient A_1.*rename one"):
        read(source)


def test_an_image_number_with_a_fraction_is_no_position(source):
    (source / TEST).write_text(
        f"{TEST_TEXT.splitlines()[0]}\nLUNGx-CT001;1;5, 3;2.9;Benign nodule\nLUNGx-CT001;2;5, 3;2.0;Benign nodule\n"
    )
    refused, read_as_whole = read(source)[2:]
    assert refused.reason == "bad_position"
    assert "'2.9' in line 2" in refused.detail
    assert read_as_whole.slices["ct"].file.name == "2.dcm"


def test_an_enhanced_image_is_refused_as_its_rescale_is_not_read(source, write_enhanced):
    path = source / "LUNGx-CT001" / "1.dcm"
    write_enhanced(
        path,
        np.full((1, 7, 8), 1064, np.int16),
        SOPClassUID=EnhancedCTImageStorage,
        PatientID="LUNGx-CT001",
        StudyInstanceUID="1.1",
        SeriesInstanceUID="1.1.2",
        SeriesDescription=None,
        Modality="CT",
        InstanceNumber=1,
    )
    refused = next(one for one in read(source) if one.finding_key == "LUNGx-CT001/1/1")
    assert refused.reason == "unreadable_file"
    assert refused.detail.startswith("LUNGx-CT001/1.dcm: ")
    assert "functional groups" in refused.detail


def test_the_larger_series_of_a_patient_is_taken(source, write_dicom):
    write_dicom(
        source / "scout.dcm",
        np.zeros((7, 8), np.int16),
        PatientID="LUNGx-CT001",
        Modality="CT",
        SeriesInstanceUID="1.2.99",
        SeriesNumber=99,
        InstanceNumber=1,
    )
    nodule = next(one for one in read(source) if one.finding_key == "LUNGx-CT001/1/1")
    assert nodule.slices["ct"].file.parent.name == "LUNGx-CT001"


def test_a_blank_label_of_either_table_is_absent():
    for column in ("Diagnosis", "Final Diagnosis"):
        with pytest.raises(lungx.RefusalError) as raised:
            lungx.nodule_label(TableRow("table", 2, {column: ""}))
        assert raised.value.reason == "absent_label"
    assert lungx.nodule_label(TableRow("table", 2, {"Nodule Number": "1"})) is None


def test_one_table_is_enough_and_none_is_an_error(source):
    (source / TEST).unlink()
    assert [path.name for path in lungx.published_tables(source)] == [CALIBRATION]
    assert len(read(source)) == 2
    (source / CALIBRATION).unlink()
    with pytest.raises(DatasetError, match="Neither"):
        lungx.published_tables(source)


def test_the_only_channel_is_ct(source):
    with pytest.raises(DatasetError, match="one channel, ct"):
        read(source, ["t2"])


@pytest.mark.real
def test_published_tables_have_83_nodules(real_data):
    found = read(real_data / "lung")
    assert len(found) == 83
    assert {one.reason for one in found} == {"not_in_source"}
    labels = []
    for row in lungx._nodule_rows(real_data / "lung"):
        try:
            labels.append(lungx.nodule_label(row.row))
        except lungx.RefusalError as refusal:
            labels.append(refusal.reason)
    assert [labels.count(kind) for kind in (True, False, "uncertain_label")] == [39, 42, 2]
