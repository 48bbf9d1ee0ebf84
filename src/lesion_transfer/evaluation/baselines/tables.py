"""Baselines without a pixel: what the published tables alone tell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lesion_transfer.evaluation.baselines.baseline import Baseline, logistic

POSITION = ("position_x_lps_mm", "position_y_lps_mm", "position_z_lps_mm")
COLLECTION = "finding number and count say how the data were collected: a leak, shown as a warning"


def image_free_baselines(findings: pd.DataFrame, in_table: pd.DataFrame | None = None) -> list[Baseline]:
    """zone, zone_position, zone_position_count_number.

    findings: patient_id, finding_id and, where known, zone and POSITION (LPS, mm). in_table: patient_id and finding_id
    of every finding of the table, those without an image included; None: `findings` is the table.
    """
    zone, no_zone = _zone(findings)
    position, no_position = _position(findings)
    collection = _collection(findings, findings if in_table is None else in_table)
    return [
        _baseline("zone", "logistic regression on the zone", [zone], [no_zone]),
        _baseline(
            "zone_position",
            "logistic regression on zone and position (LPS, mm)",
            [zone, position],
            [no_zone, no_position],
        ),
        _baseline(
            "zone_position_count_number",
            f"logistic regression on zone, position, the finding's number and the patient's count; {COLLECTION}",
            [zone, position, collection],
            [no_zone, no_position],
            leak=True,
        ),
    ]


def _baseline(
    name: str, description: str, parts: Sequence[pd.DataFrame], reasons: Sequence[str | None], leak: bool = False
) -> Baseline:
    missing = "; ".join(reason for reason in reasons if reason)
    features = None if missing else pd.concat(parts, axis=1)
    return Baseline(name, description, features, logistic, leak, missing or None)


def _zone(findings: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    if "zone" not in findings or not (findings["zone"].astype(str) != "").any():
        return pd.DataFrame(index=findings.index), "no finding has a zone"
    return pd.DataFrame({"zone": findings["zone"].astype(str)}), None


def _position(findings: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    if any(column not in findings for column in POSITION):
        return pd.DataFrame(index=findings.index), "no finding has a position"
    position = findings[list(POSITION)].astype(np.float64)
    lacking = int(position.isna().any(axis=1).sum())
    if lacking:
        return position, f"{lacking} of {len(findings)} findings have no position"
    return position, None


def _collection(findings: pd.DataFrame, in_table: pd.DataFrame) -> pd.DataFrame:
    """The finding id as a number (else its place among the patient's), and the patient's number of findings."""
    number = pd.to_numeric(findings["finding_id"], errors="coerce")
    if number.isna().any():
        number = findings.groupby("patient_id").cumcount() + 1
    count = findings["patient_id"].map(in_table["patient_id"].value_counts())
    return pd.DataFrame({"number": number.astype(np.float64), "count": count.astype(np.float64)})
