"""One slice -> one patch around the lesion on the cohort's grid, in a single interpolation."""

import math

import numpy as np
import SimpleITK
from scipy.ndimage import gaussian_filter

from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets.finding import SequenceSlice
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.errors import LesionError

DISPLAY_RANGE = (0.0, 255.0)
LARGEST_WINDOW_PIXELS = 1 << 26
"""A patch that needs more source pixels than this comes of a wrong spacing, and would fill the memory."""
_SPLINE_REACH = 16
"""Source pixels kept beyond the grid: the spline's filter decays by 0.27 a pixel, 0.27**16 is below 1e-9."""
_GAUSSIAN_TRUNCATE = 4.0


class CropError(LesionError):
    """This slice cannot be cropped: the message is a sentence."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def crop_patch(slice: SequenceSlice, options: CohortOptions) -> tuple[np.ndarray, float]:
    """The tissue around the lesion, (rows, columns) float32 in [0, 255], and the padded share of the final patch.

    The grid has patch_pixels + 2 * margin_pixels pixels a side; its central pixel's centre lies exactly on centre_xy,
    its pitch is crop_mm / patch_pixels (mm) or crop_fraction * image size / patch_pixels (source pixels). THESIS 3.

    The interpolation is SimpleITK's sitkBSpline (cubic, interpolating: at a source pixel's centre it returns that
    pixel), the bicubic of its interpolators with a continuous second derivative: ITK has no Keys kernel, and the
    spline blurs less. Where the pitch is coarser than the source pixel, a Gaussian of sigma (factor - 1) / 2 source
    pixels comes before it, axis by axis, as in scikit-image's resize. Outside the source its edge is repeated;
    the padded share counts pixels of the central patch_pixels**2 whose centre lies outside the source's area.

    Raises CropError where the spacing or the lesion's position makes a crop impossible.
    """
    pixels = np.asarray(slice.pixels, dtype=np.float64)
    if pixels.ndim != 2 or pixels.size == 0 or not np.isfinite(pixels).all():
        raise CropError(
            Reason.BAD_PIXELS,
            f"{slice.file}: the slice has shape {pixels.shape} or values that are not finite; "
            "a slice is a 2-D array of finite display values, so look at the file with `lesion view`.",
        )
    centre = _centre_row_column(slice, pixels.shape)
    spacing = slice.spacing_mm or (1.0, 1.0)
    pitch = _pitch(slice, pixels.shape, options)
    half = options.patch_pixels // 2 + options.margin_pixels
    factors = [step / size for step, size in zip(pitch, spacing, strict=True)]
    sigmas = [max(0.0, (factor - 1.0) / 2.0) for factor in factors]

    spans = [_span(centre[axis], half * factors[axis], sigmas[axis]) for axis in (0, 1)]
    if math.prod(last - first for first, last in spans) > LARGEST_WINDOW_PIXELS:
        raise CropError(
            Reason.BAD_SPACING,
            f"{slice.file}: at a spacing of {slice.spacing_mm} mm the patch would need "
            f"{spans[0][1] - spans[0][0]} x {spans[1][1] - spans[1][0]} source pixels; check the spacing.",
        )
    # Clipped indices repeat the edge: one step pads the source and keeps the part of it that the patch can see.
    rows, columns = (np.clip(np.arange(*spans[axis]), 0, pixels.shape[axis] - 1) for axis in (0, 1))
    window = pixels[np.ix_(rows, columns)]
    if max(sigmas) > 0:
        window = gaussian_filter(window, sigmas, mode="nearest", truncate=_GAUSSIAN_TRUNCATE)

    # Physical space with the lesion at the origin; SimpleITK orders (x, y), arrays (row, column).
    image = SimpleITK.GetImageFromArray(window)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin([(spans[axis][0] - centre[axis]) * spacing[axis] for axis in (1, 0)])
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetInterpolator(SimpleITK.sitkBSpline)
    resampler.SetSize([2 * half + 1] * 2)
    resampler.SetOutputSpacing(pitch[::-1])
    resampler.SetOutputOrigin([-half * pitch[1], -half * pitch[0]])
    resampler.SetOutputPixelType(SimpleITK.sitkFloat64)
    patch = SimpleITK.GetArrayFromImage(resampler.Execute(image))

    inside = [
        _inside(centre[axis], options.patch_pixels // 2, factors[axis], pixels.shape[axis]).mean() for axis in (0, 1)
    ]
    # A cubic overshoots at sharp edges; display values end at 0 and 255.
    return np.clip(patch, *DISPLAY_RANGE).astype(np.float32), float(1.0 - inside[0] * inside[1])


def _centre_row_column(slice: SequenceSlice, shape: tuple[int, ...]) -> tuple[float, float]:
    """The lesion's (row, column), once it is known to lie on the image (pixel edges half a pixel out)."""
    column, row = (float(value) for value in slice.centre_xy)
    if not (-0.5 <= row <= shape[0] - 0.5 and -0.5 <= column <= shape[1] - 0.5):
        raise CropError(
            Reason.OUTSIDE_IMAGE,
            f"{slice.file}: the lesion at column {column:.1f}, row {row:.1f} lies outside the image of "
            f"{shape[1]} columns and {shape[0]} rows; check its position in the table.",
        )
    return row, column


def _pitch(slice: SequenceSlice, shape: tuple[int, ...], options: CohortOptions) -> tuple[float, float]:
    """The grid's step (row, column), in mm; in source pixels where the spacing is unknown."""
    spacing = slice.spacing_mm
    if spacing is not None and not all(math.isfinite(size) and size > 0 for size in spacing):
        raise CropError(
            Reason.BAD_SPACING, f"{slice.file}: a pixel spacing of {spacing} mm is impossible; correct or remove it."
        )
    if options.crop_fraction is not None:
        height, width = options.crop_fraction
        unit = spacing or (1.0, 1.0)
        return (
            height * shape[0] * unit[0] / options.patch_pixels,
            width * shape[1] * unit[1] / options.patch_pixels,
        )
    if spacing is None or options.crop_mm is None:
        raise CropError(
            Reason.NO_SPACING,
            f"{slice.file}: the pixel spacing is unknown, so crop_mm cannot be used; "
            "give this cohort crop_fraction instead of crop_mm.",
        )
    return (options.crop_mm / options.patch_pixels,) * 2


def _span(centre: float, reach: float, sigma: float) -> tuple[int, int]:
    """First and one past the last source index that a grid of this half width (source pixels) can see."""
    beyond = _SPLINE_REACH + math.ceil(_GAUSSIAN_TRUNCATE * sigma)
    return math.floor(centre - reach) - beyond, math.ceil(centre + reach) + beyond + 1


def _inside(centre: float, half: int, factor: float, length: int) -> np.ndarray:
    """(2 * half + 1,) bool: which grid positions of one axis lie on the source's area."""
    position = centre + np.arange(-half, half + 1) * factor
    return (position >= -0.5) & (position <= length - 0.5)
