"""A project of the data stages alone: phantoms of the three body parts, acquired, cut and split, in seconds."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lesion_transfer.stages.acquire import acquire
from lesion_transfer.stages.assign import assign
from lesion_transfer.stages.check import check
from lesion_transfer.stages.cohort import cohort
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.split import split

ROOT = Path(__file__).parents[2]
N_PATIENTS = 12


def write_params(root: Path, **datasets: dict[str, object]) -> None:
    """The repository's params.yaml with phantoms of a few patients; `datasets` changes their entries."""
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    for name, entry in content["datasets"].items():
        entry["phantom"].update(n_patients=N_PATIENTS, n_slices=3)
        entry.update(datasets.get(name, {}))
    yaml.dump(content, root / "params.yaml")


def run_data_stages(layout: Layout) -> None:
    """acquire, cohort, check, split and assign, for everything that params.yaml names."""
    settings = layout.settings()
    of_datasets, of_cohorts = settings.datasets, settings.cohorts
    stages = (acquire, of_datasets), (cohort, of_cohorts), (check, of_cohorts), (split, of_datasets)
    for stage, names in stages:
        for name in names:
            stage(layout, name)
    assign(layout)


@pytest.fixture(scope="session")
def data_project(tmp_path_factory) -> Layout:
    """The project after its data stages; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "project"
    shutil.copytree(ROOT / "phantom", root / "phantom")
    (root / "dvc.yaml").write_text("stages: {}\n")
    write_params(root)
    layout = Layout(root)
    run_data_stages(layout)
    return layout
