"""A slab of a chest: u to the patient's left, v to the back, w up, mm, the chest's middle at the origin."""

import numpy as np

from lesion_transfer.datasets.phantom.canvas import Canvas, Triple, add_texture, fill_ellipsoid
from lesion_transfer.datasets.phantom.draws import noise, pick, uniform
from lesion_transfer.datasets.phantom.lesion import Lesion, add_lesion
from lesion_transfer.datasets.phantom.recipes import LungxRecipe

Organ = tuple[str, Triple, Triple, float]
"""Tissue, centre (u, v, w), radii, edge (share of the radius over which it blends)."""

_LONG = 600.0
_LUNG_U, _LUNG_RADII = 68.0, (54.0, 80.0)
_HEART_U, _HEART_V = 14.0, -24.0
_RIBS = ((0.97, 0.24), (0.86, 0.51), (0.66, 0.75), (0.40, 0.92), (0.9, -0.43), (0.72, -0.69), (0.46, -0.89))
"""Directions, as (cosine, sine), in which the chest wall holds a rib."""


def draw_thorax(generator: np.random.Generator, size: float) -> list[Organ]:
    """Body, lungs, heart, spine and ribs of one patient, to be painted in this order; `size` scales them all."""
    heart = uniform(generator, -6, 6)
    organs: list[Organ] = [
        ("fat", (0, 0, 0), (164, 114, _LONG), 0.015),
        ("muscle", (0, 0, 0), (150, 102, _LONG), 0.03),
    ]
    for side in (-1, 1):
        organs.append(("lung", (side * _LUNG_U, -4, 0), (*_LUNG_RADII, _LONG), 0.03))
    for cosine, sine in _RIBS:
        for side in (-1, 1):
            tilt = uniform(generator, -4, 4)
            organs.append(("bone", (side * 131 * cosine, 92 * sine + tilt, 0), (7, 7, _LONG), 0.2))
    organs += [
        ("heart", (heart + _HEART_U, _HEART_V, 0), (46, 42, 160), 0.06),
        ("muscle", (heart / 2, 14, 0), (26, 40, _LONG), 0.1),
        ("heart", (18, 36, 0), (13, 13, _LONG), 0.08),
        ("bone", (0, 64, 0), (20, 17, _LONG), 0.08),
        ("muscle", (0, 84, 0), (9, 8, _LONG), 0.15),
        ("bone", (0, 100, 0), (5, 9, _LONG), 0.2),
        ("airway", (heart / 2 - 14, 10, 0), (6, 6, _LONG), 0.15),
        ("airway", (heart / 2 + 14, 12, 0), (6, 6, _LONG), 0.15),
    ]
    return [(t, (u * size, v * size, w), (a * size, b * size, c), edge) for t, (u, v, w), (a, b, c), edge in organs]


def draw_vessels(
    generator: np.random.Generator, n: int, size: float, free: list[tuple[float, float]], free_mm: float
) -> list[Organ]:
    """Vessels of the lungs, thinner towards the pleura: short runs of overlapping blobs in any direction.

    Those that would come within free_mm of a place in `free` (u, v) are left out, so that no vessel covers a nodule.
    """
    vessels: list[Organ] = []
    for _ in range(n):
        u, v, share = draw_in_lung(generator, pick(generator, (-1, 1)), size, 0.93)
        w, radius = uniform(generator, -12, 12), uniform(generator, 0.8, 2.6 - 1.6 * share)
        du, dv, n_blobs = uniform(generator, -1, 1), uniform(generator, -1, 1), int(generator.integers(1, 9))
        for blob in range(n_blobs):
            place = (u + blob * du * radius, v + blob * dv * radius, w + blob * radius)
            near = [
                1
                for x, y in free
                if (place[0] - x) * (place[0] - x) + (place[1] - y) * (place[1] - y) < free_mm * free_mm
            ]
            if not near:
                vessels.append(("vessel", place, (radius, radius, 2 * radius + 1), 0.3))
            radius *= 0.95
    return vessels


def draw_in_lung(generator: np.random.Generator, side: int, size: float, reach: float) -> tuple[float, float, float]:
    """A place (u, v) in the lung of this side, and how far from its middle as a share of the squared radius."""
    while True:
        x, y = uniform(generator, -1, 1), uniform(generator, -1, 1)
        u, v = side * (_LUNG_U + x * _LUNG_RADII[0]), y * _LUNG_RADII[1] - 4
        to_heart = ((u - _HEART_U) * (u - _HEART_U) + (v - _HEART_V) * (v - _HEART_V)) / (64 * 64)
        # not where heart and spine cover the lung's inner border
        if x * x + y * y < reach and x > -0.5 and to_heart > 1:
            return u * size, v * size, x * x + y * y


def paint_thorax(
    canvas: Canvas, organs: list[Organ], lesions: list[Lesion], recipe: LungxRecipe, generator: np.random.Generator
) -> None:
    """Paints organs, texture, nodules and noise, in Hounsfield units, on a canvas of air."""
    air = recipe.tissues_hu["air"]
    canvas.pixels[...] = np.float32(0)
    for tissue, centre, radii, edge in organs:
        fill_ellipsoid(canvas, centre, radii, recipe.tissues_hu[tissue] - air, edge)
    add_texture(canvas, generator, recipe.texture_cell_mm, recipe.texture)
    for lesion in lesions:
        add_lesion(canvas, lesion, recipe.lesion_hu, recipe.lesion)
    rough = noise(generator, canvas.pixels.shape)
    rough *= np.float32(recipe.noise_hu)
    canvas.pixels[...] += rough
    canvas.pixels[...] += np.float32(air)
