"""Dots sent through the augmentation: they must land where the drawn parameters say, the same in every channel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lesion_transfer.learning.augmentation import AffineParameters, apply_affine, sample_affine
from lesion_transfer.learning.options import AugmentationOptions

N_DOTS = 64
_OFF_CENTRE = 0.25
_FAINT = 0.02


@dataclass(frozen=True)
class AugmentedDots:
    """Of n samples, what was drawn, where their dots belong, and where they landed; pixels from the patch's centre.

    parameters: the n maps. expected_xy: (n, 2) float64. landed_xy: (n, channels, 2) float64.
    """

    parameters: AffineParameters
    expected_xy: Tensor
    landed_xy: Tensor

    @property
    def error_px(self) -> float:
        """The largest distance of a dot from where it belongs."""
        return float((self.landed_xy - self.expected_xy[:, None]).norm(dim=2).max())

    @property
    def between_channels_px(self) -> float:
        """The largest distance between the dots of two channels of one sample."""
        apart = (self.landed_xy[:, :, None] - self.landed_xy[:, None]).norm(dim=3)
        return float(apart.max())


def augmented_dots(
    n_channels: int, size: int, margin: int, options: AugmentationOptions, generator: torch.Generator, n: int = N_DOTS
) -> AugmentedDots:
    """n patches with a dot each through `apply_affine`, as a training's patches go.

    size: side of the patch; margin: pixels beyond it on every side, as the cohort stores them. The first dot and every
    second one lie at the lesion, in the centre; the others up to a quarter of the side from it. The channels of a
    patch have dots of other widths and contrasts, as sequences have.
    """
    parameters = sample_affine(n, options, generator)
    place_xy = (2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 1) * _OFF_CENTRE * size
    place_xy[::2] = 0
    moved = apply_affine(_dots(place_xy, n_channels, size + 2 * margin, size), parameters, size)
    return AugmentedDots(parameters, moved_points(place_xy, parameters), dot_centroids(moved))


def moved_points(points_xy: Tensor, parameters: AffineParameters) -> Tensor:
    """Where points (n, 2) of the patches land: flipped, stretched, rotated and shifted, one step after the other.

    Written from the drawn parameters' meaning, forwards; `apply_affine` samples backwards through one inverse matrix.
    """
    x, y = points_xy.unbind(dim=1)
    x = torch.where(parameters.flip, -x, x) * parameters.stretch
    turned = torch.polar(torch.ones_like(x), torch.deg2rad(parameters.angle_degrees)) * torch.complex(x, -y)
    return torch.stack([turned.real + parameters.shift_x_px, -turned.imag + parameters.shift_y_px], dim=1)


def dot_centroids(images: Tensor) -> Tensor:
    """(B, C, 2) float64: x and y of the one dot in each image (B, C, H, W), from its centre; the ground is 0."""
    weight = images.double() / images.double().amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    weight = torch.where(weight > _FAINT, weight, 0.0)
    total = weight.sum(dim=(2, 3))
    y, x = (torch.arange(length, dtype=torch.float64) - (length - 1) / 2 for length in images.shape[2:])
    return torch.stack([(weight.sum(dim=2) * x).sum(2) / total, (weight.sum(dim=3) * y).sum(2) / total], dim=2)


def _dots(place_xy: Tensor, n_channels: int, side: int, size: int) -> Tensor:
    """(n, channels, side, side) float32: Gaussians at place_xy (n, 2) from the centre."""
    steps = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    channel = torch.arange(n_channels, dtype=torch.float64)
    sigma = (max(1.0, size / 40) + 0.5 * (channel % 3))[None, :, None]
    across, down = (torch.exp(-0.5 * ((steps - place[:, None, None]) / sigma) ** 2) for place in place_xy.unbind(1))
    return (down[..., :, None] * across[..., None, :] * (1 + channel)[:, None, None]).float()
