"""Patches that show nothing: the stage `check` says so always and stops where they are many."""

import json
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from lesion_transfer.stages.acquire import acquire
from lesion_transfer.stages.check import check
from lesion_transfer.stages.cohort import cohort
from lesion_transfer.stages.layout import Layout, StageError

ROOT = Path(__file__).parents[2]
N_PATCHES = 12


@pytest.fixture
def layout(tmp_path) -> Layout:
    """A project with a cohort of a patch archive in which one pixel of 1e6 makes all patches but its own black."""
    images = np.random.default_rng(0).uniform(0, 300, (N_PATCHES, 1, 33, 33)).astype(np.float32)
    images[5, 0, 2, 2] = 1e6
    archive = tmp_path / "archive"
    archive.mkdir()
    np.save(archive / "images.npy", images)
    rows = "".join(f"P{n},1,{n % 2 == 0}\n" for n in range(N_PATCHES))
    (archive / "findings.csv").write_text(f"patient_id,finding_id,label\n{rows}")
    layout = Layout(tmp_path / "project")
    layout.root.mkdir()
    content = YAML().load(ROOT / "params.yaml")
    content["datasets"]["knee"] = {"kind": "patch_archive", "source": str(archive)}
    content["cohorts"]["knee"] = {
        "dataset": "knee",
        "channels": ["mr"],
        "crop_fraction": [0.5, 0.5],
        "patch_pixels": 17,
        "margin_pixels": 4,
        "zscore": "dataset",
    }
    YAML().dump(content, layout.params)
    acquire(layout, "knee")
    cohort(layout, "knee")
    return layout


def allow(layout: Layout, share: float) -> None:
    content = YAML().load(layout.params)
    content["checks"]["max_faulty_share"] = share
    YAML().dump(content, layout.params)


def test_a_cohort_of_black_patches_stops_the_pipeline_and_can_be_looked_at(layout):
    said = r"12 of 12 patches of channel mr show nothing: black 12 \(P0/1/1, P1/1/1, P2/1/1, .*max_faulty_share 0\.1"
    with pytest.raises(StageError, match=said):
        check(layout, "knee")
    assert not layout.checked("knee").exists()
    assert len(json.loads(layout.check("knee").read_text())["faulty_patches"]["black"]) == N_PATCHES
    assert {path.name for path in layout.check_pictures("knee").iterdir()} == {"red_dots.png", "alignment.png"}


def test_as_many_as_are_allowed_are_said_all_the_same(layout, caplog):
    allow(layout, 1.0)
    check(layout, "knee")
    assert layout.checked("knee").exists()
    assert "knee: patches that show nothing: black 12 (P0/1/1, P1/1/1, P2/1/1, ...)" in caplog.messages
