"""A lesion and how it looks: the same function of its traits in every body part, so that knowledge can be shared.

Lengths are given in pixels of the final patch: a lesion of 16 patch pixels is 16 mm wide in a 65 mm prostate crop, and
as wide in the patch of a lung or a brain. `scale` says how many of the canvas's units one patch pixel is.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from lesion_transfer.datasets.phantom.canvas import Canvas, Triple, lattice, sample_lattice
from lesion_transfer.datasets.phantom.draws import uniform
from lesion_transfer.datasets.phantom.traits import ClassOptions, Traits, draw_traits
from lesion_transfer.options import Options
from lesion_transfer.randomness import named_generator

Positive = Annotated[float, Field(gt=0)]
Span = tuple[Positive, Positive]

_REACH = 2.4
"""Beyond this many radii even the most ragged border has faded."""


class Response(Options):
    """What a trait becomes in pixels: middle + per_sd * trait, held between low and high."""

    middle: float
    per_sd: float
    low: float
    high: float

    def __call__(self, trait: float) -> float:
        """The rendered strength at this trait."""
        return min(max(self.middle + self.per_sd * trait, self.low), self.high)


class LesionOptions(Options):
    """Size and looks of lesions, the same for both classes but for the traits."""

    classes: ClassOptions
    diameter_px: Span
    flatness: Span
    """Between which factors the radius along each axis varies."""
    contrast: Response
    """Height above the surroundings, as a multiple of the image's `lesion` step."""
    raggedness: Response
    """How far, as a share of the radius, the border runs in and out."""
    softness: Response
    """Half the width of the border, as a share of the radius."""
    mottling: Response
    """How far, as a share of its height, the inside goes up and down."""
    border_cell_px: Positive
    mottle_cell_px: Positive


@dataclass(frozen=True)
class Lesion:
    """Where a lesion is and what it is like; centre and radii in the canvas's units."""

    label: bool
    centre: Triple
    radii: Triple
    scale: float
    traits: Traits
    border: np.ndarray
    mottle: np.ndarray

    def moved(self, centre: Triple) -> "Lesion":
        """The same lesion elsewhere."""
        return replace(self, centre=centre)


def draw_lesion(
    seed: int, names: tuple[str, ...], label: bool, scale: float, options: LesionOptions, signal: float
) -> Lesion:
    """The lesion of this name at the origin. Only the means of its traits know the label."""
    shape = named_generator(seed, *names, "shape")
    radius = uniform(shape, *options.diameter_px) / 2 * scale
    u, v, w = (radius * uniform(shape, *options.flatness) for _ in range(3))
    largest = options.diameter_px[1] / 2 * options.flatness[1] * _REACH
    cells = [2 * int(largest / cell + 1) + 1 for cell in (options.border_cell_px, options.mottle_cell_px)]
    return Lesion(
        label=label,
        centre=(0.0, 0.0, 0.0),
        radii=(u, v, w),
        scale=scale,
        traits=draw_traits(named_generator(seed, *names, "traits"), label, options.classes, signal),
        border=lattice(shape, (cells[0],) * 3),
        mottle=lattice(shape, (cells[1],) * 3),
    )


def add_lesion(canvas: Canvas, lesion: Lesion, step: float, options: LesionOptions) -> None:
    """Adds the lesion to the canvas; `step` is the height of one of middling contrast (negative: darker)."""
    part = canvas.window(lesion.centre, tuple(_REACH * radius for radius in lesion.radii))  # type: ignore[arg-type]
    if part is None:
        return
    offsets = [axis - np.float32(at) for axis, at in zip((part.w, part.v, part.u), lesion.centre[::-1], strict=True)]
    ragged = sample_lattice(
        lesion.border, [offset / np.float32(options.border_cell_px * lesion.scale) for offset in offsets]
    )
    mottle = sample_lattice(
        lesion.mottle, [offset / np.float32(options.mottle_cell_px * lesion.scale) for offset in offsets]
    )
    r = np.sqrt(part.radius2(lesion.centre, lesion.radii))
    r *= np.float32(1) + np.float32(options.raggedness(lesion.traits.border)) * ragged
    softness = np.float32(options.softness(lesion.traits.border))
    inside = (np.float32(1) + softness - r) / (np.float32(2) * softness)
    inside = np.minimum(np.maximum(inside, np.float32(0)), np.float32(1))
    height = inside * inside * (np.float32(3) - np.float32(2) * inside)
    # a low dome, so that a lesion without mottling is brightest in its middle
    height *= np.float32(1) + np.float32(0.15) * np.maximum(np.float32(1) - r * r, np.float32(0))
    height *= np.float32(1) + np.float32(options.mottling(lesion.traits.texture)) * mottle
    height *= np.float32(step * options.contrast(lesion.traits.contrast))
    part.pixels[...] += height
