"""Stage `settings`: params.yaml is read as a whole before anything runs, and what removed phases left is cleared.

Every other stage depends on what is written here, instead of naming the dozen modules that read params.yaml.
"""

import json
import logging
import shutil
from pathlib import Path

import pandas as pd

from lesion_transfer import errors, files, options, randomness, settings
from lesion_transfer.backends import options as backend_options
from lesion_transfer.cohorts import options as cohort_options
from lesion_transfer.datasets import finding, reasons
from lesion_transfer.datasets import options as dataset_options
from lesion_transfer.files import file_sha256, write_csv, write_text
from lesion_transfer.learning import options as learning_options
from lesion_transfer.settings import RESERVED_PHASES
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
    dataset), for the stages that look across cohorts. No value of params.yaml is in the first, so that a change of one
    re-runs only the stages that declare it.
    """
    asked = layout.settings()
    for model in sorted(layout.models.glob("*/model.json")):
        phase = json.loads(model.read_text(encoding="utf-8")).get("phase")
        if phase == model.parent.name and phase not in {*asked.phases, *RESERVED_PHASES}:
            log.warning(
                "phase %s is no longer in params.yaml: %s is removed (DVC's cache keeps it)", phase, model.parent
            )
            shutil.rmtree(model.parent)
            layout.metrics(phase).unlink(missing_ok=True)
    for report in sorted((layout.reports / "checks").glob("*.json")):
        if report.stem not in asked.cohorts:
            report.unlink()
            layout.checked(report.stem).unlink(missing_ok=True)
            shutil.rmtree(layout.check_pictures(report.stem), ignore_errors=True)
    _clear_cohorts(layout, asked)
    sources = [Path(str(module.__file__)) for module in SHARED]
    package = Path(str(errors.__file__)).parent
    hashes = {source.relative_to(package).as_posix(): file_sha256(source) for source in sources}
    listed = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    write_text(layout.settings_checked, "params.yaml was read without a fault by\n" + listed)
    placed = [(name, cohort.dataset) for name, cohort in asked.cohorts.items()]
    write_csv(layout.cohort_datasets, pd.DataFrame(placed, columns=["cohort", "dataset"]))


def _clear_cohorts(layout: Layout, asked: settings.Settings) -> None:
    """Removes the results of cohorts and data sets that params.yaml no longer has, which folders hold as dependencies.

    Only what DVC made, which its cache keeps: a folder that somebody put there is left alone.
    """
    lock = layout.root / "dvc.lock"
    made = lock.read_text(encoding="utf-8") if lock.exists() else ""
    for path in sorted([*(layout.root / "data" / "cohorts").glob("*"), *(layout.root / "data").glob("*/*.csv")]):
        stage = {"cohorts": "cohort", "splits": "split"}.get(path.parent.name, "")
        known = set(asked.datasets if stage == "split" else asked.cohorts)
        if stage and path.stem not in known and f"  {stage}@{path.stem}:\n" in made:
            log.warning("%s is no longer in params.yaml: %s is removed (DVC's cache keeps it)", path.stem, path)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
