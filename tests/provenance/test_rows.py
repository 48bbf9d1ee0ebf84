"""Every patch's row names the very image that it was cut from, in all data sets."""

import json

import pandas as pd
import pytest
from pydicom import dcmread

from lesion_transfer.files import file_sha256

COHORTS = {"prostatex_dwi": ["dwi"], "prostatex_mpmri": ["t2", "dwi", "adc"], "lung": ["ct"], "brain": ["grey"]}


@pytest.mark.parametrize("cohort", COHORTS)
def test_file_series_image_and_hash_agree_with_the_file_on_disk(data_project, cohort):
    folder, settings = data_project.cohort(cohort), data_project.settings()
    findings = pd.read_csv(folder / "findings.csv", dtype=str, keep_default_na=False)
    info = json.loads((folder / "cohort.json").read_text())
    source = data_project.source(settings, settings.dataset_of(cohort))
    assert len(findings) > 5
    for _, row in findings.iterrows():
        for channel in COHORTS[cohort]:
            file = source / row[f"{channel}_file"]
            assert info["source_sha256"][row[f"{channel}_file"]] == file_sha256(file)
            if channel == "grey":  # JPG and PNG have no UIDs: file and hash are all that names them
                continue
            header = dcmread(file, stop_before_pixels=True)
            assert row[f"{channel}_series_uid"] == header.SeriesInstanceUID != ""
            assert row[f"{channel}_sop_uid"] == header.SOPInstanceUID != ""
            assert row["patient_id"].casefold() == header.PatientID.casefold()
