"""Small volumes to look at, whose voxels say where they are, and a browser."""

import shutil

import numpy as np
import pytest

from lesion_transfer.imaging.display import Window
from lesion_transfer.imaging.volume import Grid
from lesion_transfer.viewing.stack import Stack, same_window

SHAPE = (3, 4, 5, 6)
"""(times, slices, rows, columns)."""


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


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=flags)
        yield opened
        opened.close()
