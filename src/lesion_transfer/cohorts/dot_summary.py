"""How far the dots landed from where they belong, over a cohort, and what of it is too far."""

from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.cohorts.examine import Examination
from lesion_transfer.cohorts.options import CheckOptions

STORED_DIFFERENCE = 0.5
"""Display values (of 255) by which a patch cropped again may differ from the stored one: other processors round so."""
_DECIMALS = 4
_SAME_MM = 0.05
"""Positions and headers are decimal texts: two libraries may differ by this much."""


def dot_summary(examination: Examination, options: CheckOptions) -> dict[str, Any]:
    """The red-dot part of reports/checks/COHORT.json; `failures` is empty where everything is in its place.

    Distances are in pixels of the patch: of the dot at the lesion from the patch's centre; of the second dot from
    where it belongs; between the channels of one patch, the largest of the dot at the lesion. p95 is the 95th
    percentile. slice_distance_mm is that of the lesion from the planes of its slices, where a position is known.
    """
    table = examination.table
    between = between_channels_px(table)
    worst = pd.concat([table["centre_error_px"], table["off_centre_error_px"]], axis=1).max(axis=1)
    unmeasured = table[table["centre_error_px"].isna() | table["off_centre_error_px"].isna()]
    too_far = table[worst > options.max_dot_error_px]
    apart = between[between > options.max_dot_error_px]
    differing = table[table["stored_difference"] > STORED_DIFFERENCE]
    misread = table[~table["as_filed"]]
    elsewhere = table[(table["distance_mm"] - table["recorded_distance_mm"]).abs() > _SAME_MM]
    return {
        "limit_px": options.max_dot_error_px,
        "n_dots": len(table),
        "n_patches": int(table["row"].nunique()),
        "placed_by": {str(name): int(n) for name, n in table["known_by"].value_counts(sort=False).items()},
        "centre_error_px": _distribution(table["centre_error_px"]),
        "off_centre_error_px": _distribution(table["off_centre_error_px"]),
        "between_channels_px": _distribution(between),
        "slice_distance_mm": _distribution(table["distance_mm"]),
        "by_channel": {
            str(channel): _distribution(rows["centre_error_px"])
            for channel, rows in table.groupby("channel", sort=False)
        },
        "stored_difference_max": round(float(table["stored_difference"].max()), _DECIMALS),
        "not_measurable": _named(unmeasured),
        "failures": {
            "dot farther from its place than limit_px": _named(too_far),
            "channels of a patch farther apart than limit_px": sorted({str(key) for key in apart.index}),
            "stored patch is not the patch cropped again": _named(differing),
            "pixels of the reader are not those of the file": _named(misread),
            "slice is not as far from the lesion as recorded": _named(elsewhere),
        },
    }


def failure_sentences(summary: dict[str, Any]) -> list[str]:
    """A sentence for each kind of failure: how many, and the first of them; empty: everything is in its place."""
    return [
        f"{what}: {len(keys)} ({', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''})"
        for what, keys in summary["failures"].items()
        if keys
    ]


def between_channels_px(table: pd.DataFrame) -> pd.Series:
    """By finding_key (of every sample with two channels or more), the largest distance between the dots of two."""
    distances: dict[str, float] = {}
    for _, rows in table.groupby("row", sort=True):
        places = rows[["centre_x_px", "centre_y_px"]].to_numpy()
        if len(places) > 1:
            apart = np.linalg.norm(places[:, None] - places[None], axis=2)
            distances[rows["finding_key"].iloc[0]] = float(apart.max())
    return pd.Series(distances, dtype=np.float64)


def _distribution(values: pd.Series) -> dict[str, float | int | None]:
    """n, median, p95 and max of the finite values; None where there are none."""
    finite = values.dropna().to_numpy(dtype=np.float64)
    if not len(finite):
        return {"n": 0, "median": None, "p95": None, "max": None}
    numbers = {"median": np.median(finite), "p95": np.percentile(finite, 95), "max": finite.max()}
    return {"n": len(finite), **{name: round(float(value), _DECIMALS) for name, value in numbers.items()}}


def _named(rows: pd.DataFrame) -> list[str]:
    """`P1/1/1 adc` of each row."""
    return [f"{key} {channel}" for key, channel in zip(rows["finding_key"], rows["channel"], strict=True)]
