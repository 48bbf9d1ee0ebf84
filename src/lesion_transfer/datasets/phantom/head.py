"""A transverse slice through a head: u to the right, v down, in patch pixels, the head's middle at the origin."""

import numpy as np

from lesion_transfer.datasets.phantom.canvas import Canvas, Triple, add_texture, fill_ellipsoid, lattice, sample_lattice
from lesion_transfer.datasets.phantom.draws import noise, uniform
from lesion_transfer.datasets.phantom.lesion import Lesion, add_lesion
from lesion_transfer.datasets.phantom.recipes import BrainRecipe

Organ = tuple[str, Triple, Triple, float]
"""Tissue, centre (u, v, w), radii, edge (share of the radius over which it blends)."""

_FURROW_CELL = 9.0
_FLAT = 1.0
"""Radius along w: there is one slice, at w = 0."""


def draw_head(generator: np.random.Generator, width: float, height: float) -> list[Organ]:
    """Scalp, skull, brain and ventricles; width and height are the head's radii, in patch pixels."""
    a, b = width, height
    gap, lean = uniform(generator, 0.05, 0.09), uniform(generator, -0.02, 0.02)
    organs: list[Organ] = [
        ("scalp", (0, 0, 0), (a, b, _FLAT), 0.015),
        ("skull", (0, 0, 0), (0.945 * a, 0.95 * b, _FLAT), 0.02),
        ("fluid", (0, 0, 0), (0.88 * a, 0.89 * b, _FLAT), 0.02),
        ("grey", (0, 0, 0), (0.85 * a, 0.865 * b, _FLAT), 0.03),
    ]
    for side in (-1, 1):
        organs += [
            ("white", (side * 0.36 * a, -0.1 * b, 0), (0.33 * a, 0.56 * b, _FLAT), 0.2),
            ("white", (side * 0.34 * a, 0.3 * b, 0), (0.3 * a, 0.36 * b, _FLAT), 0.2),
        ]
    organs.append(("fluid", (lean * a, -0.62 * b, 0), (0.012 * a, 0.24 * b, _FLAT), 0.5))
    organs.append(("fluid", (lean * a, 0.66 * b, 0), (0.012 * a, 0.2 * b, _FLAT), 0.5))
    for side in (-1, 1):
        organs += [
            ("grey", (side * 0.2 * a, 0.06 * b, 0), (0.12 * a, 0.15 * b, _FLAT), 0.2),
            ("fluid", (side * (gap + 0.03) * a, -0.15 * b, 0), (gap * a, 0.17 * b, _FLAT), 0.15),
            ("fluid", (side * (gap + 0.1) * a, 0.22 * b, 0), (gap * a, 0.16 * b, _FLAT), 0.15),
        ]
    return organs


def draw_in_brain(generator: np.random.Generator, width: float, height: float) -> tuple[float, float]:
    """A place (u, v) in the brain, off the ventricles and off the skull."""
    while True:
        x, y = uniform(generator, -0.7, 0.7), uniform(generator, -0.7, 0.7)
        if x * x + y * y < 0.45 and x * x > 0.1:
            return x * width, y * height


def add_furrows(canvas: Canvas, generator: np.random.Generator, radii: Triple, depth: float) -> None:
    """Darkens the brain's outer parts along the lines where a smooth noise is zero: they wind as furrows do."""
    coordinates = [canvas.w, canvas.v / np.float32(_FURROW_CELL), canvas.u / np.float32(_FURROW_CELL)]
    largest = [2 * int(max(abs(float(at[0])), abs(float(at[-1])))) + 3 for at in coordinates[1:]]
    waves = sample_lattice(lattice(generator, (1, largest[0], largest[1])), coordinates)
    line = np.maximum(np.float32(1) - np.abs(waves) * np.float32(4), np.float32(0))
    r2 = canvas.radius2((0, 0, 0), radii)
    # from a third of the way out to the surface; none in the middle, none outside
    ring = np.minimum(np.maximum((r2 - np.float32(0.3)) * np.float32(4), np.float32(0)), np.float32(1))
    ring *= np.minimum(np.maximum((np.float32(0.98) - r2) * np.float32(20), np.float32(0)), np.float32(1))
    canvas.pixels[...] -= line * ring * np.float32(depth)


def paint_head(
    canvas: Canvas,
    organs: list[Organ],
    head_radii: tuple[float, float],
    lesion: Lesion,
    recipe: BrainRecipe,
    noise_scale: float,
    generator: np.random.Generator,
) -> None:
    """Paints organs, texture, the lesion and noise, in grey levels, on a canvas of air."""
    canvas.pixels[...] = np.float32(recipe.tissues["air"])
    for tissue, centre, radii, edge in organs:
        fill_ellipsoid(canvas, centre, radii, recipe.tissues[tissue], edge)
    brain = (0.85 * head_radii[0], 0.865 * head_radii[1], _FLAT)
    add_furrows(canvas, generator, brain, 0.7 * (recipe.tissues["grey"] - recipe.tissues["fluid"]))
    add_texture(canvas, generator, recipe.texture_cell_px, recipe.texture)
    add_lesion(canvas, lesion, recipe.lesion_step, recipe.lesion)
    rough = noise(generator, canvas.pixels.shape)
    rough *= np.float32(recipe.noise * noise_scale)
    canvas.pixels[...] += rough
