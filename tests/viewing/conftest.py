"""Small volumes to look at, whose voxels say where they are, a PNG that lies, and a browser."""

import re
import struct
import zlib

import numpy as np
import pytest

from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.volume import Grid
from lesion_transfer.viewing.stack import Stack, same_window

SHAPE = (3, 4, 5, 6)
"""(times, slices, rows, columns)."""
CANVAS = """() => {
  const canvas = document.getElementById("image");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.height, canvas.width, Array.from(data).filter((_, place) => place % 4 === 0)];
}"""


def voxel(time, number, row, column):
    """The value of a voxel names its place: 4 digits."""
    return 1000 * time + 100 * number + 10 * row + column


def lps_grid(steps=((0, 0, 3), (0, 2, 0), (1, 0, 0)), origin=(-10.0, 20.0, 5.0)):
    return Grid(np.array(origin), np.array(steps, dtype=float))


@pytest.fixture
def make_stack():
    """make_stack(**changes): a Stack of SHAPE in which every voxel names its place."""

    def make(**changes):
        voxels = np.fromfunction(voxel, SHAPE).astype(np.float32)
        given = {"title": "volume", "voxels": voxels, "windows": same_window(Window.spanning(0, 2355), 3, 4)}
        return Stack(**{**given, "grid": lps_grid(), **changes})

    return make


@pytest.fixture
def write_bomb():
    """write_bomb(path): a PNG of some bytes whose header declares 20,000 x 20,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def write(path):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))

    return write


class Opened:
    """A page in the browser, and what it asked for."""

    def __init__(self, browser, path, **context):
        self.context = browser.new_context(offline=True, **{"viewport": {"width": 900, "height": 800}, **context})
        self.page = self.context.new_page()
        self.requested, self.problems = [], []
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(path.as_uri())
        self.ready()

    def ready(self):
        self.page.locator("#caption", has_text=re.compile("^slice")).wait_for()

    def titled(self, title):
        """Waits until a series is shown."""
        self.page.locator("#title", has_text=re.compile(f"^{title}$")).wait_for(state="attached")
        self.ready()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def wheel(self, delta):
        self.page.mouse.move(450, 400)
        moved = self.page.locator("#caption", has_not_text=self.caption)
        self.page.mouse.wheel(0, delta)
        moved.wait_for()

    @property
    def caption(self):
        return self.page.inner_text("#caption")

    @property
    def pixels(self):
        rows, columns, greys = self.page.evaluate(CANVAS)
        return np.array(greys).reshape(rows, columns)

    def shows(self, view):
        """Whether canvas and caption are the window viewer's, up to the rounding of halves."""
        return self.caption == view.caption() and np.abs(self.pixels - view.shown()).max() <= 1


@pytest.fixture
def open_file(browser):
    """open_file(path, **context): a page in the browser, without network."""
    opened = []

    def open_one(path, **context):
        opened.append(Opened(browser, path, **context))
        return opened[-1]

    yield open_one
    for one in opened:
        one.context.close()
