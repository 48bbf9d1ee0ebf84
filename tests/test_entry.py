"""The program `lesion` runs the code of the checkout that it is called in, as a queued experiment needs it."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lesion_transfer
from lesion_transfer.cli import app

LESION = str(Path(sys.executable).with_name("lesion"))


def said(folder: Path) -> str:
    return subprocess.run([LESION, "one", "two words"], cwd=folder, capture_output=True, text=True, timeout=120).stdout


def test_another_checkout_is_run_from_anywhere_in_it(tmp_path):
    package = tmp_path / "src" / "lesion_transfer"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(Path(lesion_transfer.__file__).with_name("__main__.py"), package)
    (package / "cli.py").write_text("import sys\ndef main():\n    print('this one', sys.argv[1:])\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    assert said(tmp_path) == ""  # no project: the installed program, which knows no command `one`
    (tmp_path / "dvc.yaml").touch()
    for folder in (tmp_path, tmp_path / "deep" / "er"):
        assert said(folder) == "this one ['one', 'two words']\n"


def test_a_project_without_the_package_has_the_installed_program(tmp_path):
    (tmp_path / "dvc.yaml").touch()
    done = subprocess.run([LESION, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "Usage: lesion " in done.stdout


def test_it_says_its_version_and_which_code_runs(tmp_path):
    done = subprocess.run([LESION, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    first, second = done.stdout.splitlines()
    assert first == f"lesion-transfer {version('lesion-transfer')} ({Path(lesion_transfer.__file__).parent})"
    assert f"torch {version('torch')}" in second


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["baselines", "--seed", "3"], "--seed goes with FOLDER"),
        (["predict", "model", "folder", "--out", "out.csv", "--patient", "P1"], "--patient goes with --dicom"),
        (["download", "prostatex", "folder", "--csv"], "--csv goes with --dry-run"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert not list(tmp_path.iterdir())
