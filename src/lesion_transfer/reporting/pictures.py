"""Figures as bytes: the same figure gives the same bytes, without time stamps or version strings."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure
from PIL import Image

from lesion_transfer.files import replacing
from lesion_transfer.reporting.style import styled

DPI, SCREEN_DPI = 144, 100


@dataclass(frozen=True)
class Picture:
    """An image for the report: its bytes, what it shows (for who cannot see it), and a caption."""

    data: bytes
    alt: str
    caption: str
    media_type: Literal["image/png", "image/svg+xml"] = "image/png"


@styled
def to_png_bytes(figure: Figure) -> bytes:
    """The figure as PNG at 144 dots an inch, in its 256 most fitting colours: a third of the bytes, the same look."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    _lay_out(figure)
    # not compressed: that would be undone at once, and is a third of the time
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 0})
    with Image.open(drawn) as picture:
        # median cut follows the number of pixels: red that only a colour bar has would become grey
        colours = picture.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        colours.save(packed, format="png", optimize=True)
    return packed.getvalue()


@styled
def to_screen_png_bytes(figure: Figure) -> bytes:
    """The figure as PNG at 100 dots an inch, drawn quickly: for MLflow, which gets many and versions none."""
    drawn = io.BytesIO()
    _lay_out(figure)
    figure.savefig(drawn, format="png", dpi=SCREEN_DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    return drawn.getvalue()


@styled
def to_svg_text(figure: Figure) -> str:
    """The figure as SVG; text becomes outlines, so that it looks the same without our fonts."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _lay_out(figure: Figure) -> None:
    """Once and for all: with a layout engine, savefig draws everything twice."""
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")


def save_png(figure: Figure, path: Path) -> None:
    """Writes the figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(to_png_bytes(figure))
