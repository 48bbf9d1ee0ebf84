"""Stage `baselines`: what reaches how far without the network, in the network's own folds; and of published tables."""

from pathlib import Path
from typing import Any

import pandas as pd

from lesion_transfer.cohorts.cohort import Cohort, load_cohort
from lesion_transfer.cohorts.normalise import ZScore
from lesion_transfer.cohorts.splits import read_splits
from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.prostatex_tables import read_finding_rows, required_tables
from lesion_transfer.datasets.tables import find_tables
from lesion_transfer.evaluation.baselines.assess import assess_all
from lesion_transfer.evaluation.baselines.images import image_baselines, shortcut_baselines
from lesion_transfer.evaluation.baselines.repeated import repeated_folds
from lesion_transfer.evaluation.baselines.tables import POSITION, image_free_baselines
from lesion_transfer.files import write_csv, write_json
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError, require


def baselines(layout: Layout) -> None:
    """Writes reports/baselines.json and reports/baselines.csv (the predictions of every baseline)."""
    settings = layout.settings()
    seed, n_draws = settings.seed, settings.evaluation.bootstrap_draws
    target, findings = _assigned_cohort(layout, settings.target)
    own = [
        *image_free_baselines(target.findings, _whole_table(target)),
        *image_baselines(_normalised(target, settings), target.channels, target.info.get("pitch_mm")),
    ]
    content, table = assess_all(own, findings, target.name, seed, n_draws)
    tables, shortcuts = [table], {}
    for name in settings.cohorts:
        cohort, findings = _assigned_cohort(layout, name)
        found = shortcut_baselines(cohort.images, cohort.findings, cohort.channels)
        shortcuts[name], table = assess_all(found, findings, name, seed, n_draws)
        tables.append(table)
    write_csv(layout.baseline_predictions, pd.concat([one for one in tables if len(one)], ignore_index=True))
    write_json(layout.baselines, {**content, "shortcuts": shortcuts, "cohort": settings.target, "n_draws": n_draws})


def published_baselines(folder: Path, seed: int, n_draws: int, repeats: int, folds: int) -> dict[str, Any]:
    """The image-free baselines of the published PROSTATEx tables below `folder`, patients kept together in folds."""
    name = required_tables("train")[0]
    table = find_tables(folder, [name]).get(name)
    if table is None:
        raise DatasetError(f"{name} not found anywhere below {folder}. Put the table published with PROSTATEx there.")
    rows = [row for row in read_finding_rows(table.parent) if row.refusal is None]
    findings = pd.DataFrame(
        {
            "finding_key": [row.finding_key for row in rows],
            "patient_id": [row.patient_id for row in rows],
            "finding_id": [row.finding_id for row in rows],
            "label": pd.Series([row.label for row in rows], dtype=object),
            "zone": [row.zone for row in rows],
            **{name: [row.position_lps_mm[axis] for row in rows] for axis, name in enumerate(POSITION)},
        }
    )
    content, _ = assess_all(
        image_free_baselines(findings), repeated_folds(findings, repeats, folds, seed), "prostatex", seed, n_draws
    )
    return content


def _assigned_cohort(layout: Layout, name: str) -> tuple[Cohort, pd.DataFrame]:
    """The cohort, and its findings with subset and fold, replicate by replicate, each in the order of the images."""
    cohort = load_cohort(require(layout.cohort(name), f"lesion cohort {name}"))
    path = require(layout.assigned(name), "lesion assign")
    assigned = read_splits(path)
    own = pd.concat([cohort.findings] * assigned["replicate"].nunique(), ignore_index=True)
    if list(assigned["finding_key"]) != list(own["finding_key"]):
        raise StageError(f"{path} is not of the cohort {name} as it is; run `lesion assign`")
    return cohort, assigned.assign(finding_id=own["finding_id"], label=own["label"])


def _whole_table(cohort: Cohort) -> pd.DataFrame:
    """patient_id of every finding of the published table: those with an image, then those without."""
    return pd.concat([table[["patient_id"]] for table in (cohort.findings, cohort.excluded)], ignore_index=True)


def _normalised(cohort: Cohort, settings: Settings) -> Any:
    """The patches (n, channels, rows, columns) by each patient's own statistics; else display values.

    A data set's own mean and std are not applied here: the classifiers scale by their training rows.
    """
    if settings.cohorts[cohort.name].zscore != "patient":
        return cohort.patches
    return ZScore("patient", tuple(cohort.channels)).apply(cohort)[:, :, cohort.inner, cohort.inner]
