"""Tool `trace`: where a finding's patches come from, where the finding stands, and which models saw it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_transfer.datasets.prostatex_ktrans import files_of_map, is_ktrans_header
from lesion_transfer.files import file_sha256, plain_cell
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError

ROLES = {"train": "trained on it", "validation": "selected on it", "test": "tested on it"}
"""What a model did with a finding of a subset; a phase of another data set saw it through its ancestors only."""
_NAMES = ("patient_id", "finding_id", "sequence", "label", "zone", "group", "image_sha256")
_CROP = ("crop_mm", "crop_fraction", "patch_pixels", "margin_pixels", "slice_rule")


def trace_finding(layout: Layout, finding_key: str) -> dict[str, Any]:
    """Everything that the project's files know of a finding, as plain values; StageError where none knows it.

    patches: a row of a cohort each, with its slices (file, hashes, series, image, position) and crop; excluded: where
    and why it has no patch; assigned: subset and fold by cohort and replicate; models: each that trained on it, was
    selected or tested on it, or descends from one that did. Needs no MLflow store.
    """
    settings = layout.settings()
    found: dict[str, Any] = {
        "finding_key": finding_key,
        "patches": [patch for name in settings.cohorts for patch in _patches(layout, settings, name, finding_key)],
        "excluded": [row for name in settings.cohorts for row in _excluded(layout, name, finding_key)],
        "assigned": [row for name in settings.cohorts for row in _assigned(layout, name, finding_key)],
    }
    if not found["patches"] and not found["excluded"]:
        raise StageError(
            f"no cohort has or excludes a finding {finding_key!r}; finding_keys are PATIENT/FID/n, as in the "
            f"findings.csv of {', '.join(str(layout.cohort(name)) for name in settings.cohorts)}"
        )
    found["models"] = _models(layout, settings, finding_key, found["assigned"])
    return found


def _rows(path: Path, finding_key: str) -> pd.DataFrame:
    """The rows of a CSV about the finding, cells as text; none where there is no file. The index counts from 0."""
    if not path.is_file():
        return pd.DataFrame()
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table[table["finding_key"] == finding_key]


def _patches(layout: Layout, settings: Settings, name: str, finding_key: str) -> Iterator[dict[str, Any]]:
    folder = layout.cohort(name)
    rows = _rows(folder / "findings.csv", finding_key)
    if rows.empty:
        return
    info = json.loads((folder / "cohort.json").read_text(encoding="utf-8"))
    options, hashes = info.get("options", {}), info.get("source_sha256", {})
    source = layout.source(settings, settings.dataset_of(name))
    for number, row in rows.iterrows():
        yield {
            "cohort": name,
            "dataset": settings.dataset_of(name),
            "row": number,
            **{key: row[key] for key in _NAMES if key in row},
            "crop": {key: options.get(key) for key in _CROP},
            "slices": {channel: _slice(row, channel, source, hashes) for channel in info["channels"]},
        }


def _slice(row: pd.Series, channel: str, source: Path, hashes: dict[str, str]) -> dict[str, Any]:
    """One channel's origin; `file_now` compares the file below the source with the hash that the cohort noted."""

    def cell(name: str) -> str:
        return plain_cell(str(row.get(f"{channel}_{name}", "")))

    def number(name: str) -> float | None:
        return float(cell(name)) if cell(name) else None

    path = source / cell("file")
    beside = files_of_map(path)[1:] if is_ktrans_header(path) and path.is_file() else []
    voxels = {(file.relative_to(source) if file.is_relative_to(source) else file).as_posix(): file for file in beside}
    noted = {cell("file"): path, **voxels}
    if not all(file.is_file() for file in noted.values()):
        now = "not there"
    else:
        same = all(file_sha256(file) == hashes.get(name) for name, file in noted.items())
        now = "unchanged" if same else "CHANGED"
    return {
        "file": cell("file"),
        "sha256": hashes.get(cell("file"), ""),
        **({"voxels": {name: hashes.get(name, "") for name in voxels}} if voxels else {}),
        "file_now": now,
        "series_uid": cell("series_uid"),
        "sop_uid": cell("sop_uid"),
        "distance_mm": number("distance_mm"),
        "centre_xy": [number("centre_x"), number("centre_y")],
        "spacing_mm": [number("spacing_row_mm"), number("spacing_column_mm")],
        "padded_share": number("padded_share"),
    }


def _excluded(layout: Layout, name: str, finding_key: str) -> Iterator[dict[str, str]]:
    for _, row in _rows(layout.cohort(name) / "excluded.csv", finding_key).iterrows():
        yield {"cohort": name, "reason": row["reason"], "detail": row["detail"]}


def _assigned(layout: Layout, name: str, finding_key: str) -> Iterator[dict[str, Any]]:
    rows = _rows(layout.assigned(name), finding_key)
    for _, row in rows.drop_duplicates().iterrows():
        yield {"cohort": name, "replicate": int(row["replicate"]), "subset": row["subset"], "fold": row["fold"]}


def _models(
    layout: Layout, settings: Settings, finding_key: str, assigned: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Models in the order of the phases, then arms and members by path; the roulette chose by validation rows."""
    seen = []
    for row in assigned:
        winner = layout.model("roulette", row["replicate"])
        chosen_by = row["cohort"] == settings.target and row["subset"] == "validation"
        if chosen_by and (winner / "model.json").is_file():
            seen.append(_model(layout, winner, row, []))
    order = {phase: position for position, phase in enumerate(settings.phases)}
    tables = sorted(
        layout.models.rglob("*predictions.csv"),
        key=lambda table: (
            table.is_relative_to(layout.arms),
            order.get(table.parent.name, len(order)),
            str(table),
        ),
    )
    for table in tables:
        rows = _rows(table, finding_key)
        for _, of_replicate in rows.groupby("replicate"):
            seen.append(_model(layout, table.parent, of_replicate.iloc[0], _probabilities(of_replicate)))
    return seen + list(_descendants(layout, list(dict.fromkeys(table.parent for table in tables)), seen))


def _descendants(layout: Layout, folders: list[Path], seen: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Models of other data sets whose weights come from one that saw the finding."""
    direct = {model["model_sha256"]: model for model in seen}
    for folder in folders:
        info = _info(folder)
        if info.get("model_sha256") in direct:
            continue
        lineage = [ancestor["model_sha256"] for ancestor in info.get("lineage", [])]
        ancestors = [f"{direct[sha256]['model']} {direct[sha256]['role']}" for sha256 in lineage if sha256 in direct]
        if ancestors:
            role = f"descends from models that saw it: {', '.join(ancestors)}"
            yield {**_identity(layout, folder), "cohort": info["cohort"], "role": role}


def _of_other_images(layout: Layout, folder: Path, cohort: str) -> str:
    """A remark where a model was not made of the images that the cohort has now, though keys may be the same."""
    images = layout.cohort(cohort) / "images.npy"
    if not images.is_file():
        return f", of a cohort {cohort} that is gone"
    if folder.is_relative_to(layout.arms):
        ledger = json.loads(layout.ledger.read_text(encoding="utf-8")) if layout.ledger.is_file() else {}
        made_of = ledger.get("images_sha256", {}).get(cohort)
    else:
        info = _info(folder)
        made_of = info.get("images_sha256") if info.get("cohort") == cohort else file_sha256(images)
    return "" if made_of == file_sha256(images) else f", of other images than {cohort} has now"


def _model(layout: Layout, folder: Path, row: Any, probabilities: list[float]) -> dict[str, Any]:
    role = ROLES.get(row["subset"], f"scored it ({row['subset'] or 'no subset'})")
    if folder.is_relative_to(layout.arms):
        # whose weights are not kept: one row stands for the models of all folds of a repeat
        role = f"repeat {row['replicate']}: tested in outer fold {row['fold']}, learnt from in others"
    return {
        **_identity(layout, folder),
        "cohort": row["cohort"],
        "replicate": int(row["replicate"]),
        "subset": row["subset"],
        "fold": row["fold"],
        "role": role + _of_other_images(layout, folder, row["cohort"]),
        "probability": probabilities[0] if probabilities else None,
        "augmented_probabilities": probabilities[1:],
    }


def _probabilities(rows: pd.DataFrame) -> list[float]:
    """Of the finding as it is, then of its augmented copies."""
    ordered = rows.assign(copy=rows["copy"].astype(int)).sort_values("copy")
    return [float(value) for value in ordered["probability"]]


def _identity(layout: Layout, folder: Path) -> dict[str, str]:
    return {
        "model": folder.relative_to(layout.models).as_posix(),
        "model_sha256": _info(folder).get("model_sha256", ""),
    }


def _info(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return info
