"""The viewer's window, driven by the events that a window system would send."""

import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent, MouseButton, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.viewing.entry import Entry
from lesion_transfer.viewing.screen import NoDisplayError
from lesion_transfer.viewing.stack import Mark
from lesion_transfer.viewing.window import Viewer, open_window


@pytest.fixture
def open_viewer():
    kept = []

    def open_one(*stacks, axis=None):
        figure = Figure(figsize=(6, 6))
        FigureCanvasAgg(figure)
        entries = [Entry(stack.title, "", 0, lambda _, stack=stack: stack) for stack in stacks]
        kept.append(Viewer(figure, entries, axis))
        return kept[-1]

    return open_one


def press(viewer, *keys):
    canvas = viewer._figure.canvas
    for key in keys:
        canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, key))


def mouse(viewer, kind, x, y, **given):
    canvas = viewer._figure.canvas
    canvas.callbacks.process(kind, MouseEvent(kind, canvas, x, y, **given))


def scroll(viewer, step):
    mouse(viewer, "scroll_event", 300, 300, step=step)


def displayed(viewer):
    """What the figure shows: the array of its image."""
    return np.asarray(viewer._figure.axes[0].images[0].get_array())


def test_wheel_and_arrows_show_the_slices_pixels(make_stack, open_viewer):
    viewer = open_viewer(make_stack())
    np.testing.assert_array_equal(displayed(viewer), viewer.view.stack.shown(0, 0, 2))
    scroll(viewer, -1)
    np.testing.assert_array_equal(displayed(viewer), viewer.view.stack.shown(0, 0, 3))
    scroll(viewer, -1)  # over the end of the first time point
    np.testing.assert_array_equal(displayed(viewer), viewer.view.stack.shown(1, 0, 0))
    press(viewer, "down", "down", "right")
    np.testing.assert_array_equal(displayed(viewer), viewer.view.stack.shown(2, 0, 2))
    press(viewer, "left", "left", "up")
    np.testing.assert_array_equal(displayed(viewer), viewer.view.stack.shown(0, 0, 1))
    scroll(viewer, 1)
    np.testing.assert_array_equal(displayed(viewer), viewer.view.stack.shown(0, 0, 0))
    assert len(np.unique(displayed(viewer))) > 5


def test_axes_are_chosen_by_number(make_stack, open_viewer):
    viewer = open_viewer(make_stack())
    press(viewer, "2")
    assert displayed(viewer).shape == (4, 5)
    assert "sagittal (axis 2)" in viewer._caption.get_text()
    press(viewer, "end", "home")
    np.testing.assert_array_equal(displayed(viewer), viewer.view.stack.shown(0, 2, 0))
    assert viewer._figure.axes[0].get_aspect() == pytest.approx(3 / 2)  # 3 mm slices over 2 mm rows


def test_dragging_changes_the_window_until_the_button_is_released(make_stack, open_viewer):
    viewer = open_viewer(make_stack())
    before = displayed(viewer).astype(float)
    mouse(viewer, "motion_notify_event", 320, 320)
    assert viewer.view.window is None
    mouse(viewer, "button_press_event", 300, 300, button=MouseButton.LEFT)
    mouse(viewer, "motion_notify_event", 300, 360)
    assert displayed(viewer).mean() > before.mean()
    mouse(viewer, "motion_notify_event", 360, 300)
    assert displayed(viewer).std() < before.std()
    mouse(viewer, "button_release_event", 360, 300, button=MouseButton.LEFT)
    released = viewer.view
    mouse(viewer, "motion_notify_event", 100, 100)
    assert viewer.view == released
    press(viewer, "down")
    assert viewer.view.window == released.window
    press(viewer, "w", "up")
    np.testing.assert_array_equal(displayed(viewer), before)


def test_series_follow_each_other_and_a_bad_one_is_told(make_stack, open_viewer):
    viewer = open_viewer(make_stack(title="first"), make_stack(title="second"), make_stack(title="third"))

    def broken(moved):
        raise UnreadableFileError("slice 3 is damaged.")

    viewer.entries[2].__dict__["read"] = broken
    press(viewer, "n")
    assert viewer._title.get_text() == "2 of 3: second"
    press(viewer, "n")
    assert viewer._title.get_text() == "2 of 3: second"
    assert viewer._note.get_text() == "slice 3 is damaged."
    press(viewer, "p", "p")
    assert viewer._title.get_text() == "1 of 3: first"


def test_it_opens_with_the_first_series_that_can_be_read(make_stack):
    def broken(moved):
        raise UnreadableFileError("slice 3 is damaged.")

    figure = Figure(figsize=(6, 6))
    FigureCanvasAgg(figure)
    good = Entry("good", "", 0, lambda _: make_stack(title="good"))
    viewer = Viewer(figure, [Entry("bad", "", 0, broken), good])
    assert viewer._title.get_text() == "2 of 2: good"
    with pytest.raises(UnreadableFileError, match="damaged"):
        Viewer(figure, [Entry("bad", "", 0, broken)])


def test_a_file_that_cannot_be_read_is_named_in_the_window(make_stack, open_viewer):
    viewer = open_viewer(make_stack(problems=("a/1.dcm: damaged.",), notes=("A position is outside.",)))
    assert viewer._note.get_text() == "a/1.dcm: damaged."


def test_reading_many_images_is_told_in_the_window(make_stack):
    told = []

    def slow(moved):
        for done in range(1, 61):
            moved(done, 60)
            told.append(viewer._note.get_text())
        return make_stack(title="slow")

    figure = Figure(figsize=(6, 6))
    FigureCanvasAgg(figure)
    viewer = Viewer(figure, [Entry("first", "", 0, lambda _: make_stack()), Entry("slow", "", 0, slow)])
    press(viewer, "n")
    assert told[45] == "reading slow: 40 of 60 images"
    assert viewer._note.get_text() == ""


def test_a_window_has_our_keys_alone(make_stack, monkeypatch):
    """With a canvas that draws into memory in the place of a window system."""
    from matplotlib import pyplot

    seen = {}
    monkeypatch.setattr(pyplot, "get_backend", lambda: "tkagg")
    monkeypatch.setattr(pyplot, "show", lambda block: seen.update(pyplot.rcParams, block=block))
    open_window([Entry("x", "", 0, lambda _: make_stack())])
    bound = {key for name, keys in seen.items() if name.startswith("keymap.") for key in keys}
    assert bound == {"q", "ctrl+w", "cmd+w"}
    assert seen["block"] is True
    assert pyplot.get_figlabels() == ["lesion view"]
    pyplot.close("all")
    assert "s" in pyplot.rcParams["keymap.save"]


def test_marks_and_help_can_be_switched(make_stack, open_viewer):
    viewer = open_viewer(make_stack(marks=(Mark((1, 2, 4), "finding $1"),)))
    axes = viewer._figure.axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[4, 2]]
    viewer._figure.canvas.draw()  # a name is text, never mathematics
    press(viewer, "x")
    assert not axes.lines
    press(viewer, "x", "down")
    assert not axes.lines
    press(viewer, "m")
    assert len(axes.lines) == 1
    assert not viewer._help.get_visible()
    press(viewer, "h")
    assert viewer._help.get_visible()


def test_the_scale_bar_is_as_long_as_it_says(make_stack, open_viewer):
    viewer = open_viewer(make_stack())
    for key, columns_mm, bar_mm in (("0", 6, 1), ("2", 10, 2)):
        press(viewer, key)
        viewer._figure.canvas.draw()
        axes = viewer._figure.axes[0]
        (bar,) = [artist for artist in axes.artists if isinstance(artist, AnchoredSizeBar)]
        assert bar.txt_label.get_text() == f"{bar_mm} mm"
        width = bar.size_bar.get_window_extent(viewer._figure.canvas.get_renderer()).width
        assert width / axes.bbox.width * columns_mm == pytest.approx(bar_mm, abs=0.05 * columns_mm)
    without = open_viewer(make_stack(grid=None))
    assert not without._figure.axes[0].artists


def test_without_a_display_the_way_out_is_named(make_stack, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    with pytest.raises(NoDisplayError, match="--html"):
        open_window([Entry("x", "", 0, lambda _: make_stack())])
