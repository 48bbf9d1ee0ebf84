"""Files of a source that cannot be read or named: set aside and counted, and the rest of the data set goes on."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from lesion_transfer.cohorts.cohort import CohortError
from lesion_transfer.stages.acquire import acquire
from lesion_transfer.stages.cohort import cohort
from lesion_transfer.stages.layout import Layout, StageError

ROOT = Path(__file__).parents[2]
N_IMAGES = 6


@pytest.fixture
def layout(tmp_path) -> Layout:
    """A project with six brain images of the user's own."""
    source = tmp_path / "source"
    (source / "yes").mkdir(parents=True)
    rows = ["file,label,x,y"]
    for number in range(N_IMAGES):
        pixels = np.random.default_rng(number).integers(0, 255, (80, 80), np.uint8)
        Image.fromarray(pixels).save(source / "yes" / f"ä{number}.png")
        rows.append(f"yes/ä{number}.png,{number % 2 == 0},40,40")
    (source / "ground_truth.csv").write_text("\n".join(rows), encoding="utf-8")
    layout = Layout(tmp_path / "project")
    layout.root.mkdir()
    content = YAML().load(ROOT / "params.yaml")
    content["datasets"]["brain"] = {"kind": "brain", "source": str(source)}
    content["cohorts"]["brain"]["max_excluded_share"] = 0.5
    YAML().dump(content, layout.params)
    return layout


def source_of(layout: Layout) -> Path:
    return layout.source(layout.settings(), "brain")


def allow(layout: Layout, share: float) -> None:
    content = YAML().load(layout.params)
    content["cohorts"]["brain"]["max_excluded_share"] = share
    YAML().dump(content, layout.params)


def test_one_bad_file_costs_its_own_finding(layout, make_unreadable, caplog):
    folder = source_of(layout) / "yes"
    acquire(layout, "brain")
    whole = pd.read_csv(layout.manifest("brain"))
    assert len(whole) == N_IMAGES + 1
    make_unreadable(folder / "ä0.png")
    (folder / "ä1.png").rename(folder / os.fsdecode(b"\xe41.png"))
    acquire(layout, "brain")
    pd.testing.assert_frame_equal(
        pd.read_csv(layout.manifest("brain")),
        whole[~whole["path"].isin(["yes/ä0.png", "yes/ä1.png"])].reset_index(drop=True),
    )
    said = r"2 of 7 files below .*source are set aside \(unreadable_file\)\. The first: .*yes/"
    assert any(pd.Series(message).str.contains(said).all() for message in caplog.messages)

    cohort(layout, "brain")
    excluded = pd.read_csv(layout.cohort("brain") / "excluded.csv")
    assert excluded["reason"].tolist() == ["unreadable_file", "unreadable_file"]
    assert excluded["detail"].str.startswith(("yes/ä0.png: ", r"yes/\xe41.png: the name is not UTF-8")).all()
    assert len(pd.read_csv(layout.cohort("brain") / "findings.csv")) == N_IMAGES - 2
    allow(layout, 0.2)
    with pytest.raises(CohortError, match="max_excluded_share"):
        cohort(layout, "brain")


def test_a_table_whose_name_is_no_utf8_has_to_be_renamed(layout):
    source = source_of(layout)
    text = "PatientID,Nodule Center Position,fid,Diagnosis\nä0,40 40,1,True\n"
    (source / os.fsdecode(b"Pr\xfcfung.csv")).write_text(text, encoding="utf-8")
    (source / "ground_truth.csv").unlink()
    with pytest.raises(StageError, match=r"the table Pr\\xfcfung\.csv: the name is not UTF-8.*rename"):
        acquire(layout, "brain")
