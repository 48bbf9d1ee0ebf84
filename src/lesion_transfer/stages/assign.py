"""Stage `assign`: each row of a cohort with the subset and fold of its patient, checked for leaks.

DVC needs one file a cohort, so that a change of another data set's split re-runs no training of this one.
"""

import pandas as pd

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.cohorts.splits import find_leaks
from lesion_transfer.files import write_csv
from lesion_transfer.stages.layout import Layout, StageError, entry, require


def assign(layout: Layout, name: str) -> None:
    """Writes data/assigned/COHORT.csv: the split's rows in the order of the cohort's images, replicate by replicate.

    Raises StageError when a patient, a group of duplicates or an image stands in two subsets.
    """
    settings = layout.settings()
    dataset = entry(settings.cohorts, name, "cohort").dataset
    findings = load_cohort(require(layout.cohort(name), f"lesion cohort {name}")).findings
    split = pd.read_csv(
        require(layout.split(dataset), f"lesion split {dataset}"), dtype={"finding_key": str, "patient_id": str}
    )
    rows = []
    for _, replicate in split.groupby("replicate", sort=True):
        own = replicate.set_index("finding_key")
        unknown = sorted(set(findings["finding_key"]) - set(own.index))
        if unknown:
            raise StageError(
                f"{layout.split(dataset)} does not know {unknown[0]} of {name}; run `lesion split {dataset}`"
            )
        rows.append(own.loc[findings["finding_key"]].reset_index())
    assigned = pd.concat(rows, ignore_index=True)
    seen = assigned.merge(findings[["finding_key", "group", "image_sha256"]], on="finding_key")
    if leaks := find_leaks(seen):
        raise StageError(f"{name}: the split leaks: " + " ".join(leaks))
    write_csv(layout.assigned(name), assigned.astype({"fold": "Int64"}))
