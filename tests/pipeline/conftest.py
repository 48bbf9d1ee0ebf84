"""A tiny project: the repository's own pipeline on tiny phantoms, run once by real DVC for all tests of this folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from filelock import FileLock
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML

from lesion_transfer.settings import HYPERPARAMETERS

ROOT = Path(__file__).parents[2]
PHASES = ["ds1_full", "ds2_frozen", "ds2_full", "ds3_frozen", "ds3_full", "ds4_frozen", "ds4_full"]
LATER = [f"transfer@{phase}" for phase in PHASES[1:]]
PARTS = (
    "dvc.yaml",
    "params.yaml",
    "MLproject",
    ".dvcignore",
    ".gitignore",
    "phantom",
    "src",
    ".dvc/config",
    ".dvc/.gitignore",
)
TINY = {
    "lr": 0.001,
    "epochs": 1,
    "augmentation_factor": 1,
    "bank_copies": 2,
    "batch_size": 16,
    "threads": 1,
    "roulette": {"n": 2},
    "ledger": {"repeats": 1, "folds": 2, "bootstrap_draws": 100},
    "reproduction": {"epochs": 1, "roulette_n": 2, "test_share": 0.2, "validation_share": 0.2},
    "network": {"filters": [2, 2, 4], "dense": [8, 4, 4]},
    "evaluation": {"bootstrap_draws": 100},
    "datasets": {
        "prostatex": {"phantom": {"n_patients": 24, "n_slices": 3}},
        "brain": {"phantom": {"n_patients": 24}},
        "lungx": {"phantom": {"n_patients": 24, "n_slices": 3}},
    },
}


class Project:
    """A checkout and the commands a user types in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.first_run: list[str] = []
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "GIT_"))}
        self.environment = kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **{
                f"GIT_{who}_{what}": "tester@example.org"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command here; with `check` a failure shows everything it printed."""
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def stages_run(self, *command: str) -> list[str]:
        """The names of the stages that a dvc command executed, in order."""
        lines = self.run(*command).stdout.splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage '")]

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def clone(self, to: Path) -> "Project":
        self.run("git", "clone", "--quiet", str(self.root), str(to))
        return Project(to)

    def mlflow_runs(self) -> dict[str, list[Run]]:
        """All runs by name, newest first."""
        client = MlflowClient(tracking_uri=f"sqlite:///{self.root}/mlflow.db")
        experiment = client.get_experiment_by_name("lesion-transfer")
        assert experiment is not None
        runs: dict[str, list[Run]] = {}
        for run in client.search_runs([experiment.experiment_id], order_by=["start_time DESC"]):
            runs.setdefault(str(run.info.run_name), []).append(run)
        return runs

    def change_params(self, values: Mapping[str, object]) -> None:
        """Merges nested values into params.yaml."""
        yaml = YAML()
        content = yaml.load(self.root / "params.yaml")
        _merge(content, values)
        yaml.dump(content, self.root / "params.yaml")


def _merge(content, values) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and key in content:
            _merge(content[key], value)
        else:
            content[key] = value


def new_project(root: Path, *, chapter5: bool = False) -> Project:
    """The repository's own files with tiny settings, committed, with a remote of its own inside it.

    chapter5: with the stacked cohort and the challenge; without them the reproduction reads the target's cohort.
    """
    root.mkdir()
    for part in PARTS:
        source, target = ROOT / part, root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, target)
    project = Project(root)
    project.change_params(TINY)
    content = YAML().load(root / "params.yaml")
    if not chapter5:
        for section, name in (("cohorts", "prostatex_mpmri"), ("cohorts", "prostatex_test")):
            del content[section][name]
        del content["datasets"]["prostatex_test"], content["challenge"]["prostatex_test"]
        content["reproduction"]["cohort"] = "prostatex_dwi"
    for phase in content["transfer"].values():
        phase.update(dict.fromkeys(HYPERPARAMETERS))
    YAML().dump(content, root / "params.yaml")
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.commit("a tiny project")
    return project


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory) -> Project:
    """The tiny project after `dvc repro`, committed and pushed to the embedded remote; not to be changed.

    Made once for all test processes, the others wait for it.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "tiny"
    folder.mkdir(exist_ok=True)
    finished = folder / "stages_run.json"
    with FileLock(folder / "made.lock"):
        if not finished.exists():
            project = new_project(folder / "project")
            stages_run = project.stages_run("dvc", "repro")
            project.run("dvc", "push")
            project.commit("the pipeline's results")
            finished.write_text(json.dumps(stages_run))
    project = Project(folder / "project")
    project.first_run = json.loads(finished.read_text())
    return project


@pytest.fixture
def project(reproduced, tmp_path) -> Project:
    """A copy of the reproduced project, with its data and MLflow store, that a test may change."""
    # without the locks of a command that another test may be running there
    held = shutil.ignore_patterns("rwlock", "rwlock.lock", "lock")
    shutil.copytree(reproduced.root, tmp_path / "project", symlinks=True, ignore=held)
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def make_project() -> Callable[[Path], Project]:
    """`new_project`, for tests that need another state of the project."""
    return new_project
