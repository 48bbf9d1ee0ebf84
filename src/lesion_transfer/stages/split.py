"""Stage `split`: the patients of a data set -> train, validation, test and folds, once for all its cohorts."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from lesion_transfer.cohorts.cohort import Cohort, load_cohort
from lesion_transfer.cohorts.near_duplicates import near_duplicate_groups
from lesion_transfer.cohorts.splits import assign_patients
from lesion_transfer.cohorts.units import joining_rows
from lesion_transfer.files import write_csv
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError, entry, require


def split(layout: Layout, dataset: str) -> None:
    """Writes data/splits/DATASET.csv from the findings of every cohort of the data set.

    Raises StageError where a cohort did not pass its check, or has other images by now.
    """
    settings = layout.settings()
    has_test = dataset == settings.dataset_of(settings.target)
    rows = dataset_rows(layout, settings, dataset)
    for name in sorted(name for name, options in settings.cohorts.items() if options.dataset == dataset):
        checked = require(layout.checked(name), f"lesion check {name}").read_text()
        if load_cohort(layout.cohort(name)).images_sha256 not in checked:
            raise StageError(f"cohort {name} has other images than when it was checked; run `lesion check {name}`")
    write_csv(layout.split(dataset), assign_patients(rows, settings.split, has_test, settings.seed))


def dataset_rows(layout: Layout, settings: Settings, dataset: str) -> pd.DataFrame:
    """What joins patients and findings of a data set, of every cohort of it, one after the other."""
    entry(settings.datasets, dataset, "data set")
    names = [name for name, options in settings.cohorts.items() if options.dataset == dataset]
    if not names:
        raise StageError(f"no cohort of params.yaml is cut from {dataset}; add one, or remove datasets.{dataset}")
    cohorts = [load_cohort(require(layout.cohort(name), f"lesion cohort {name}")) for name in names]
    for cohort in cohorts:
        if cohort.name in settings.trained_cohorts and cohort.findings["label"].isna().all():
            raise StageError(
                f"cohort {cohort.name} is trained on and none of its {len(cohort.findings)} findings has a label; look "
                f"at the labels in {layout.tables(dataset)} (a patch archive: the column label of findings.csv)"
            )
    rows = pd.concat([joining_rows(cohort) for cohort in cohorts], ignore_index=True)
    rows["near_duplicate"] = near_duplicate_groups(rows["phash"], settings.split.near_duplicate_bits)
    return rows


def in_order_of_images(
    split: pd.DataFrame, findings: pd.DataFrame, by: Sequence[str], unknown: Callable[[str], str]
) -> pd.DataFrame:
    """The rows of a split for each image of a cohort, part by part (`by`: replicate, fold).

    unknown: the sentence of the StageError for a finding_key that a part does not have.
    """
    parts = []
    for _, part in split.groupby(list(by), sort=True):
        own = part.set_index("finding_key")
        if missing := sorted(set(findings["finding_key"]) - set(own.index)):
            raise StageError(unknown(missing[0]))
        parts.append(own.loc[findings["finding_key"]].reset_index())
    return pd.concat(parts, ignore_index=True)


def rows_of_all(settings: Settings, cohorts: Mapping[str, Cohort]) -> pd.DataFrame:
    """What could join findings of the cohorts, of one data set or of several, one after the other.

    Columns: cohort, dataset, those of `joining_rows`, near_duplicate. Groups are of their data set alone, and so are
    patients whose ids are not shared: those get its name in front.
    """
    tables = []
    for name, cohort in cohorts.items():
        dataset = settings.dataset_of(name)
        rows = joining_rows(cohort).assign(cohort=name, dataset=dataset)
        for column in ["group"] if settings.split.shared_patient_ids else ["group", "patient_id"]:
            filled = rows[column] != ""
            rows.loc[filled, column] = dataset + ":" + rows.loc[filled, column]
        tables.append(rows)
    found = pd.concat(tables, ignore_index=True)
    found["near_duplicate"] = near_duplicate_groups(found["phash"], settings.split.near_duplicate_bits)
    return found
