"""`lesion view` and `lesion png` as a user types them."""

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image
from typer.testing import CliRunner

from lesion_transfer.cli import app
from lesion_transfer.errors import LesionError
from lesion_transfer.viewing.screen import NoDisplayError

RAMP = np.arange(40, 4040, 100, dtype=np.uint16).reshape(8, 5)


@pytest.fixture
def series(tmp_path, write_dicom):
    """A folder of two series: three slices with two b-values each, and a single image."""
    for number in range(6):
        write_dicom(
            tmp_path / "in" / f"{number}.dcm",
            RAMP + number,
            SeriesDescription="ep2d_diff",
            InstanceNumber=number + 1,
            ImagePositionPatient=[0.0, 0.0, 3.0 * (number % 3)],
            b_value=b"50" if number < 3 else b"800",
        )
    write_dicom(tmp_path / "in" / "t2.dcm", RAMP, SeriesNumber=9, SeriesInstanceUID="1.2.9")
    return tmp_path / "in"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_what_is_there_is_listed(series):
    done = run("view", series, "--list")
    assert done.exit_code == 0
    assert "ep2d_diff" in done.output
    assert "2 times" in done.output
    assert "t2_tse_tra" in done.output


def test_a_page_of_one_series_with_a_mark(series, tmp_path):
    out = tmp_path / "view.html"
    done = run("view", series, "--html", out, "--series", 1, "--position-lps", "2,4,3")
    assert done.exit_code == 0, done.output
    assert "shows 1 of 1" in done.output
    text = out.read_text("utf-8")
    assert "b = 50 s/mm" in text
    assert '"plane":1,"x":1.0,"y":2.0' in text  # 2 mm pixels, slices 3 mm apart


def test_the_findings_of_a_table_are_marked_on_their_patient_alone(series, tmp_path):
    table = tmp_path / "findings.csv"
    table.write_text("ProxID,fid,pos,zone,ClinSig\nP1,7,2 4 3,PZ,TRUE\nP1,8,2 4 99,PZ,FALSE\nother,1,2 4 3,PZ,TRUE\n")
    out = tmp_path / "view.html"
    assert run("view", series, "--html", out, "--findings", table).exit_code == 0
    text = out.read_text("utf-8")
    assert "finding 7 positive" in text
    assert "finding 8 negative at 2, 4, 99 mm is outside these images." in text
    assert "finding 1" not in text
    table.write_text("ProxID,fid,pos,zone,ClinSig\nother,1,2 4 3,PZ,TRUE\n")
    said = run("view", series, "--html", tmp_path / "none.html", "--findings", table)
    assert "findings.csv has no finding of these images" in said.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--position-lps", "1,2"], "X,Y,Z"),
        (["--series", "3"], "--list"),
        (["--axis", "3"], "--axis"),
    ],
)
def test_wrong_words_are_told(series, words, says):
    done = run("view", series, "--html", series / "x.html", *words)
    assert done.exit_code != 0
    assert says in f"{done.output} {done.exception}"


def test_a_window_without_a_display_is_a_sentence(series):
    # where there is a display, this process must not take it
    pyplot.switch_backend("agg")
    assert isinstance(run("view", series).exception, NoDisplayError)


def test_png_counts_and_lists(series, tmp_path):
    (series / "broken.dcm").write_text("hello")
    done = run("png", series, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "7 PNG files of 7 images; 1 failed" in done.output
    assert "broken.dcm" in done.output
    (series / "broken.dcm").unlink()
    assert run("png", series, "--out", tmp_path / "out").exit_code == 0
    assert "window or range" in str(run("png", series, "--scale", "nice").exception)


def test_a_folder_without_anything_for_png_is_a_sentence(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.jpg")
    done = run("png", tmp_path)
    assert done.exit_code == 1
    assert isinstance(done.exception, LesionError)
    assert f"No DICOM, NIfTI, .mhd or .raw file was found below {tmp_path}." in str(done.exception)
    assert "every DICOM, NIfTI and .mhd image" in " ".join(run("png", "--help").output.split())


def test_help_teaches():
    text = " ".join(run("view", "--help").output.split())
    for words in ("--html", "--position-lps", "Left and right: time, same slice", "lesion view SCAN.nii.gz"):
        assert words in text
