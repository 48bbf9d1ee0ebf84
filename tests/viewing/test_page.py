"""The page of `lesion view --html`, in a real browser."""

import json
import re

import numpy as np
import pytest

from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.viewing import page as page_module
from lesion_transfer.viewing.entry import Entry
from lesion_transfer.viewing.page import PageError, quantised, write_page
from lesion_transfer.viewing.stack import Mark, same_window
from lesion_transfer.viewing.view import View

HOSTILE = "</script><script>document.title='owned'</script>\"><img src=x onerror=alert(1)>"


def entry(stack):
    return Entry(stack.title, "", stack.voxels.size, lambda _: stack)


@pytest.fixture
def open_page(tmp_path, open_file):
    """open_page(*stacks, axis=None, **context): their page in the browser."""

    def open_one(*stacks, axis=None, **context):
        path = tmp_path / "view.html"
        assert write_page([entry(stack) for stack in stacks], path, axis) == (len(stacks), [])
        return open_file(path, **context)

    return open_one


@pytest.mark.browser
def test_the_page_walks_as_the_window_does(make_stack, open_page):
    stack = make_stack(time_names=("b = 50 s/mm²", "b = 400 s/mm²", "b = 800 s/mm²"))
    shown, view = open_page(stack), View.opened(stack)
    assert shown.shows(view)
    assert shown.pixels.std() > 1
    for key, action in (
        ("ArrowDown", lambda view: view.walked(1)),
        ("ArrowDown", lambda view: view.walked(1)),  # over into the next time point
        ("ArrowRight", lambda view: view.in_time(1)),
        ("ArrowUp", lambda view: view.walked(-1)),
        ("ArrowLeft", lambda view: view.in_time(-1)),
        ("End", lambda view: view.at(99)),
        ("1", lambda view: view.across(1)),
        ("2", lambda view: view.across(2)),
        ("Home", lambda view: view.at(0)),
        ("ArrowUp", lambda view: view.walked(-1)),
        ("0", lambda view: view.across(0)),
    ):
        shown.press(key)
        view = action(view)
        assert shown.shows(view), key
    for delta in (100, 100, -100):
        shown.wheel(delta)
        view = view.walked(1 if delta > 0 else -1)
        assert shown.shows(view)
    edges = [shown.page.inner_text(f"#edge-{side}") for side in ("top", "bottom", "left", "right")]
    assert edges == list(stack.layouts[0].edges)


@pytest.mark.browser
def test_a_drag_and_keys_change_the_window(make_stack, open_page):
    windows = tuple(tuple(Window(1000.0 * time + 100 * slice_ + 20, 60) for slice_ in range(4)) for time in range(3))
    stack = make_stack(windows=windows, inverted=True)
    shown, view = open_page(stack), View.opened(stack)
    assert shown.shows(view)
    box = shown.page.locator("#image").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    shown.page.mouse.move(x + box["width"] / 5, y - box["height"] / 10)
    shown.page.mouse.up()
    assert shown.shows(view.dragged(1 / 5, 1 / 10))
    shown.page.mouse.move(x, y)
    assert shown.shows(view.dragged(1 / 5, 1 / 10))
    shown.press("w")
    assert shown.shows(view)
    shown.press("a")
    assert "· window" in shown.caption
    assert shown.pixels.min() < 5
    assert shown.pixels.max() > 250


@pytest.mark.browser
@pytest.mark.parametrize("inverted", [False, True])
def test_slices_that_cannot_be_read_are_black(make_stack, open_page, inverted):
    stack = make_stack(inverted=inverted, windows=same_window(Window.spanning(-9000, 9000), 3, 4))
    stack.voxels[0, 2] = np.nan
    stack.voxels[0, 3, 2] = np.nan
    shown, view = open_page(stack), View.opened(stack)
    shown.press("a")
    assert not shown.pixels.any()
    assert shown.shows(view.auto_windowed())
    shown.press("ArrowDown")
    assert not shown.pixels[2].any()
    assert shown.shows(view.walked(1))
    shown.press("a")
    assert np.abs(shown.pixels - view.walked(1).auto_windowed().shown())[2].max() == 0


@pytest.mark.browser
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_page_shows_by_the_three_functions_of_dicom(make_stack, open_page, function):
    stack = make_stack(windows=same_window(Window(1200, 900, function), 3, 4))
    shown = open_page(stack)
    shown.press("ArrowRight")
    assert len(np.unique(shown.pixels)) > 2
    assert shown.shows(View.opened(stack).in_time(1))


@pytest.mark.browser
def test_marks_lie_on_their_voxel(make_stack, open_page):
    shown = open_page(make_stack(marks=(Mark((3, 1, 4), HOSTILE), Mark((0, 1, 4), "b"))))
    circle = shown.page.locator("#marks circle").bounding_box()
    box = shown.page.locator("#image").bounding_box()
    assert (circle["x"] + circle["width"] / 2 - box["x"]) / box["width"] == pytest.approx(4.5 / 6, abs=0.01)
    assert (circle["y"] + circle["height"] / 2 - box["y"]) / box["height"] == pytest.approx(1.5 / 5, abs=0.01)
    assert shown.page.locator("#marks text").text_content() == HOSTILE
    shown.press("m")
    assert shown.caption.startswith("slice 1 of 4")
    shown.press("x")
    assert shown.page.locator("#marks circle").count() == 0
    shown.press("x", "ArrowDown")
    assert shown.page.locator("#marks circle").count() == 0


@pytest.mark.browser
def test_the_scale_bar_is_as_long_as_it_says(make_stack, open_page):
    # 6 columns of 1 mm; across axis 2, 5 rows of 2 mm lie side by side
    shown = open_page(make_stack())
    for key, width_mm, bar_mm in (("0", 6, 1), ("2", 10, 2)):
        shown.press(key)
        assert shown.page.locator("#scale text").text_content() == f"{bar_mm} mm"
        drawn = shown.page.evaluate("document.querySelector('#scale path').getBBox().width")
        image = shown.page.locator("#image").bounding_box()
        assert drawn / image["width"] == pytest.approx(bar_mm / width_mm, abs=0.005)
    assert open_page(make_stack(grid=None)).page.locator("#scale text").count() == 0


@pytest.mark.browser
def test_nothing_is_loaded_and_no_text_becomes_code(make_stack, open_page, tmp_path):
    names = tuple(f"{HOSTILE} {number}" for number in range(4))
    shown = open_page(
        make_stack(title=HOSTILE, slice_names=names, notes=(HOSTILE,), time_names=(HOSTILE,) * 3, window_name=HOSTILE),
        make_stack(title="second"),
    )
    assert shown.page.title() == "2 series"
    assert shown.requested == [(tmp_path / "view.html").as_uri()]
    assert HOSTILE in shown.caption
    shown.press("h", "n")
    shown.titled("second")
    assert shown.page.locator("#help").is_visible()
    shown.page.evaluate("fetch('https://example.org/').catch(() => 0)")
    assert shown.page.title() == "2 series"
    # The only complaint is of the request that this test made, refused by the page's own policy.
    assert all("Content Security Policy" in problem or "example.org" in problem for problem in shown.problems)
    assert shown.problems


@pytest.mark.browser
def test_it_fits_a_phone_and_series_can_be_chosen(make_stack, open_page):
    small = make_stack(title="small", voxels=np.zeros((1, 1, 3, 3), np.uint8), windows=same_window(Window(1, 2), 1, 1))
    shown = open_page(
        make_stack(title="a rather long title of a series " * 4), small, viewport={"width": 390, "height": 700}
    )
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert shown.page.locator("#image").bounding_box()["width"] > 200
    shown.page.select_option("#series", label="small")
    shown.titled("small")
    assert shown.pixels.shape == (3, 3)
    assert not shown.page.locator("#time-label").is_visible()


@pytest.mark.browser
def test_a_chosen_axis_is_the_only_one(make_stack, open_page):
    shown = open_page(make_stack(), axis=2)
    assert "sagittal (axis 2)" in shown.caption
    shown.press("0")
    assert "sagittal (axis 2)" in shown.caption
    assert shown.page.locator("#axes button").count() == 0


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(-3, 9, dtype=np.int16), np.uint8),
        (np.arange(-30000, 30000, 5000, dtype=np.int32), np.uint16),
        (np.linspace(-1, 1, 12), np.uint16),
        (np.arange(0, 1_200_000, 100_000, dtype=np.int32), np.uint16),
    ],
)
def test_stored_values_are_the_voxels(values, kind):
    voxels = values.reshape(1, 2, 2, 3)
    stored, low, step, has_nan = quantised(voxels)
    assert not has_nan
    assert stored.dtype == kind
    spread = float(values.max()) - float(values.min())
    tolerance = 0 if step == 1 else spread / 65535 / 2 * 1.001
    assert np.abs(low + stored * step - voxels).max() <= tolerance


def test_nan_has_a_value_of_its_own_and_infinity_that_of_the_ends():
    stored, low, step, has_nan = quantised(np.array([[[[np.nan, np.inf, -np.inf, 3.5, 7.0]]]]))
    assert (low + step, stored.ravel().tolist(), has_nan) == (3.5, [0, 65535, 1, 1, 65535], True)
    for most, kind in ((254, np.uint8), (255, np.uint16)):
        stored, low, step, _ = quantised(np.array([[[[np.nan, 0.0, most]]]]))
        assert (low, step, stored.dtype, stored.ravel().tolist()) == (-1, 1, kind, [0, 1, most + 1])
    stored, _, _, _ = quantised(np.array([[[[-1.7e308, 2.5, 4.5, 1.7e308]]]]))
    assert stored.ravel().tolist() == [0, 0, 65535, 65535]
    for constant in (np.nan, 0.25, 5e-324):
        assert quantised(np.full((1, 1, 2, 2), constant))[0].tolist() == [[[[0, 0], [0, 0]]]]


def test_too_much_for_a_page_is_said_before_anything_is_read(make_stack, tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "MAX_VOXELS", 500)

    def never(moved):
        raise AssertionError

    with pytest.raises(PageError, match="--series"):
        write_page([Entry("a", "", 400, never), Entry("b", "", 200, never)], tmp_path / "x.html")
    with pytest.raises(PageError, match="million"):  # of unknown size before it is read
        write_page(
            [Entry("a", "", 0, lambda _: make_stack()), Entry("b", "", 0, lambda _: make_stack())], tmp_path / "x.html"
        )
    assert not (tmp_path / "x.html").exists()


def test_only_a_page_is_replaced(make_stack, tmp_path):
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"precious")
    with pytest.raises(PageError, match="left as it is"):
        write_page([entry(make_stack())], scan)
    assert scan.read_bytes() == b"precious"
    with pytest.raises(PageError, match="folder"):
        write_page([entry(make_stack())], tmp_path)
    for _ in range(2):
        assert write_page([entry(make_stack())], tmp_path / "x.html") == (1, [])


def test_what_cannot_be_read_is_listed(make_stack, tmp_path):
    def broken(moved):
        raise UnreadableFileError("slice 3 is damaged.")

    entries = [Entry("bad", "", 0, broken), entry(make_stack())]
    assert write_page(entries, tmp_path / "x.html") == (1, ["slice 3 is damaged."])
    with pytest.raises(PageError, match="slice 3 is damaged"):
        write_page(entries[:1], tmp_path / "y.html")


def test_the_same_stack_gives_the_same_bytes(make_stack, tmp_path):
    for name in ("a", "b"):
        write_page([entry(make_stack())], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    text = (tmp_path / "a").read_text("utf-8")
    described = json.loads(re.search(r'id="stacks">(.*?)</script>', text).group(1))
    assert described[0]["title"] == "volume"
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
