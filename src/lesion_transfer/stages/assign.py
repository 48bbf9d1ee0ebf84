"""Stage `assign`: each row of every cohort with the subset and fold of its patient, checked for leaks across them all.

One file a cohort, so that a change of another data set's split re-runs no training of this one.
"""

import shutil

import pandas as pd

from lesion_transfer.cohorts.cohort import Cohort, load_cohort
from lesion_transfer.cohorts.splits import find_leaks, read_splits
from lesion_transfer.files import write_csv
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError, require
from lesion_transfer.stages.split import in_order_of_images, rows_of_all

SHOWN_LEAKS = 5


def assign(layout: Layout) -> None:
    """Writes data/assigned/COHORT.csv: the split's rows in the order of the cohort's images, replicate by replicate.

    Raises StageError when a patient, a group of exact or near duplicates, an image or a DICOM instance stands in two
    subsets or folds, in one cohort or across the cohorts of all data sets that are trained on in turn.
    """
    settings = layout.settings()
    cohorts = {name: load_cohort(require(layout.cohort(name), f"lesion cohort {name}")) for name in settings.cohorts}
    assigned = {name: _assigned(layout, settings, cohort) for name, cohort in cohorts.items()}
    seen = _seen(settings, cohorts, assigned)
    leaks = [
        leak for datasets in _trained_together(settings) for leak in find_leaks(seen[seen["dataset"].isin(datasets)])
    ]
    if leaks:
        more = f" There are {len(leaks) - SHOWN_LEAKS} more." if len(leaks) > SHOWN_LEAKS else ""
        raise StageError(
            f"The splits leak: {' '.join(leaks[:SHOWN_LEAKS])}{more} Within a data set draw its splits again (`lesion "
            "split`); between two, take the patient out of one of them, or, where equal ids are different people, set "
            "split.shared_patient_ids: false."
        )
    # of cohorts that are no longer in params.yaml, which a run by hand would leave
    shutil.rmtree(layout.assigned_folder, ignore_errors=True)
    for name, table in assigned.items():
        write_csv(layout.assigned(name), table)


def _trained_together(settings: Settings) -> list[set[str]]:
    """The data sets of the phases and arms, whose weights are handed on; each other one by itself.

    A data set that the reproduction alone is trained on may hold the target's patients: it draws a split of its own.
    """
    trained_on = {settings.dataset_of(name) for name in settings.trained_cohorts}
    return [trained_on, *({name} for name in settings.datasets if name not in trained_on)]


def _assigned(layout: Layout, settings: Settings, cohort: Cohort) -> pd.DataFrame:
    """The split's rows of a cohort: finding_key, patient_id, replicate, subset, fold, in the order of its images."""
    dataset = settings.dataset_of(cohort.name)
    path = require(layout.split(dataset), f"lesion split {dataset}")
    return in_order_of_images(
        read_splits(path),
        cohort.findings,
        ["replicate"],
        lambda key: f"{path} does not know {key} of {cohort.name}; run `lesion split {dataset}`",
    )


def _seen(settings: Settings, cohorts: dict[str, Cohort], assigned: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Every finding of every cohort with where it stands and what could join it to another."""
    placed = pd.concat(
        [
            table.drop(columns="patient_id").drop_duplicates(["finding_key", "replicate"]).assign(cohort=name)
            for name, table in assigned.items()
        ]
    )
    return rows_of_all(settings, cohorts).merge(placed, on=["cohort", "finding_key"])
