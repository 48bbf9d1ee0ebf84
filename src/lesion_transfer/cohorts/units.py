"""Which patients no split may separate: those joined by an equal value in one of JOINING_COLUMNS."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lesion_transfer.cohorts.cohort import Cohort

JOINING_COLUMNS = ("group", "image_sha256", "file_sha256", "sop_uid", "near_duplicate")
"""An equal, non-empty value in one of these joins two patients."""
_OF_MANY = ".npy"
"""The file of a patch archive holds the images of all patients."""


def joining_rows(cohort: Cohort) -> pd.DataFrame:
    """What could join patients of a cohort, a row a finding and channel.

    Columns: finding_key, patient_id, label, group, image_sha256 (of the patch), file_sha256 (of the source's file, a
    copy of which may be cropped elsewhere), sop_uid, phash (empty where the cohort has none; `near_duplicate_groups`
    makes the column near_duplicate of the last, over all cohorts together).
    """
    findings = cohort.findings
    common = findings[["finding_key", "patient_id", "label", "group", "image_sha256"]]
    sha256: Mapping[str, str] = cohort.info.get("source_sha256", {})
    tables = []
    for channel in cohort.channels:
        sop_uid, phash, file = (
            findings.get(f"{channel}_{name}", pd.Series("", findings.index)) for name in ("sop_uid", "phash", "file")
        )
        own = [sha256.get(name, "") if not str(name).endswith(_OF_MANY) else "" for name in file]
        tables.append(common.assign(sop_uid=sop_uid, phash=phash, file_sha256=own))
    return pd.concat(tables, ignore_index=True)


def linked_patients(rows: pd.DataFrame, others: pd.DataFrame) -> dict[str, set[str]]:
    """The patients of `others` that a finding's patient is, or shares something with, by the finding_key of `rows`.

    rows, others: patient_id and any of JOINING_COLUMNS, a finding in one row or several. Unlike being of one unit
    (`indivisible_units`), being linked does not carry over.
    """
    linked: dict[str, set[str]] = {key: set() for key in rows["finding_key"]}
    for name in ("patient_id", *JOINING_COLUMNS):
        if name in rows and name in others:
            patients = others[present(others[name])].groupby(name)["patient_id"].agg(set)
            for key, value in rows.loc[present(rows[name]), ["finding_key", name]].itertuples(index=False):
                linked[key] |= patients.get(value, set())
    return linked


def indivisible_units(rows: pd.DataFrame) -> dict[str, int]:
    """The unit of each patient_id: 0, 1, ... in the order of the units' alphabetically first patients.

    rows: patient_id and any of JOINING_COLUMNS; a finding may stand in several rows. Units are the connected
    components of the graph of patients and of what they share, so that being joined carries over (A-B, B-C: A-C).
    The numbers depend on the set of rows, not on their order.
    """
    patients = sorted(rows["patient_id"].unique())
    number = {patient: index for index, patient in enumerate(patients)}
    left, right = [], []
    n_nodes = len(patients)
    for name in JOINING_COLUMNS:
        if name not in rows:
            continue
        filled = rows[present(rows[name])]
        codes, values = pd.factorize(filled[name])
        left.append(filled["patient_id"].map(number).to_numpy(dtype=np.int64))
        right.append(n_nodes + codes)
        n_nodes += len(values)
    ends = tuple(np.concatenate([np.zeros(0, dtype=np.int64), *side]) for side in (left, right))
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(n_nodes, n_nodes))
    _, components = connected_components(graph, directed=False)
    units: dict[int, int] = {}
    return {patient: units.setdefault(int(components[index]), len(units)) for patient, index in number.items()}


def find_leaks(rows: pd.DataFrame) -> list[str]:
    """A sentence for each patient, group, image or instance that stands in two subsets, or folds, of one replicate.

    rows: splits joined with their cohorts' rows: replicate, subset, patient_id, and any of fold, cohort, dataset and
    JOINING_COLUMNS. The folds of two data sets have nothing to do with each other. An empty list: nothing that was
    trained on is tested, in one cohort or across them.
    """
    return [sentence for name in ("patient_id", *JOINING_COLUMNS) if name in rows for sentence in _leaks(rows, name)]


def present(values: pd.Series) -> pd.Series:
    """(n,) bool: which cells hold a value; nan and empty text do not."""
    return values.notna() & (values.astype(str) != "")


def _leaks(rows: pd.DataFrame, name: str) -> Iterator[str]:
    filled = rows[present(rows[name])]
    for kind in ("subset", "fold"):
        if kind not in filled:
            continue
        placed = filled[present(filled[kind])]
        within = [placed["dataset"]] if kind == "fold" and "dataset" in placed else []
        places = placed.groupby(["replicate", name, *within])[kind].nunique()
        for replicate, value, *dataset in places.index[places > 1]:
            together = placed[(placed["replicate"] == replicate) & (placed[name] == value)]
            together = together[together["dataset"] == dataset[0]] if dataset else together
            named = sorted(together[kind].astype(str).unique())
            sentence = f"Replicate {replicate}: {name} {value} stands in the {kind}s {' and '.join(named)}"
            yield f"{sentence} ({_where(together, kind)})." if "cohort" in together else f"{sentence}."


def _where(together: pd.DataFrame, kind: str) -> str:
    """One finding of each place, by which a user finds the leak: `test: prostatex_dwi ProstateX-0001/1/1`."""
    shown = together.sort_values([kind, "cohort", "finding_key"]).drop_duplicates([kind, "cohort"])
    return ", ".join(
        f"{row[kind]}: {row['cohort']} {row['finding_key']}" for row in shown.astype(str).to_dict("records")
    )
