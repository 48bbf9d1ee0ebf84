"""A cohort proved against its source: every slice is cropped once more, as it is and with a dot at the lesion."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.cohorts.cohort import Cohort, CohortError
from lesion_transfer.cohorts.crop import CropError, crop_patch
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.cohorts.overview import Overview, overview
from lesion_transfer.cohorts.samples import Sample, samples_of
from lesion_transfer.datasets.finding import Exclusion, Finding, SequenceSlice
from lesion_transfer.datasets.source_image import OpenedImage, SourceImages

OFF_CENTRE = 0.25
"""Where the second dot lies: this share of the patch's side from the lesion, across and down."""
_SMALLEST_SIGMA_PX = 0.7
"""Of a dot in its source: the centroid of a sampled Gaussian this narrow still is where it was drawn."""
_FAINT = 0.02


@dataclass(frozen=True)
class Examination:
    """What was found, a row a sample and channel.

    table: row (of the cohort), finding_key, sequence, channel, size_px ("rows x columns"), kind (of series), known_by
        (how the dot was placed), centre_x_px and centre_y_px (where the dot at the lesion landed, from the centre of
        the patch), centre_error_px, off_centre_error_px (of the second dot, which a flip, a turn or a wrong scale
        moves; nan: not measurable), distance_mm (of the lesion from the slice, by the same opinion as the dot's place)
        and recorded_distance_mm (by the reader; both nan where unknown), stored_difference (of the patch from the
        stored one, largest, display values), as_filed (whether the reader's pixels are the file's).
    dots: (n, channels, rows, columns) float32: the patches of the dot at the lesion, its ground 0 and its top 1.
    overviews: by row of the cohort, the slice of its first channel with the patch's outline.
    """

    table: pd.DataFrame
    dots: np.ndarray
    overviews: dict[int, Overview]


def examine(
    cohort: Cohort,
    findings: Iterable[Finding | Exclusion],
    options: CohortOptions,
    images: SourceImages,
    progress: Callable[[int], None] | None = None,
) -> Examination:
    """Crops every sample of the findings again through the code that made the cohort, and measures where dots land.

    findings: read from the source anew. Raises CohortError when they are not those of the cohort.
    """
    keys = zip(cohort.findings["finding_key"], cohort.findings.get("sequence", [""] * len(cohort.images)), strict=True)
    row_of = {key: row for row, key in enumerate(keys)}
    rows: list[dict[str, Any]] = []
    dots = np.zeros(cohort.images.shape, dtype=np.float32)
    overviews: dict[int, Overview] = {}
    for count, finding in enumerate(findings, start=1):
        for sample in samples_of(finding, options) if isinstance(finding, Finding) else ():
            row = row_of.pop((finding.finding_key, sample.sequence), None)
            if row is not None and isinstance(sample, Sample):
                rows += _examine(sample, row, cohort, options, images, dots[row])
                first = next(iter(sample.slices.values()))
                step_px = _source_pixels_a_patch_pixel(first, options)
                overviews[row] = overview(first, step_px, options.patch_pixels)
        if progress is not None:
            progress(count)
    if row_of:
        raise CohortError(
            f"{cohort.folder}: finding {next(iter(row_of))[0]} is no longer in the source; build the cohort again."
        )
    return Examination(pd.DataFrame(rows).sort_values("row", kind="stable", ignore_index=True), dots, overviews)


def _examine(
    sample: Sample, row: int, cohort: Cohort, options: CohortOptions, images: SourceImages, dots: np.ndarray
) -> Iterable[dict[str, Any]]:
    """The rows of the table of one sample; its dots (channels, rows, columns) are filled in."""
    for number, (channel, source) in enumerate(sample.slices.items()):
        place = images.place_of(sample.finding, source)
        opened = images.opened(source)
        step_px = _source_pixels_a_patch_pixel(source, options)
        offset, away_xy = _off_centre(source, place.centre_xy, step_px, options)
        patch = _dot_patch(opened, place.centre_xy, step_px, options)
        away = _dot_patch(opened, away_xy, step_px, options)
        landed = dot_centroid(patch) if patch is not None else (np.nan, np.nan)
        away_landed = dot_centroid(away) if away is not None else (np.nan, np.nan)
        if patch is not None:
            dots[number] = patch
        yield {
            "row": row,
            "finding_key": sample.finding.finding_key,
            "sequence": sample.sequence,
            "channel": channel,
            "size_px": " x ".join(str(length) for length in source.pixels.shape),
            "kind": opened.kind,
            "known_by": place.known_by,
            "centre_x_px": landed[0],
            "centre_y_px": landed[1],
            "centre_error_px": float(np.hypot(*landed)),
            "off_centre_error_px": float(np.hypot(away_landed[0] - offset[0], away_landed[1] - offset[1])),
            "distance_mm": place.distance_mm,
            "recorded_distance_mm": np.nan if source.distance_mm is None else source.distance_mm,
            "stored_difference": float(np.abs(crop_patch(source, options)[0] - cohort.images[row, number]).max()),
            "as_filed": opened.is_as_filed,
        }


def dot_centroid(patch: np.ndarray) -> tuple[float, float]:
    """(x, y) of a dot of any contrast on an even ground, from the centre of the patch, pixels; nan without a dot."""
    signal = patch - np.median(patch)
    top = signal.flat[np.argmax(np.abs(signal))]
    if top == 0:
        return np.nan, np.nan
    weight = np.where(signal / top > _FAINT, signal / top, 0.0)
    rows, columns = (np.arange(length) - (length - 1) / 2 for length in patch.shape)
    total = weight.sum()
    return float((weight.sum(axis=0) * columns).sum() / total), float((weight.sum(axis=1) * rows).sum() / total)


def _dot_patch(
    opened: OpenedImage, centre_xy: tuple[float, float], step_px: tuple[float, float], options: CohortOptions
) -> np.ndarray | None:
    """The patch (rows, columns) of the slice with a dot at centre_xy, ground 0 and top 1; None: cannot be drawn."""
    sigma = (max(_SMALLEST_SIGMA_PX, step_px[0]), max(_SMALLEST_SIGMA_PX, step_px[1]))
    drawn = opened.with_dot(centre_xy, sigma)
    if drawn is None:
        return None
    try:
        patch = crop_patch(drawn, options)[0].astype(np.float64)
    except CropError:
        return None
    signal = patch - np.median(patch)
    top = signal.flat[np.argmax(np.abs(signal))]
    return signal / top if top else signal


def _source_pixels_a_patch_pixel(source: SequenceSlice, options: CohortOptions) -> tuple[float, float]:
    """(across, down): what the options promise of the crop, worked out here without asking it."""
    rows, columns = source.pixels.shape
    if options.crop_fraction is not None:
        height, width = options.crop_fraction
        return width * columns / options.patch_pixels, height * rows / options.patch_pixels
    spacing = source.spacing_mm
    if spacing is None or options.crop_mm is None:
        return np.nan, np.nan
    return options.crop_mm / options.patch_pixels / spacing[1], options.crop_mm / options.patch_pixels / spacing[0]


def _off_centre(
    source: SequenceSlice, centre_xy: tuple[float, float], step_px: tuple[float, float], options: CohortOptions
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the second dot belongs: (x, y) in patch pixels from its centre, and (column, row) in the slice.

    Farther across than down, so that a transposed patch shows, and towards the middle of the image.
    """
    lengths = source.pixels.shape[::-1]
    signs = [1 if centre <= (length - 1) / 2 else -1 for centre, length in zip(centre_xy, lengths, strict=True)]
    offset = (signs[0] * OFF_CENTRE * options.patch_pixels, signs[1] * OFF_CENTRE * options.patch_pixels / 2)
    return offset, (centre_xy[0] + offset[0] * step_px[0], centre_xy[1] + offset[1] * step_px[1])
