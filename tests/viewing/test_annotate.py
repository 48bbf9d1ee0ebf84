"""Marking lesions by hand: the table is right after every click, and can be gone on with."""

import os

import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent, MouseButton, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lesion_transfer.datasets import brain
from lesion_transfer.datasets.finding import DatasetError, Exclusion
from lesion_transfer.errors import LesionError
from lesion_transfer.viewing.annotate import Annotator
from lesion_transfer.viewing.annotations import Annotations, next_open


@pytest.fixture
def folder(tmp_path):
    """Two images with a lesion and two without, 60 columns x 40 rows."""
    for name in ("no/a.png", "no/b.jpg", "yes/a.png", "yes/-c.png"):
        path = tmp_path / "brain" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 60), 90, np.uint8)).save(path)
    return tmp_path / "brain"


@pytest.fixture
def open_annotator(folder):
    kept = []

    def open_one():
        figure = Figure(figsize=(6, 6))
        FigureCanvasAgg(figure)
        kept.append(Annotator(figure, Annotations(folder)))
        return kept[-1]

    return open_one


def press(annotator, *keys):
    canvas = annotator._figure.canvas
    for key in keys:
        canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, key))


def click(annotator, x, y, button=MouseButton.LEFT):
    """Clicks on pixel (x, y) of the image, by way of the screen."""
    canvas = annotator._figure.canvas
    canvas.draw()
    place = annotator._axes.transData.transform((x, y))
    canvas.callbacks.process("button_press_event", MouseEvent("button_press_event", canvas, *place, button=button))


def lines(folder):
    return (folder / "ground_truth.csv").read_text("utf-8").splitlines()


def test_a_click_is_saved_as_the_brain_data_set_reads_it(folder, open_annotator):
    annotator = open_annotator()
    assert annotator.image == "no/a.png"
    click(annotator, 12, 30)
    assert lines(folder) == ["file,label,x,y,keep,patient_group", "no/a.png,False,12.0,30.0,True,"]
    press(annotator, " ", " ", "y")
    click(annotator, 59.2, 0.4)
    click(annotator, 47.0, 9.0)  # again: the later one counts
    findings = list(brain.read_findings(folder, folder, ["grey"], "world"))
    assert [(one.patient_id, one.label, one.slices["grey"].centre_xy) for one in findings] == [
        ("no-a", False, (12.0, 30.0)),
        ("yes--c", True, (47.0, 9.0)),
    ]


def test_a_later_session_goes_on_where_this_one_ended(folder, open_annotator):
    first = open_annotator()
    click(first, 5, 5)
    press(first, " ", "k", " ")
    second = open_annotator()
    assert second.image == "yes/-c.png"
    assert "2 of 4 done" in second._caption.get_text()
    click(second, 1, 1)
    press(second, " ")
    click(second, 2, 2)
    press(second, " ")
    assert second.image == "yes/a.png"
    assert "4 of 4 done" in open_annotator()._caption.get_text()
    exclusions = [one for one in brain.read_findings(folder, folder, ["grey"], "world") if isinstance(one, Exclusion)]
    assert [(one.patient_id, one.reason) for one in exclusions] == [("no-b", "not_kept")]


def test_a_click_on_the_outer_half_of_an_edge_pixel_is_a_centre_that_is_read(folder, open_annotator):
    annotator = open_annotator()
    click(annotator, -0.3, 39.4)
    press(annotator, " ")
    click(annotator, 59.4, -0.3)
    findings = list(brain.read_findings(folder, folder, ["grey"], "world"))
    assert [one.slices["grey"].centre_xy for one in findings] == [(0.0, 39.0), (59.0, 0.0)]


def test_undo_takes_back_change_by_change(folder, open_annotator):
    annotator = open_annotator()
    click(annotator, 5, 5)
    click(annotator, 9, 9)
    press(annotator, "right", "k")
    assert len(lines(folder)) == 3
    press(annotator, "u")
    assert annotator.image == "no/b.jpg"
    assert lines(folder)[1:] == ["no/a.png,False,9.0,9.0,True,"]
    press(annotator, "u")
    assert annotator.image == "no/a.png"
    assert lines(folder)[1:] == ["no/a.png,False,5.0,5.0,True,"]
    assert annotator._axes.lines[0].get_xydata().tolist() == [[5, 5]]
    press(annotator, "u", "u")
    assert lines(folder) == ["file,label,x,y,keep,patient_group"]
    assert not annotator._axes.lines


def test_a_table_that_is_there_keeps_its_rows_columns_and_separator(folder, open_annotator):
    before = (
        "file;box;label;x;y;keep;patient_group;note\n"
        "yes/a.png;-3;True;1.5;2;True;p1;dim, small\n"
        "gone.png;;True;1;1;True;;\n"
    )
    (folder / "ground_truth.csv").write_text(before)
    annotator = open_annotator()
    click(annotator, 8, 7)
    assert lines(folder) == [*before.splitlines(), "no/a.png;;False;8.0;7.0;True;;"]
    press(annotator, "right", "right", "right", "k")
    assert annotator.image == "yes/a.png"
    assert lines(folder)[1] == "yes/a.png;-3;True;1.5;2;False;p1;dim, small"


def test_what_somebody_else_writes_meanwhile_stays(folder, open_annotator):
    annotator = open_annotator()
    click(annotator, 8, 7)
    (folder / "ground_truth.csv").write_text("\n".join([*lines(folder), "no/b.jpg,False,1,1,True,other"]) + "\n")
    press(annotator, "n")
    assert lines(folder)[2] == "no/b.jpg,False,1,1,True,other"
    press(annotator, "u", "u")
    assert lines(folder)[1:] == ["no/b.jpg,False,1,1,True,other"]


def test_only_the_left_button_on_the_image_counts(folder, open_annotator):
    annotator = open_annotator()
    click(annotator, 5, 5, MouseButton.RIGHT)
    click(annotator, -30, 5)
    assert not (folder / "ground_truth.csv").exists()


def test_an_image_that_cannot_be_read_is_told_and_passed(folder, open_annotator):
    (folder / "no" / "a.png").write_bytes(b"\x89PNG broken")
    annotator = open_annotator()
    assert "cannot be read" in annotator._caption.get_text()
    click(annotator, 0.5, 0.5)
    assert not (folder / "ground_truth.csv").exists()
    press(annotator, "k", " ")
    assert annotator.image == "no/b.jpg"
    assert lines(folder)[1].startswith("no/a.png,False,,,False")


def test_a_row_may_leave_out_folders_when_only_one_image_can_be_meant(folder):
    (folder / "ground_truth.csv").write_text("file,label,x,y\nb.jpg,False,3,4\na.png,False,1,1\n")
    annotations = dict(zip(Annotations(folder).images, Annotations(folder).read(), strict=True))
    assert annotations["no/b.jpg"].centre_xy == (3, 4)
    assert annotations["no/a.png"].centre_xy is None
    assert next_open(Annotations(folder).read()) == 0


def test_a_folder_without_images_or_with_a_broken_table_is_a_sentence(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LesionError, match="lesion png"):
        Annotations(tmp_path / "empty")
    (folder / "ground_truth.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="no column file"):
        Annotations(folder)
    (folder / "ground_truth.csv").write_text("file\tlabel\tx\ty\n")
    with pytest.raises(DatasetError, match="is separated by tabs; save it as CSV"):
        Annotations(folder)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,label,x,y,note\nyes/a.png,True,1,2,Prüfung\n".encode("cp1252"), "is not UTF-8"),
        (b"file,label,x,y,note,note\nyes/a.png,True,1,2,a,b\n", "two columns 'note'"),
        (b"file,label,x,y,note\nyes/a.png,True,1,2,dim, small\n", "row 2: there are more cells than columns"),
    ],
)
def test_a_table_that_would_lose_something_is_refused_and_left_as_it_is(folder, table, said):
    (folder / "ground_truth.csv").write_bytes(table)
    with pytest.raises(LesionError, match=said):
        Annotations(folder)
    assert (folder / "ground_truth.csv").read_bytes() == table


def test_rows_of_other_images_stay_as_they_are(folder):
    """A name that a spreadsheet would take for a formula is still the name of its image."""
    (folder / "ground_truth.csv").write_text("file,label,x,y,note\n-c.png,True,10,11,=1\n")
    annotations = Annotations(folder)
    annotations.mark("no/a.png", 3, 4)
    assert lines(folder)[1] == "-c.png,True,10,11,=1,,"
    assert next(one for name, one in zip(annotations.images, annotations.read(), strict=True) if "-c" in name).is_done


def test_a_table_of_the_thesis_is_not_put_aside(folder):
    (folder / "thesis.csv").write_text("PatientID,Nodule Center Position,fid,Diagnosis\na,1 2,1,True\n")
    with pytest.raises(LesionError, match=r"thesis\.csv has the centres of these images"):
        Annotations(folder)


@pytest.mark.real
def test_the_real_table_is_read_and_continued(real_data, tmp_path):
    """A copy of its table beside links to its images: a change of one row leaves all others as they were."""
    copy = tmp_path / "brain"
    copy.mkdir()
    for name in ("yes", "no"):
        (copy / name).symlink_to(real_data / "brain" / name)
    before = (real_data / "brain" / "ground_truth.csv").read_text("utf-8")
    (copy / "ground_truth.csv").write_text(before)
    annotations = Annotations(copy)
    assert len(annotations.images) == 250
    assert all(one.is_done for one in annotations.read())
    annotations.set_unusable("yes/Y1.jpg")
    changed = [
        number for number, pair in enumerate(zip(before.splitlines(), lines(copy), strict=True)) if pair[0] != pair[1]
    ]
    assert len(changed) == 1
    annotations.undo()
    assert lines(copy) == before.splitlines()


def test_a_folder_that_cannot_be_written_to_is_refused_at_the_start(folder, monkeypatch):
    """Permissions do not bind root, as which tests may run: the question is answered for it."""
    monkeypatch.setattr("os.access", lambda path, mode: path != folder)
    with pytest.raises(LesionError, match=r"ground_truth\.csv cannot be written: .* Make the folder writable"):
        Annotations(folder)


def test_what_cannot_be_saved_is_said_in_the_window_and_can_be_done_again(folder, open_annotator):
    annotator = open_annotator()
    press(annotator, "y")
    before = lines(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        click(annotator, 20, 10)
        assert annotator._caption.get_text().startswith("Not saved (No space left on device): ")
        press(annotator, "u")
        assert annotator._caption.get_text().startswith("Not saved")
    assert lines(folder) == before
    click(annotator, 20, 10)
    assert "centre 20, 10" in annotator._caption.get_text()
    press(annotator, "u", "u")
    assert lines(folder) == lines(folder)[:1]


def test_a_table_that_breaks_meanwhile_is_said_in_the_window(folder, open_annotator):
    annotator = open_annotator()
    (folder / "ground_truth.csv").write_text("a,b\n1,2\n")
    press(annotator, "right")
    assert "no column file" in annotator._caption.get_text()


def test_an_image_whose_name_is_no_utf8_is_left_out(folder, caplog):
    (folder / "no" / "a.png").rename(folder / "no" / os.fsdecode(b"Gr\xf6\xdfe.png"))
    annotations = Annotations(folder)
    assert annotations.images == ("no/b.jpg", "yes/-c.png", "yes/a.png")
    assert any(r"left out: no/Gr\xf6\xdfe.png: the name is not UTF-8" in message for message in caplog.messages)
    annotations.mark("no/b.jpg", 1, 2)
    assert len(lines(folder)) == 2
