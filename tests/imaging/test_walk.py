"""Folders that may not be looked into, and names that are no UTF-8: told, and the walk goes on."""

import os
from pathlib import Path

from lesion_transfer.imaging.walk import as_utf8, files_below, name_problem


def test_a_folder_that_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path, make_unreadable):
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    make_unreadable(tmp_path / "b")
    told = []
    assert list(files_below(tmp_path, told.append)) == [tmp_path / "a" / "1", tmp_path / "c" / "3"]
    assert told == [f"{tmp_path / 'b'}{os.sep}: the folder cannot be read (Permission denied); make it readable."]


def test_files_that_cannot_be_reached_are_told_once_a_folder(tmp_path, monkeypatch):
    """As in a folder that may be listed and not entered; broken links are still passed over."""
    for name in ("in/1", "in/2", "out"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    plain = Path.stat

    def stat(path, **named):
        if path.parent.name == "in":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, **named)

    monkeypatch.setattr(Path, "stat", stat)
    told = []
    assert list(files_below(tmp_path, told.append)) == [tmp_path / "out"]
    (said,) = told
    assert said.startswith(f"{tmp_path / 'in'}{os.sep}: 2 files in it cannot be reached")


def test_a_name_that_is_no_utf8_is_a_sentence_that_can_be_saved(tmp_path):
    bad = tmp_path / os.fsdecode(b"Pr\xfcfung") / "1.jpg"
    assert name_problem(bad, tmp_path).startswith(r"Pr\xfcfung/1.jpg: the name is not UTF-8")
    assert "convmv" in name_problem(bad, tmp_path).encode("utf-8").decode("utf-8")
    assert name_problem(bad, bad.parent) == ""
    assert name_problem(tmp_path / "Prüfung" / "=1.jpg", tmp_path) == ""
    assert as_utf8("Prüfung \\ 1") == "Prüfung \\ 1"
