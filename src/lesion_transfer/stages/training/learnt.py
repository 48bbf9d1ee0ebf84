"""Whom a model learnt from, itself and through those that it descends from, by their tables of predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_transfer.evaluation.predictions import read_predictions
from lesion_transfer.learning.checkpoint import load_model
from lesion_transfer.learning.errors import CheckpointError

LEARNT = ("train", "validation")
"""Subsets of what weights are learnt from, or epochs chosen by."""


def learnt_from(folder: Path, info: Mapping[str, Any]) -> tuple[dict[Path, pd.DataFrame], list[str]]:
    """The rows of LEARNT by the folder of the model in `folder`, whose model.json is `info`, and of its ancestors.

    Ancestors are looked for beside the folder, as in `models/`, those of a replicate among the replicates. And the
    phases of those whose table, or model, is not there.
    """
    models = {str(info.get("phase")): (folder, info["model_sha256"])}
    for ancestor in info.get("lineage", ()):
        if ancestor["epochs"]:
            models[ancestor["phase"]] = _beside(folder, ancestor["phase"]), ancestor["model_sha256"]
    known, unknown = {}, []
    for phase, (place, sha256) in models.items():
        if not (place / "predictions.csv").is_file() or _sha256(place) != sha256:
            unknown.append(phase)
            continue
        table = read_predictions(place / "predictions.csv")
        known[place] = table[table["subset"].isin(LEARNT)]
    return known, unknown


def _beside(folder: Path, phase: str) -> Path:
    if folder.parent.name == "members":
        return folder.parents[2] / phase / "members" / folder.name
    return folder.parent / phase


def _sha256(folder: Path) -> str:
    """Of the model in the folder; empty where it is missing or damaged."""
    try:
        return str(load_model(folder)[1]["model_sha256"])
    except CheckpointError:
        return ""
