"""A page that shows stacks in any browser: one HTML file with its pixels inside, which never uses the network."""

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lesion_transfer.errors import LesionError
from lesion_transfer.files import replacing
from lesion_transfer.imaging.volume import finite_range
from lesion_transfer.viewing.entry import Entry
from lesion_transfer.viewing.stack import PlaneLayout, Stack, scale_bar_mm

MAX_VOXELS = 2**26
"""In one page: 256 slices of 512 x 512, 128 MB before compression, is what browsers still open at once."""

GENERATOR = "lesion view"
_STEPS_8, _STEPS_16 = 2**8 - 1, 2**16 - 1


class PageError(LesionError):
    """The page cannot be written: a sentence that says why and what to do."""


def write_page(
    entries: Sequence[Entry], out: Path, axis: int | None = None, moved: Callable[[int, int], None] = lambda *_: None
) -> tuple[int, list[str]]:
    """Writes the page; how many entries it shows, and a sentence for each that cannot be read.

    Raises PageError when there is too much to show, nothing that can be read, or `out` is a file of another kind.
    """
    _check_target(out)
    if sum(entry.n_voxels for entry in entries) > MAX_VOXELS:
        raise _too_much(sum(entry.n_voxels for entry in entries), entries)
    stacks: list[dict[str, Any]] = []
    pixels: list[str] = []
    failures: list[str] = []
    n_voxels = 0
    for number, entry in enumerate(entries):
        moved(number, len(entries))
        try:
            stack = entry.read(lambda done, total: None)
        except LesionError as error:
            failures.append(str(error))
            continue
        n_voxels += stack.voxels.size
        if n_voxels > MAX_VOXELS:
            raise _too_much(n_voxels, entries)
        described, packed = _packed(stack, axis)
        stacks.append(described)
        pixels.append(packed)
    moved(len(entries), len(entries))
    if not stacks:
        raise PageError(f"Nothing can be shown. The first of {len(failures)} reasons: {failures[0]}")
    with replacing(out) as temporary:
        # a name that is no UTF-8 is shown with its bytes written out
        temporary.write_text(render_page(stacks, pixels), encoding="utf-8", errors="backslashreplace")
    return len(stacks), failures


def _check_target(out: Path) -> None:
    """A page may replace a page, and nothing else: `--html` takes the name of what is written, not of what is shown."""
    if out.is_dir():
        raise PageError(f"{out} is a folder: --html takes the name of the page to write, for instance view.html.")
    if out.exists():
        with out.open("rb") as file:
            if f'content="{GENERATOR}"'.encode() not in file.read(1024):
                raise PageError(
                    f"{out} is there already and is no page of lesion view, so it is left as it is. Name another "
                    "file: lesion view --html PAGE.html PATH"
                )


def _too_much(n_voxels: int, entries: Sequence[Entry]) -> PageError:
    way = "Choose with --series" if len(entries) > 1 else "Open it in a window (without --html)"
    return PageError(
        f"{n_voxels / 1e6:.0f} million voxels in {len(entries)} series are more than a page can hold "
        f"({MAX_VOXELS / 1e6:.0f} million). {way}."
    )


def render_page(stacks: Sequence[dict[str, Any]], pixels: Sequence[str]) -> str:
    """The page as text. Its JSON cannot end the script element that holds it, whatever the titles say."""
    environment = Environment(
        loader=PackageLoader("lesion_transfer", "viewing"), autoescape=True, undefined=StrictUndefined
    )
    described = json.dumps(stacks, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    source = environment.loader
    assert source is not None
    style, script = (Markup(source.get_source(environment, name)[0]) for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        generator=GENERATOR,
        title=stacks[0]["title"] if len(stacks) == 1 else f"{len(stacks)} series",
        stacks=stacks,
        described=Markup(described),
        pixels=pixels,
        style=style,
        script=script,
    )


def _packed(stack: Stack, axis: int | None) -> tuple[dict[str, Any], str]:
    """What page.js needs to know of a stack, and its voxels as base64 of gzip."""
    stored, low, step, has_nan = quantised(stack.voxels)
    shape = stack.voxels.shape[1:]
    layouts = [layout for layout in stack.layouts if axis is None or layout.axis == axis] or [stack.layouts[0]]
    windows = [[window.centre, window.width, window.function] for row in stack.windows for window in row]
    if all(window == windows[0] for window in windows):
        windows = windows[:1]
    described = {
        "title": stack.title,
        "times": stack.n_times,
        "voxels": int(np.prod(shape)),
        "slices": int(shape[0]),
        "bytes": stored.dtype.itemsize,
        "low": low,
        "step": step,
        "hasNan": has_nan,
        "windows": windows,
        "windowName": stack.window_name,
        "inverted": stack.inverted,
        "timeNames": list(stack.time_names),
        "sliceNames": list(stack.slice_names),
        "notes": _notes(stack),
        "layouts": [_described(layout, shape, stack) for layout in layouts],
    }
    packed = gzip.compress(stored.astype(stored.dtype.newbyteorder("<")).tobytes(), compresslevel=6, mtime=0)
    return described, base64.b64encode(packed).decode("ascii")


def _notes(stack: Stack) -> list[str]:
    """What is missing. Pages are passed on and paths can name the patient: unreadable images are only counted."""
    n_images = stack.voxels.shape[0] * stack.voxels.shape[1]
    unreadable = [f"{len(stack.problems)} of {n_images} images cannot be read."] if stack.problems else []
    return [*unreadable, *stack.notes]


def quantised(voxels: np.ndarray) -> tuple[np.ndarray, float, float, bool]:
    """(stored, low, step, has_nan): voxels = low + stored * step, stored of 8 or 16 bits; where some are nan, 0 is nan.

    Whole numbers that span less than 65,536 (beside nan one less) are kept as they are; others within half of 1/65534
    of their range. Infinite values become the smallest or the largest.
    """
    low, high = finite_range(voxels)
    planes = [voxels[place] for place in np.ndindex(*voxels.shape[:2])]
    has_nan = any(bool(np.isnan(plane).any()) for plane in planes)
    steps = _STEPS_16 - has_nan
    whole = high - low <= steps and all(_is_whole(plane) for plane in planes)
    step = 1.0 if whole else (high - low) / steps or 1.0  # a constant has no range to divide
    kind = np.uint8 if whole and high - low <= _STEPS_8 - has_nan else np.uint16
    stored = np.empty(voxels.shape, kind)
    for place in np.ndindex(*voxels.shape[:2]):
        values = np.clip(voxels[place].astype(np.float64), low, high)
        stored[place] = np.nan_to_num(np.rint((values - low) / step) + has_nan)
    return stored, low - has_nan * step, step, has_nan


def _is_whole(plane: np.ndarray) -> bool:
    return plane.dtype.kind != "f" or bool(np.all((plane == np.rint(plane)) | ~np.isfinite(plane)))


def _described(layout: PlaneLayout, shape: Sequence[int], stack: Stack) -> dict[str, Any]:
    """A layout as steps through the flat voxels: voxel = base + plane * step + row * rowStep + column * columnStep."""
    strides = (shape[1] * shape[2], shape[2], 1)
    row_step, column_step = strides[layout.rows_axis], strides[layout.columns_axis]
    rows, columns = int(shape[layout.rows_axis]), int(shape[layout.columns_axis])
    base = (rows - 1) * row_step * layout.flip_rows + (columns - 1) * column_step * layout.flip_columns
    marks = [(layout.place(mark.index, shape), mark) for mark in stack.marks]
    return {
        "axis": layout.axis,
        "n": layout.n,
        "rows": rows,
        "columns": columns,
        "base": int(base),
        "step": int(strides[layout.axis]),
        "rowStep": int(-row_step if layout.flip_rows else row_step),
        "columnStep": int(-column_step if layout.flip_columns else column_step),
        "pixel": list(layout.pixel_shape),
        "bar": scale_bar_mm(columns * layout.pixel_mm[1]) if layout.pixel_mm else None,
        "name": layout.name,
        "edges": list(layout.edges),
        "marks": [{"plane": plane, "x": x, "y": y, "name": mark.name} for (plane, x, y), mark in marks],
    }
