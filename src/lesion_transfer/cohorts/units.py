"""Which patients no split may separate: those joined by a group of duplicates or by an equal image."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

JOINING_COLUMNS = ("group", "image_sha256")
"""An equal, non-empty value in one of these joins two patients."""


def indivisible_units(rows: pd.DataFrame) -> dict[str, int]:
    """The unit of each patient_id: 0, 1, ... in the order of the units' alphabetically first patients.

    rows: patient_id and any of group and image_sha256; a finding may stand in several rows. Units are the connected
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
    """A sentence for each patient, group or image that stands in two subsets, or two folds, of one replicate.

    rows: a split joined with its cohort's rows: replicate, subset, patient_id, and any of fold, group, image_sha256.
    An empty list: nothing that was trained on is tested.
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
        for (replicate, value), together in placed.groupby(["replicate", name]):  # type: ignore[misc]
            places = sorted(together[kind].astype(str).unique())
            if len(places) > 1:
                yield (
                    f"Replicate {replicate}: {name} {value} stands in the {kind}s {' and '.join(places)}; "
                    "draw the split again with every cohort of the data set."
                )
