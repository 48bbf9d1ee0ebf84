"""The pelvis of a male patient around the prostate, in the frame of the slices: u left, v back, w up, mm."""

import numpy as np

from lesion_transfer.datasets.phantom.canvas import Canvas, Triple, add_texture, fill_ellipsoid
from lesion_transfer.datasets.phantom.draws import noise, shuffled, uniform
from lesion_transfer.datasets.phantom.lesion import Lesion, LesionOptions, add_lesion
from lesion_transfer.datasets.phantom.recipes import ImageOptions

Organ = tuple[str, Triple, Triple, float]
"""Tissue, centre (u, v, w), radii, edge (share of the radius over which it blends)."""

_LONG = 400.0
"""Radius, mm, of what runs through all slices."""

SITES: dict[str, list[Triple]] = {
    "PZ": [(-16, 13, 0), (16, 13, 0)],
    "TZ": [(-11, -5, 0), (11, -5, 0)],
    "AS": [(0, -15, 0)],
}
"""Where lesions grow, in mm from the prostate's centre, by the zone that the table names."""

_APART_MM = 24.0


def draw_organs(generator: np.random.Generator, prostate_scale: float) -> list[Organ]:
    """The organs of one patient, to be painted in this order, the prostate's centre at the origin."""
    s, u = prostate_scale, uniform(generator, -3, 3)
    bladder_w = uniform(generator, 26, 36)
    organs: list[Organ] = [
        ("fat", (0, 10, 0), (178, 108, _LONG), 0.02),
        ("muscle", (-58, 78, 0), (62, 34, _LONG), 0.08),
        ("muscle", (58, 78, 0), (62, 34, _LONG), 0.08),
        ("muscle", (0, -62, 0), (64, 11, _LONG), 0.15),
    ]
    for side in (-1, 1):
        organs += [
            ("bone", (side * 92, -8, 0), (27, 27, _LONG), 0.06),
            ("bone", (side * 66, 22, 0), (11, 26, _LONG), 0.1),
            ("muscle", (side * (46 + u * side / 3), 4, 0), (9, 40, _LONG), 0.12),
            ("bone", (side * 40, -44, 0), (24, 9, _LONG), 0.12),
            ("vessel", (side * 70, -54 + u, 0), (6, 6, _LONG), 0.15),
            ("vessel", (side * 60, -47, 0), (5, 6, _LONG), 0.15),
        ]
    return [
        *organs,
        ("bladder", (u, -22, bladder_w), (30, 22, 20), 0.08),
        ("wall", (u / 2, 38 * s, 0), (18, 15, _LONG), 0.1),
        ("lumen", (u / 2, 38 * s, 0), (10, 7, _LONG), 0.15),
        ("muscle", (0, 0, -34), (20, 18, 14), 0.12),
        ("stroma", (0, 0, 0), (33 * s, 27 * s, 31 * s), 0.06),
        ("pz", (0, 0, 0), (31 * s, 25 * s, 30 * s), 0.07),
        ("tz", (0, -4 * s, 0), (23 * s, 17 * s, 25 * s), 0.1),
        ("stroma", (0, -19 * s, 0), (13 * s, 5 * s, 20 * s), 0.25),
    ]


def draw_sites(generator: np.random.Generator, n: int, prostate_scale: float) -> list[tuple[str, Triple]]:
    """n zones and places (u, v; w is 0) of lesions that do not touch each other."""
    while True:
        chosen: list[tuple[str, Triple]] = []
        sites = [(zone, site) for zone, places in SITES.items() for site in places]
        for zone, site in shuffled(generator, sites):
            u, v = (x * prostate_scale + uniform(generator, -2.5, 2.5) for x in site[:2])
            offsets = [(at[0] - u, at[1] - v) for _, at in chosen]
            apart = all(du * du + dv * dv > _APART_MM * _APART_MM for du, dv in offsets)
            if apart and len(chosen) < n:
                chosen.append((zone, (u, v, 0.0)))
        if len(chosen) == n:
            return chosen


def paint_pelvis(
    canvas: Canvas,
    organs: list[Organ],
    lesions: list[Lesion],
    image: ImageOptions,
    lesion_options: LesionOptions,
    texture_cell_mm: float,
    generator: np.random.Generator,
) -> None:
    """Paints organs, texture, lesions and noise on a canvas of air."""
    canvas.pixels[...] = np.float32(image.tissues["air"])
    for tissue, centre, radii, edge in organs:
        fill_ellipsoid(canvas, centre, radii, image.tissues[tissue], edge)
    add_texture(canvas, generator, texture_cell_mm, image.texture)
    for lesion in lesions:
        add_lesion(canvas, lesion, image.lesion, lesion_options)
    rough = noise(generator, canvas.pixels.shape)
    rough *= np.float32(image.noise)
    canvas.pixels[...] += rough
