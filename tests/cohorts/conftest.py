"""Builders of tiny slices, findings and cohort folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets.finding import Finding, SequenceSlice

ROOT = Path("/somewhere/source")


@pytest.fixture
def make_slice() -> Callable[..., SequenceSlice]:
    """A slice of random display values unless pixels are given."""

    def make(seed: int = 0, **changes: Any) -> SequenceSlice:
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50)).astype(np.float32)
        values = {"pixels": pixels, "spacing_mm": (1.0, 1.0), "centre_xy": (25.0, 20.0), "file": ROOT / f"{seed}.dcm"}
        return SequenceSlice(**{**values, **changes})

    return make


@pytest.fixture
def make_finding(make_slice: Callable[..., SequenceSlice]) -> Callable[..., Finding]:
    """A finding with one channel, t2, whose slice comes of the seed."""

    def make(patient: str, finding_id: str = "1", label: bool | None = True, seed: int = 0, **changes: Any) -> Finding:
        slices = changes.pop("slices", {"t2": make_slice(seed)})
        key = changes.pop("finding_key", f"{patient}/{finding_id}/1")
        return Finding(key, patient, finding_id, label, slices, **changes)

    return make


@pytest.fixture
def options() -> CohortOptions:
    """Patches of 9 x 9 pixels of 1 mm with a margin of 2."""
    return CohortOptions(dataset="prostatex", channels=["t2"], crop_mm=9.0, patch_pixels=9, margin_pixels=2)


@pytest.fixture
def hashes() -> dict[str, str]:
    """Of the files that make_slice names."""
    return {str(ROOT / f"{seed}.dcm"): f"{seed:064x}" for seed in range(20)}


@pytest.fixture
def write_cohort(tmp_path: Path) -> Callable[..., Path]:
    """A cohort folder as someone else might make one: the least that is needed, unless told otherwise."""

    def write(images: Any, findings: dict[str, list[Any]], info: Any = None, name: str = "foreign") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if images is not None:
            np.save(folder / "images.npy", images)
        if findings is not None:
            pd.DataFrame(findings).to_csv(folder / "findings.csv", index=False)
        if info is not False:
            info = info or {"channels": ["t2"], "patch_pixels": images.shape[-1] - 2, "margin_pixels": 1}
            (folder / "cohort.json").write_text(json.dumps(info))
        return folder

    return write
