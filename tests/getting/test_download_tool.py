"""`lesion download` as it is typed: the plan, the question, the record, and what the user has to fetch."""

import csv
import io
from functools import cache

import pytest
from typer.testing import CliRunner

from lesion_transfer.cli import app
from lesion_transfer.getting.errors import DownloadError
from lesion_transfer.getting.idc import listed_series
from lesion_transfer.stages import download

PATIENT = ["--patient", "ProstateX-0001"]


@pytest.fixture(scope="module")
def listed():
    """The index is read once for this file: that takes a second or two."""
    return cache(listed_series)


@pytest.fixture
def typed(monkeypatch, listed):
    """typed(*arguments, answer=""): the result of `lesion download`, in a terminal of 200 columns."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(download, "listed_series", listed)
    return lambda *arguments, answer="": CliRunner().invoke(app, ["download", *map(str, arguments)], input=answer)


@pytest.fixture
def stand_in(monkeypatch):
    """The calls of a transfer that writes zeros of the right number and size instead of using the network."""
    calls = []

    def transfer(series, folder):
        calls.append([one.series_uid for one in series])
        for one in series:
            place = folder / one.folder
            place.mkdir(parents=True, exist_ok=True)
            for n in range(one.n_files):
                size = one.n_bytes // one.n_files + (one.n_bytes % one.n_files if n == 0 else 0)
                (place / f"{n}.dcm").write_bytes(bytes(size))

    monkeypatch.setattr(download.run_download, "__defaults__", (lambda: transfer,))
    return calls


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_dry_run_as_csv_lists_every_series_with_files_and_bytes(typed, tmp_path):
    found = rows(typed("prostatex", tmp_path / "new", "--dry-run", "--csv", *PATIENT).stdout)
    assert [(row["channel"], row["files"]) for row in found] == [
        ("t2", "19"),
        ("adc", "19"),
        ("dwi", "19"),
        ("t2", "19"),
    ]
    assert {row["patient_id"] for row in found} == {"ProstateX-0001"}
    assert not (tmp_path / "new").exists()


def test_dry_run_shows_sums_and_what_only_the_user_can_fetch(typed, tmp_path):
    said = typed("prostatex", tmp_path, "--dry-run", *PATIENT)
    assert said.exit_code == 0
    assert "12.3 MB are to come" in said.stdout
    assert "ProstateX-Findings-Train.csv: MISSING" in said.stdout
    assert "10.7937/K9TCIA.2017.MURS5CL" in said.stdout


def test_it_asks_first_and_a_no_fetches_nothing(typed, stand_in, tmp_path):
    assert typed("prostatex", tmp_path, *PATIENT, answer="n\n").exit_code == 1
    assert stand_in == []


def test_it_fetches_records_and_says_that_the_tables_are_missing(typed, stand_in, tmp_path):
    said = typed("prostatex", tmp_path, *PATIENT, "--yes")
    assert [len(call) for call in stand_in] == [4]
    assert "All series are there, whole." in said.stdout
    assert said.exit_code == 1
    record = rows((tmp_path / "download-prostatex.csv").read_text())
    assert {row["whole"] for row in record} == {"True"}
    assert len(list(tmp_path.rglob("*.dcm"))) == 4 * 19


def test_with_the_tables_there_it_ends_well_and_names_the_next_step(typed, stand_in, tmp_path):
    for part in ("Findings", "Images"):
        (tmp_path / f"ProstateX-{part}-Train.csv").write_text("ProxID\n")
    said = typed("prostatex", tmp_path, *PATIENT, "--yes")
    assert said.exit_code == 0
    assert f"`source` in params.yaml to {tmp_path}" in said.stdout
    assert typed("prostatex", tmp_path, *PATIENT, "--yes").exit_code == 0
    assert len(stand_in) == 1


def test_one_of_the_two_lung_tables_is_enough(typed, tmp_path):
    (tmp_path / "CalibrationSet_NoduleData.csv").write_text("Scan Number\n")
    said = typed("lungx", tmp_path, "--dry-run")
    assert "CalibrationSet_NoduleData.csv: found" in said.stdout
    assert "wTruth.csv: not there, optional" in said.stdout


def test_brain_images_are_the_users_own_download(typed, tmp_path):
    said = typed("brain", tmp_path)
    assert said.exit_code == 1
    assert "kaggle.com/datasets/navoneel/brain-mri-images-for-brain-tumor-detection" in said.stdout
    (tmp_path / "ground_truth.csv").write_text("file,label,x,y\n")
    (tmp_path / "Y1.jpg").write_bytes(b"")
    assert typed("brain", tmp_path).exit_code == 0


def test_an_unknown_data_set_is_named(tmp_path):
    with pytest.raises(DownloadError, match="prostatex, lungx, brain"):
        download.plan_download("liver", tmp_path)
