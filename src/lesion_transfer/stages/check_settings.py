"""Stage `settings`: params.yaml is read as a whole before anything runs, and what removed phases left is cleared.

Every other stage depends on what is written here, instead of naming the dozen modules that read params.yaml.
"""

import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from lesion_transfer import errors, files, options, randomness, settings
from lesion_transfer.backends import options as backend_options
from lesion_transfer.cohorts import options as cohort_options
from lesion_transfer.datasets import finding, reasons
from lesion_transfer.datasets import options as dataset_options
from lesion_transfer.files import file_sha256, write_csv, write_text
from lesion_transfer.learning import options as learning_options
from lesion_transfer.stages import layout as stage_layout
from lesion_transfer.stages.layout import Layout
from lesion_transfer.transfer import arms, plan
from lesion_transfer.transfer import options as transfer_options

SHARED = (
    *(errors, files, options, settings, stage_layout, arms, plan),
    *(backend_options, cohort_options, dataset_options, learning_options, transfer_options),
    *(finding, reasons, randomness),
)
"""What every stage reads params.yaml with, and what nearly all import: a change of one re-runs them all (a test holds
them to the imports)."""

log = logging.getLogger(__name__)


def check_settings(layout: Layout) -> None:
    """Raises SettingsError for anything wrong in params.yaml.

    Writes data/settings_checked.txt, the hashes of the modules in SHARED, and data/cohort_datasets.csv (cohort,
    dataset, whether a phase or an arm trains on it), for the stages that look across cohorts. No value of params.yaml
    is in the first, so that a change of one re-runs only the stages that declare it.
    """
    asked = layout.settings()
    _refuse_missing(layout, asked)
    for path in _left_over(layout, asked):
        log.warning(
            "%s is no longer in params.yaml: it is moved to %s", path.relative_to(layout.root), _put_aside(layout, path)
        )
    sources = [Path(str(module.__file__)) for module in SHARED]
    package = Path(str(errors.__file__)).parent
    hashes = {source.relative_to(package).as_posix(): file_sha256(source) for source in sources}
    listed = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    write_text(layout.settings_checked, "params.yaml was read without a fault by\n" + listed)
    placed = [(name, cohort.dataset, name in asked.trained_cohorts) for name, cohort in asked.cohorts.items()]
    write_csv(layout.cohort_datasets, pd.DataFrame(placed, columns=["cohort", "dataset", "is_trained_on"]))


def _refuse_missing(layout: Layout, asked: settings.Settings) -> None:
    """Raises SettingsError for a source or a first model that is not there, which DVC would call `[Errno 2]`, or that
    the pipeline makes itself."""
    for name, dataset in asked.datasets.items():
        layout.source(asked, name)
        if dataset.source != "phantom" and not (layout.root / dataset.source).exists():
            raise settings.SettingsError(
                f"params.yaml: datasets.{name}.source: {dataset.source} is not there; write the whole path (no ~)"
            )
    folder = layout.root / asked.initial_model
    made = [layout.model(name).resolve() for name in (*asked.phases, "reproduction", "challenge", "ledger")]
    if any(folder.resolve().is_relative_to(own) for own in made):
        raise settings.SettingsError(
            f"params.yaml: initial_model: {asked.initial_model} is made by the pipeline itself, which would start from "
            "its own end; copy it to another folder"
        )
    if folder != layout.model("roulette") and not (folder / "model.json").is_file():
        raise settings.SettingsError(f"params.yaml: initial_model: {asked.initial_model} holds no model.json")


def _left_over(layout: Layout, asked: settings.Settings) -> Iterator[Path]:
    """What DVC made for entries that params.yaml no longer has, and folders hold as dependencies.

    Only of stages in dvc.lock, so that a folder that somebody put there stays, and never what ds1_full starts from.
    """
    lock = layout.root / "dvc.lock"
    made = set(re.findall("^  (\\S+):$", lock.read_text(encoding="utf-8"), re.MULTILINE) if lock.exists() else ())
    kept = {*(f"transfer@{name}" for name in asked.transfer), *(f"split@{name}" for name in asked.datasets)}
    kept |= {f"{stage}@{name}" for stage in ("cohort", "check") for name in asked.cohorts}
    kept |= {f"challenge@{name}" for name in asked.challenge}
    for stage, _, name in (one.partition("@") for one in sorted(made - kept)):
        for path in _made_by(layout, stage, name):
            if path.exists() and path != layout.root / asked.initial_model:
                yield path


def _made_by(layout: Layout, stage: str, name: str) -> list[Path]:
    """What the stage of a removed entry wrote."""
    return {
        "cohort": [layout.cohort(name)],
        "check": [layout.check(name), layout.checked(name), layout.check_pictures(name)],
        "split": [layout.split(name)],
        "transfer": [layout.model(name), layout.metrics(name)],
        "challenge": [layout.model("challenge"), layout.metrics("challenge"), layout.challenge_file("any").parent],
    }.get(stage, [])


def _put_aside(layout: Layout, path: Path) -> Path:
    """Moves it below .lesion/removed, beside what was moved there before: DVC's cache need not have it."""
    place = layout.root / ".lesion" / "removed" / path.relative_to(layout.root)
    number = 0
    while (to := place.with_name(f"{place.name}.{number}" if number else place.name)).exists():
        number += 1
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, to)
    return to
