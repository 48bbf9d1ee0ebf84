"""A volume to paint on: ellipsoids of tissue, smooth random texture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Triple = tuple[float, float, float]
"""(u, v, w): along the rows (to the next column), down the columns (to the next row), along the slice normal."""


@dataclass(frozen=True)
class Canvas:
    """pixels: float32 (slices, rows, columns); u, v, w: the coordinates of columns, rows and slices, float32, rising.

    The unit of u, v, w is the painter's: mm where the data set knows mm, patch pixels for plain images.
    """

    pixels: np.ndarray
    u: np.ndarray
    v: np.ndarray
    w: np.ndarray

    def window(self, centre: Triple, reach: Triple) -> "Canvas | None":
        """The part within `reach` of `centre` along each axis, a view on the same pixels; None where it is empty."""
        spans = []
        for axis, middle, half in zip((self.u, self.v, self.w), centre, reach, strict=True):
            first, last = np.searchsorted(axis, np.asarray([middle - half, middle + half], dtype=axis.dtype))
            if first >= last:
                return None
            spans.append(slice(int(first), int(last)))
        u, v, w = spans
        return Canvas(self.pixels[w, v, u], self.u[u], self.v[v], self.w[w])

    def radius2(self, centre: Triple, radii: Triple) -> np.ndarray:
        """Squared distance from `centre` in units of `radii`, float32 (slices, rows, columns)."""
        u, v, w = (
            ((axis - np.float32(middle)) / np.float32(radius))
            for axis, middle, radius in zip((self.u, self.v, self.w), centre, radii, strict=True)
        )
        plane = (v * v)[:, None] + (u * u)[None, :]
        return (w * w)[:, None, None] + plane[None]


def blank(u: np.ndarray, v: np.ndarray, w: np.ndarray) -> Canvas:
    """A canvas of zeros on these axes."""
    u, v, w = (np.asarray(axis, dtype=np.float32) for axis in (u, v, w))
    return Canvas(np.zeros((len(w), len(v), len(u)), dtype=np.float32), u, v, w)


def axis(start: float, step: float, n: int) -> np.ndarray:
    """n coordinates from `start`, `step` apart, float64."""
    return start + step * np.arange(n, dtype=np.float64)


def fill_ellipsoid(canvas: Canvas, centre: Triple, radii: Triple, value: float, edge: float = 0.08) -> None:
    """Paints an ellipsoid; `edge` is the share of the radius over which it blends into what was there."""
    part = canvas.window(centre, (radii[0] * (1 + edge), radii[1] * (1 + edge), radii[2] * (1 + edge)))
    if part is None:
        return
    share = part.radius2(centre, radii)
    share -= np.float32(1)
    share *= np.float32(-0.25 / edge)
    share += np.float32(0.5)
    np.minimum(share, np.float32(1), out=share)
    np.maximum(share, np.float32(0), out=share)
    share *= np.float32(value) - part.pixels
    part.pixels[...] += share


def lattice(generator: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """float32 numbers evenly spaced in [-1, 1], one a lattice point, in random order: their mean is exactly 0."""
    n = shape[0] * shape[1] * shape[2]
    values = (2 * generator.permutation(n) - (n - 1)).astype(np.float32) / np.float32(max(n - 1, 1))
    return values.reshape(shape)


def sample_lattice(values: np.ndarray, coordinates: Sequence[np.ndarray]) -> np.ndarray:
    """The lattice (one axis a coordinate array, in cells; 0 is the lattice's middle), smoothly between its points.

    Returns float32 of shape (len(coordinates[0]), len(coordinates[1]), ...). One axis after the other, each with the
    weight f * f * (3 - 2 f): smooth, and nothing but products. Beyond the lattice its last value goes on.
    """
    for dimension, at in enumerate(coordinates):
        n = values.shape[dimension]
        place = np.asarray(at, dtype=np.float32) + np.float32((n - 1) / 2)
        place = np.minimum(np.maximum(place, np.float32(0)), np.float32(n - 1))
        low = np.minimum(place.astype(np.int64), max(n - 2, 0))
        f = place - low.astype(np.float32)
        weight = f * f * (np.float32(3) - np.float32(2) * f)
        weight = weight.reshape([-1 if d == dimension else 1 for d in range(values.ndim)])
        first = np.take(values, low, axis=dimension)
        values = first + (np.take(values, np.minimum(low + 1, n - 1), axis=dimension) - first) * weight
    return values


def add_texture(canvas: Canvas, generator: np.random.Generator, cell: float, share: float) -> None:
    """Multiplies the pixels by 1 + share * (smooth noise in [-1, 1] of this cell size, in the canvas's unit)."""
    scaled, shape = [], []
    for coordinates in (canvas.w, canvas.v, canvas.u):
        in_cells = coordinates / np.float32(cell)
        middle = (in_cells[0] + in_cells[-1]) / np.float32(2)
        scaled.append(in_cells - middle)
        shape.append(int(float(in_cells[-1] - in_cells[0])) + 3)
    texture = sample_lattice(lattice(generator, (shape[0], shape[1], shape[2])), scaled)
    texture *= np.float32(share)
    texture += np.float32(1)
    canvas.pixels[...] *= texture
