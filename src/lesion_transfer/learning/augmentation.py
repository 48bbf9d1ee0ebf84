"""One affine map a sample: drawn by one function, applied by another, so that a drawing can be replayed.

Conventions, x to the right and y down, offsets in pixels from the centre of the crop. The content of a patch is flipped
(x -> -x), stretched (x -> stretch * x), rotated anticlockwise as seen, and shifted (right and down positive):

    [x']   [ cos a  sin a] [+-stretch  0] [x]   [shift_x]
    [y'] = [-sin a  cos a] [    0      1] [y] + [shift_y]

Sampling needs the inverse, which is what `apply_affine` hands to `affine_grid`: for each output pixel its source.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lesion_transfer.learning.options import AugmentationOptions


@dataclass(frozen=True)
class AffineParameters:
    """What was drawn for B samples; five float64 or bool tensors (B,)."""

    angle_degrees: Tensor
    flip: Tensor
    shift_x_px: Tensor
    shift_y_px: Tensor
    stretch: Tensor

    def __len__(self) -> int:
        return len(self.angle_degrees)

    def __getitem__(self, rows: slice | Tensor) -> "AffineParameters":
        """The parameters of some of the samples."""
        return AffineParameters(
            self.angle_degrees[rows], self.flip[rows], self.shift_x_px[rows], self.shift_y_px[rows], self.stretch[rows]
        )


def sample_affine(n: int, options: AugmentationOptions, generator: torch.Generator) -> AffineParameters:
    """Parameters of n maps, uniform in the ranges of `options` (thesis 5.2.1; stretch and vertical shift: Song 2018).

    Five numbers a sample are drawn whatever the options are: switching one off leaves the others as they were.
    """
    uniform = torch.rand(n, 5, generator=generator, dtype=torch.float64)
    return AffineParameters(
        angle_degrees=(2 * uniform[:, 0] - 1) * options.rotation_degrees,
        flip=uniform[:, 1] < options.horizontal_flip_probability,
        shift_x_px=_whole_shift(uniform[:, 2], options.horizontal_shift_px),
        shift_y_px=_whole_shift(uniform[:, 3], options.vertical_shift_px),
        stretch=options.stretch_min + uniform[:, 4] * (options.stretch_max - options.stretch_min),
    )


def centre_crop(images: Tensor, size: int) -> Tensor:
    """The central (B, C, size, size) of images (B, C, H, W), a view; an odd remainder leaves more below."""
    top, left = _crop_start(images, size)
    return images[:, :, top : top + size, left : left + size]


@torch.no_grad()
def apply_affine(images: Tensor, parameters: AffineParameters, size: int) -> Tensor:
    """Images (B, C, H, W) with their margin -> (B, C, size, size), in one bilinear interpolation, outside the graph.

    A sample whose map is the identity is exactly its centre crop. Beyond the source (see
    AugmentationOptions.required_margin) the edge pixel is repeated. On the device and in the floating-point type of
    `images`.
    """
    crop = centre_crop(images, size)
    theta = _sampling_matrices(parameters, images, size).to(images, non_blocking=True)
    grid = functional.affine_grid(theta, [len(images), images.shape[1], size, size], align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # the grid's coordinates are rounded to some millionths of a pixel: an identity would not be quite one
    still = _is_identity(parameters).to(images.device, non_blocking=True)
    return torch.where(still[:, None, None, None], crop, moved)


def _whole_shift(uniform: Tensor, limit: int) -> Tensor:
    """Uniform numbers in [0, 1) -> whole pixels in -limit .. limit, equally likely."""
    return torch.floor(uniform * (2 * limit + 1)) - limit


def _crop_start(images: Tensor, size: int) -> tuple[int, int]:
    rows, columns = images.shape[-2:]
    if rows < size or columns < size:
        raise ValueError(f"An image of {rows} x {columns} pixels holds no patch of {size} x {size}.")
    return (rows - size) // 2, (columns - size) // 2


def _is_identity(parameters: AffineParameters) -> Tensor:
    """(B,) bool: samples whose map changes nothing."""
    changed = (parameters.angle_degrees != 0) | parameters.flip | (parameters.stretch != 1)
    return ~(changed | (parameters.shift_x_px != 0) | (parameters.shift_y_px != 0))


def _sampling_matrices(parameters: AffineParameters, images: Tensor, size: int) -> Tensor:
    """(B, 2, 3) float64 maps from output to source in affine_grid's units: the outer edges of an image are -1 and 1."""
    angle = torch.deg2rad(parameters.angle_degrees)
    cos, sin = torch.cos(angle), torch.sin(angle)
    horizontal = torch.where(parameters.flip, -1.0, 1.0) / parameters.stretch
    # source offset = inverse of the map above, of (output offset - shift)
    linear = torch.stack(
        [torch.stack([horizontal * cos, -horizontal * sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1
    )  # (B, 2, 2)
    shift = torch.stack([parameters.shift_x_px, parameters.shift_y_px], dim=1)[:, :, None]  # (B, 2, 1)
    top, left = _crop_start(images, size)
    rows, columns = images.shape[-2:]
    # the crop's centre, seen from the source's: half a pixel up and left where rows - size is odd
    centre = torch.tensor([left + (size - columns) / 2, top + (size - rows) / 2], dtype=torch.float64)[:, None]
    extent = torch.tensor([columns, rows], dtype=torch.float64)[:, None]
    return torch.cat([linear * size / extent, 2 * (centre - linear @ shift) / extent], dim=2)
