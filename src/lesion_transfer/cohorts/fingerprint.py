"""What a cohort is made of, in numbers that can be compared from one data set to the next."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.cohorts.cohort import Cohort

_PERCENTILES = (1, 50, 99)
_ROWS_AT_ONCE = 256
_FREQUENT = 6


def fingerprint(cohort: Cohort, excluded: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """Labels, zones, exclusions, and by channel spacing, sizes, intensity, kinds of series and distances, for JSON.

    excluded: excluded.csv. table: of the cohort's Examination. Intensities are display values of the final patches,
    from a histogram of 256 bins; counts are of findings, `spacing_mm` and `size_px` are rows x columns of the source.
    """
    findings = cohort.findings.drop_duplicates("finding_key")  # mode separate has an image a sequence
    labels = findings["label"].map({True: "positive", False: "negative"}).fillna("unknown")
    return {
        "n_images": len(cohort.findings),
        "n_findings": len(findings),
        "n_patients": int(findings["patient_id"].nunique()),
        "findings_per_patient": _counts(findings.groupby("patient_id").size().astype(str)),
        "labels": _counts(labels),
        "zones": _counts(findings["zone"].replace("", "not given")),
        "n_in_groups_of_duplicates": int((findings["group"] != "").sum()),
        "excluded": _counts(excluded["reason"]),
        "concerns": _concerns(cohort.findings),
        "channels": {
            channel: _channel(cohort, number, channel, table) for number, channel in enumerate(cohort.channels)
        },
    }


def _channel(cohort: Cohort, number: int, channel: str, table: pd.DataFrame) -> dict[str, Any]:
    findings, own = cohort.findings, table[table["channel"] == channel]
    rows_mm, columns_mm = (findings.get(f"{channel}_spacing_{axis}_mm") for axis in ("row", "column"))
    padded, distance = findings.get(f"{channel}_padded_share"), findings.get(f"{channel}_distance_mm")
    return {
        "series_kinds": _counts(own["kind"]),
        "size_px": _sizes(own["size_px"]),
        "spacing_mm": {} if rows_mm is None or columns_mm is None else _counts(_spacings(rows_mm, columns_mm)),
        "distance_mm": _range(distance),
        "intensity": _intensity(cohort.patches[:, number]),
        "n_padded": 0 if padded is None else int((padded > 0).sum()),
        "padded_share_max": 0.0 if padded is None else round(float(padded.max()), 4),
    }


def _concerns(findings: pd.DataFrame) -> dict[str, list[str]]:
    """The findings that are used though something looks wrong with them, by what it is (column concern)."""
    if "concern" not in findings:
        return {}
    named = findings[findings["concern"] != ""]
    return {str(concern): list(rows["finding_key"].unique()) for concern, rows in named.groupby("concern")}


def _spacings(rows_mm: pd.Series, columns_mm: pd.Series) -> list[str]:
    return [
        "unknown" if np.isnan(row) or np.isnan(column) else f"{row:.3g} x {column:.3g}"
        for row, column in zip(rows_mm, columns_mm, strict=True)
    ]


def _sizes(texts: pd.Series) -> dict[str, Any]:
    """How many different sizes, the range of rows and columns, and the most frequent sizes with their counts."""
    rows, columns = (texts.str.split(" x ").str[axis].astype(np.float64) for axis in (0, 1))
    counts = _counts(texts)
    return {
        "n_kinds": len(counts),
        "rows": [int(rows.min()), int(rows.max())],
        "columns": [int(columns.min()), int(columns.max())],
        "most_frequent": dict(list(counts.items())[:_FREQUENT]),
    }


def _range(values: pd.Series | None) -> dict[str, float | int]:
    """n, median and max of the known values; empty where none is known."""
    known = np.zeros(0) if values is None else values.dropna().to_numpy(dtype=np.float64)
    if not len(known):
        return {}
    return {"n": len(known), "median": round(float(np.median(known)), 3), "max": round(float(known.max()), 3)}


def _intensity(patches: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation and percentiles of all pixels (n, rows, columns), read piece by piece."""
    total = squares = 0.0
    histogram = np.zeros(256, dtype=np.int64)
    for start in range(0, len(patches), _ROWS_AT_ONCE):
        pixels = np.asarray(patches[start : start + _ROWS_AT_ONCE], dtype=np.float64)
        total, squares = total + pixels.sum(), squares + (pixels**2).sum()
        histogram += np.bincount(np.clip(np.rint(pixels), 0, 255).astype(np.int64).ravel(), minlength=256)
    mean = total / histogram.sum()
    below = np.cumsum(histogram) / histogram.sum()
    percentiles = {f"p{share:02d}": float(np.searchsorted(below, share / 100)) for share in _PERCENTILES}
    std = float(np.sqrt(max(squares / histogram.sum() - mean**2, 0.0)))
    return {"mean": round(float(mean), 2), "std": round(std, 2), **percentiles}


def _counts(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, the most frequent first, then by name."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))
