"""Patients who can be told from their files are refused, and nothing that names a patient leaves a header."""

import logging
import shutil
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from pydantic import ValidationError

from lesion_transfer.cohorts.cohort import CohortError
from lesion_transfer.datasets.options import DatasetOptions
from lesion_transfer.imaging.dicom_index import index_folder
from lesion_transfer.imaging.walk import files_below
from lesion_transfer.stages.acquire import acquire
from lesion_transfer.stages.cohort import cohort
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.trace import trace_finding

from .conftest import ROOT, run_data_stages, write_params

MARKER = "Xyzzy"
NAMING = {
    "PatientName": f"{MARKER}Name^Jane",
    "PatientBirthDate": "19470231",
    "OtherPatientIDs": f"{MARKER}Other",
    "PatientAddress": f"{MARKER}Street 1",
    "PatientComments": f"{MARKER} comment",
    "ImageComments": f"{MARKER} image comment",
    "AdditionalPatientHistory": f"{MARKER} history",
    "StudyDescription": f"{MARKER} study",
    "ProtocolName": f"{MARKER} protocol",
    "AccessionNumber": f"{MARKER}Acc",
    "InstitutionName": f"{MARKER} Hospital",
    "ReferringPhysicianName": f"{MARKER}Doctor",
    "RequestedProcedureDescription": f"{MARKER} request",
}
MARKS = (MARKER.encode(), b"19470231")


def name_the_patients(source: Path, *, removed: str | None = None, patients: set[str] | None = None) -> None:
    """Writes naming elements into every header; those of `patients` (None: all) get PatientIdentityRemoved `removed`.

    The descriptions of T2 series end in free text, so that messages about them could carry it.
    """
    for file in files_below(source):
        if file.suffix != ".dcm":
            continue
        dataset = pydicom.dcmread(file)
        for keyword, value in NAMING.items():
            setattr(dataset, keyword, value)
        if patients is None or dataset.PatientID in patients:
            del dataset.DeidentificationMethod
            if removed is None:
                del dataset.PatientIdentityRemoved
            else:
                dataset.PatientIdentityRemoved = removed
        if dataset.SeriesDescription.startswith("t2_tse") and dataset.get("PatientIdentityRemoved") != "YES":
            dataset.SeriesDescription += f" {MARKER} described"
        dataset.save_as(file)


def break_files(source: Path) -> None:
    """Of three patients: T2 turned sagittal, headers cut off, pixels cut off; each ends in another message."""
    for file in files_below(source):
        if file.suffix != ".dcm":
            continue
        dataset = pydicom.dcmread(file)
        if dataset.PatientID == "ProstateX-0003" and dataset.SeriesDescription.startswith("t2_tse"):
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
            dataset.save_as(file)
        elif dataset.PatientID in {"ProstateX-0005", "ProstateX-0006"}:
            content = file.read_bytes()
            file.write_bytes(content[: 900 if dataset.PatientID == "ProstateX-0005" else -200])


@pytest.fixture
def project(data_project, tmp_path) -> Layout:
    """A project whose PROSTATEx and LUNGx lie in `own/` as a user's own copies."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "phantom", root / "phantom")
    (root / "dvc.yaml").write_text("stages: {}\n")
    for name in ("prostatex", "lungx"):
        shutil.copytree(data_project.generated(name), root / "own" / name)
    write_params(root, **own_sources())
    return Layout(root)


def own_sources(**changes) -> dict[str, dict[str, object]]:
    return {name: {"source": f"own/{name}", **changes} for name in ("prostatex", "lungx")}


def written(project: Layout) -> dict[str, bytes]:
    """Everything below the project but the user's own files, by name; names count as content."""
    files = [path for path in project.root.rglob("*") if path.is_file() and "own" not in path.parts]
    return {str(path): str(path).encode() + path.read_bytes() for path in files}


def read_excluded(project: Layout, name: str) -> pd.DataFrame:
    return pd.read_csv(project.cohort(name) / "excluded.csv", dtype=str)


def test_nothing_that_names_a_patient_reaches_a_file_or_a_log(project, caplog, capfd):
    """Allowed, de-identified by their own word, and with a broken series each: from acquire to assign and trace."""
    name_the_patients(project.root / "own" / "prostatex")
    name_the_patients(project.root / "own" / "lungx", removed="YES")
    write_params(project.root, **own_sources(allow_identified=True))
    break_files(project.root / "own" / "prostatex")
    caplog.set_level(logging.DEBUG)
    content = (project.root / "params.yaml").read_text().replace("max_excluded_share: 0.2", "max_excluded_share: 1.0")
    (project.root / "params.yaml").write_text(content)
    run_data_stages(project)
    excluded = pd.concat([read_excluded(project, name) for name in ("prostatex_mpmri", "lung")])
    assert set(excluded["reason"]) >= {"missing_series", "unreadable_file"}
    said = (
        repr([trace_finding(project, key) for key in excluded["finding_key"]])
        + caplog.text
        + "".join(capfd.readouterr())
    )
    files = written(project)
    assert len(files) > 20
    for mark in MARKS:
        assert not [name for name, content in files.items() if mark in content]
        assert mark.decode() not in said


def test_the_index_keeps_no_text_that_names_a_patient(project):
    source = project.root / "own" / "lungx"
    name_the_patients(source, removed="YES", patients=set())
    index = index_folder(source)
    assert len(index.instances) > 20
    assert not any(mark.decode() in repr(index) for mark in MARKS)


def test_a_patient_whose_files_do_not_say_it_is_refused_and_the_others_are_used(project):
    name_the_patients(project.root / "own" / "prostatex", patients={"ProstateX-0001"})
    acquire(project, "prostatex")
    cohort(project, "prostatex_dwi")
    excluded = read_excluded(project, "prostatex_dwi")
    refused = excluded[excluded["reason"] == "identified"]
    assert set(refused["patient_id"]) == {"ProstateX-0001"}
    (detail,) = set(refused["detail"])
    assert detail.startswith("PROSTATEx/ProstateX-0001/")
    assert ".dcm does not say that identity was removed (0012,0062)" in detail
    assert "allow_identified: true" in detail
    kept = pd.read_csv(project.cohort("prostatex_dwi") / "findings.csv")
    assert len(kept) > 5
    assert "ProstateX-0001" not in set(kept["patient_id"])


@pytest.mark.parametrize(("name", "cohort_name"), [("prostatex", "prostatex_dwi"), ("lungx", "lung")])
def test_a_data_set_of_identified_patients_stops_and_says_why(project, name, cohort_name):
    name_the_patients(project.root / "own" / name, removed="NO")
    acquire(project, name)
    with pytest.raises(CohortError, match="identified"):
        cohort(project, cohort_name)
    assert set(read_excluded(project, cohort_name)["reason"]) >= {"identified"}


def test_allowing_it_gives_the_same_patches_as_without_names(project, data_project):
    name_the_patients(project.root / "own" / "prostatex", removed="NO")
    write_params(project.root, **own_sources(allow_identified=True))
    acquire(project, "prostatex")
    cohort(project, "prostatex_dwi")
    images = [layout.cohort("prostatex_dwi") / "images.npy" for layout in (project, data_project)]
    assert images[0].read_bytes() == images[1].read_bytes()


def test_where_no_header_could_say_it_the_setting_is_refused():
    with pytest.raises(ValidationError, match="only DICOM headers tell"):
        DatasetOptions(kind="brain", source="somewhere", allow_identified=True)
