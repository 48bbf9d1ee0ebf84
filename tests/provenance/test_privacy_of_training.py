"""Nothing that names a patient reaches a model, the MLflow store or its artifacts."""

import pytest
from ruamel.yaml import YAML

from lesion_transfer.stages.roulette import roulette
from lesion_transfer.stages.train import train

from .conftest import run_data_stages, write_params
from .test_privacy import MARKS, name_the_patients, own_sources, project, written  # noqa: F401

TINY = {
    "lr": 0.001,
    "epochs": 1,
    "augmentation_factor": 1,
    "batch_size": 16,
    "roulette": {"n": 2},
    "network": {"filters": [2, 2, 4], "dense": [8, 4, 4]},
}


@pytest.mark.slow
def test_models_runs_and_artifacts_name_nobody(project, monkeypatch):  # noqa: F811
    name_the_patients(project.root / "own" / "prostatex")
    write_params(project.root, **own_sources(allow_identified=True))
    yaml = YAML()
    content = yaml.load(project.root / "params.yaml")
    for key, value in TINY.items():
        content[key].update(value) if isinstance(value, dict) else content.update({key: value})
    yaml.dump(content, project.root / "params.yaml")
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_data_stages(project)
    roulette(project)
    train(project)
    files = written(project)
    assert any(name.endswith("mlflow.db") for name in files)
    assert any("mlartifacts" in name for name in files)
    assert not [name for name, content in files.items() if any(mark in content for mark in MARKS)]
