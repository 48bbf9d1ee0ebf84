"""Patients -> train, validation, test and outer folds, once a data set, for every cohort and replicate of it."""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from lesion_transfer.cohorts.options import SplitOptions
from lesion_transfer.cohorts.units import find_leaks, indivisible_units
from lesion_transfer.errors import LesionError
from lesion_transfer.randomness import stream_seed

__all__ = ["SplitError", "assign_outer_folds", "assign_patients", "find_leaks", "inner_folds", "read_splits"]

SUBSETS = ("train", "validation", "test")
ATTEMPTS = 50
"""Seeds tried until each subset has both classes; stratification nearly always gives it with the first."""
_FINEST_SHARE = 20
"""A share is met as m of k folds with k at most this (0.15 = 3/20); 0.1 and 0.2 are one of 10 and one of 5."""
_UNKNOWN = 2


class SplitError(LesionError):
    """The data set cannot be split as asked: a sentence with the counts and what to change."""


def read_splits(path: Path) -> pd.DataFrame:
    """A table of finding_key, patient_id, replicate, subset and fold as written here: a patient may be called NA."""
    texts = {"finding_key": str, "patient_id": str}
    table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values={"fold": [""]})
    return table.astype({"fold": "Int64"})


def assign_patients(findings: pd.DataFrame, options: SplitOptions, has_test: bool, seed: int) -> pd.DataFrame:
    """finding_key, patient_id, replicate (0..), subset, fold (Int64 0.., empty for test): a finding once a replicate.

    findings: the union over the data set's cohorts: finding_key, patient_id, label (True, False, None) and any of
    units.JOINING_COLUMNS; a finding may stand in several rows. Patients who are joined by these are one unit and stay
    together. Test subset, validation subset and outer folds are drawn by scikit-learn's StratifiedGroupKFold over
    units, stratified by label (unknown labels as a class of their own). Shares are of the whole: 0.1 and 0.1 give
    80/10/10 (THESIS 4); without a test subset source_validation_share is used. The folds lie over everything but the
    test subset, whatever its split into train and validation. Every replicate draws all of it anew.

    A data set without a single label is all test: there is nothing to train on.

    The assignment depends on the set of findings and the seed, not on the order of rows. Raises SplitError where a
    subset cannot have both classes.
    """
    table = _one_row_a_finding(findings)
    shares = (options.test_share, options.validation_share) if has_test else (0.0, options.source_validation_share)
    if (table["target"] == _UNKNOWN).all():
        return _all_test(table, options.replicates)
    _refuse_hopeless(table, 3 if has_test else 2)
    # Drawn in alphabetical order, handed back in the order of first appearance.
    ordered = table.sort_values("finding_key", kind="stable")
    replicates = [_replicate(ordered, options, shares, seed, number) for number in range(options.replicates)]
    return pd.concat([drawn.loc[table.index] for drawn in replicates], ignore_index=True)


def _all_test(table: pd.DataFrame, replicates: int) -> pd.DataFrame:
    fold = pd.Series(pd.NA, index=table.index, dtype="Int64")
    columns = table[["finding_key", "patient_id"]].assign(replicate=0, subset="test", fold=fold)
    return pd.concat([columns.assign(replicate=number) for number in range(replicates)], ignore_index=True)


def inner_folds(rows: pd.DataFrame, joined: pd.DataFrame, n_folds: int, seed: int, *stream: str) -> np.ndarray:
    """(n,) int64, the fold 0 .. n_folds - 1 of each row: of a cross-validation inside a phase's training rows.

    rows: patient_id, label (True, False, None). joined: what joins their patients, as of `units.indivisible_units`;
    those stay together. Stratified by label; each fold has both classes. seed, stream: of the draw.
    Raises SplitError where that cannot be.
    """
    table = rows.reset_index(drop=True)
    table = table.assign(target=_targets(table), unit=table["patient_id"].map(indivisible_units(joined)))
    if min(table.loc[table["target"] == target, "unit"].nunique() for target in (0, 1)) >= n_folds:
        folds = _outer_folds(table, n_folds, seed, stream)
        if all(_both_classes(table[folds == number]) for number in range(n_folds)):
            return folds.astype(np.int64)
    raise SplitError(
        f"{_counts(table)} cannot make {n_folds} folds with both classes in each; ask for fewer (cv.folds), or set "
        "cv.lrs to an empty list."
    )


def _targets(rows: pd.DataFrame) -> pd.Series:
    """0, 1 or 2 for an unknown label."""
    return rows["label"].map(lambda label: _UNKNOWN if pd.isna(label) else int(bool(label))).astype(np.int64)


def _one_row_a_finding(findings: pd.DataFrame) -> pd.DataFrame:
    """finding_key, patient_id, target (0, 1, 2 unknown) and unit, in order of first appearance; index 0.. ."""
    rows = findings.reset_index(drop=True)
    if rows.empty:
        raise SplitError("There is no finding to split; look at excluded.csv of the data set's cohorts.")
    rows = rows.assign(target=_targets(rows), unit=rows["patient_id"].map(indivisible_units(rows)))
    by_key = rows.groupby("finding_key", sort=False)
    known = rows[rows["target"] != _UNKNOWN].groupby("finding_key")["target"]
    for name, counts in (("patient_id", by_key["patient_id"].nunique()), ("label", known.nunique())):
        if (counts > 1).any():
            raise SplitError(
                f"Finding {(counts > 1).idxmax()} has another {name} in another cohort of the data set; "
                "a finding_key stands for one lesion, so build the cohorts again from the same tables."
            )
    table = by_key.first().reset_index()[["finding_key", "patient_id", "unit"]]
    # A label that only one of the cohorts knows is the finding's.
    table["target"] = table["finding_key"].map(known.first()).fillna(_UNKNOWN).astype(np.int64)
    return table


def _refuse_hopeless(table: pd.DataFrame, n_subsets: int) -> None:
    n_units = [table.loc[table["target"] == target, "unit"].nunique() for target in (0, 1)]
    if min(n_units) < n_subsets:
        raise SplitError(
            f"{_counts(table)}: {n_units[1]} separable patients have a positive and {n_units[0]} a negative finding, "
            f"but each of {n_subsets} subsets needs one of both; use more data"
            + (", or leave out what joins the patients (equal images, groups)." if _joined(table) else ".")
        )


def _replicate(
    table: pd.DataFrame, options: SplitOptions, shares: tuple[float, float], seed: int, number: int
) -> pd.DataFrame:
    """One replicate's rows, indexed as the table."""
    test_share, validation_share = shares
    stream = ("split", f"replicate {number}")
    for attempt in range(ATTEMPTS):
        subset = pd.Series("train", index=table.index, dtype=object)
        if test_share:
            test = _draw(table, test_share, stream_seed(seed, *stream, "test", str(attempt)))
            subset[table.index[table["unit"].isin(test)]] = "test"
        rest = table[subset == "train"]
        share = validation_share / (1 - test_share)
        validation = _draw(rest, share, stream_seed(seed, *stream, "validation", str(attempt)))
        subset[rest.index[rest["unit"].isin(validation)]] = "validation"
        wanted = SUBSETS if test_share else SUBSETS[:2]
        if all(_both_classes(table[subset == name]) for name in wanted):
            break
    else:
        raise SplitError(
            f"Replicate {number}: {ATTEMPTS} draws of {_counts(table)} left a subset without one of the classes; "
            "use a larger test_share and validation_share, or more data."
        )
    fold = pd.Series(pd.NA, index=table.index, dtype="Int64")
    rest = table[subset != "test"]
    fold[rest.index] = _outer_folds(rest, options.folds, seed, stream)
    return table[["finding_key", "patient_id"]].assign(replicate=number, subset=subset, fold=fold)


def _outer_folds(table: pd.DataFrame, n_folds: int, seed: int, stream: tuple[str, ...]) -> np.ndarray:
    """(n,) the fold of each row; each with both classes where some draw gives that, else the first draw."""
    if table["unit"].nunique() < n_folds:
        mend = "use more data" if n_folds == 2 else "ask for fewer, or use more data"
        raise SplitError(f"{_counts(table)} cannot make {n_folds} folds; {mend}.")
    first = None
    for attempt in range(ATTEMPTS):
        folds = np.full(len(table), -1)
        draws = _partition(table, n_folds, stream_seed(seed, *stream, "folds", str(attempt)))
        for number, rows in enumerate(draws):
            folds[rows] = number
        first = folds if first is None else first
        if all(_both_classes(table[folds == number]) for number in range(n_folds)):
            return folds
        if min(table.loc[table["target"] == target, "unit"].nunique() for target in (0, 1)) < n_folds:
            break
    assert first is not None
    return first


def _draw(table: pd.DataFrame, share: float, seed: int) -> set[int]:
    """The units of about this share of the table: m of k folds, those that together are most like the whole.

    Like in findings, patients and positives. A stratified fold is balanced in findings of each class, not in
    patients, which is what the thesis counts; taking the first fold would leave that to chance.
    """
    limit = min(table["unit"].nunique(), int(table["target"].value_counts().max()))
    if limit < 2:
        return set()
    finest = 1 / _FINEST_SHARE
    fraction = Fraction(min(max(share, finest), 1 - finest)).limit_denominator(_FINEST_SHARE)
    k = min(max(fraction.denominator, 2), limit)
    m = min(max(1, round(share * k)), k - 1)
    folds = [table.iloc[rows] for rows in _partition(table, k, seed)]
    parts = np.array([_amounts(fold) for fold in folds]) / np.maximum(_amounts(table), 1)
    chosen: list[int] = []
    while len(chosen) < m:
        target = (len(chosen) + 1) / k

        def unlike_the_whole(number: int, target: float = target) -> tuple[bool, float]:
            together = parts[[*chosen, number]].sum(axis=0)
            return not _both_classes(folds[number]), float(np.abs(together - target).sum())

        chosen.append(min(sorted(set(range(k)) - set(chosen)), key=unlike_the_whole))
    return {int(unit) for number in chosen for unit in folds[number]["unit"]}


def _amounts(rows: pd.DataFrame) -> np.ndarray:
    """(3,) findings, patients, positive findings."""
    return np.array([len(rows), rows["patient_id"].nunique(), (rows["target"] == 1).sum()])


def _partition(table: pd.DataFrame, k: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each of k folds that split no unit."""
    # imported where a split is drawn: it takes a second, which those who only read one need not wait
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # A class with fewer members than folds: seen to by our own checks of both classes.
        warnings.simplefilter("ignore", UserWarning)
        for _, rows in splitter.split(table, table["target"], groups=table["unit"]):
            yield rows


def _both_classes(rows: pd.DataFrame) -> bool:
    return {0, 1} <= set(rows["target"])


def _joined(table: pd.DataFrame) -> bool:
    return table["unit"].nunique() < table["patient_id"].nunique()


def _counts(table: pd.DataFrame) -> str:
    positive, negative = ((table["target"] == target).sum() for target in (1, 0))
    return (
        f"{len(table)} findings ({positive} positive, {negative} negative) of {table['patient_id'].nunique()} patients "
        f"in {table['unit'].nunique()} separable groups"
    )


def assign_outer_folds(
    findings: pd.DataFrame, repeats: int, n_folds: int, validation_share: float, seed: int
) -> pd.DataFrame:
    """finding_key, patient_id, replicate, fold, subset (train, validation, test): a finding once a replicate and fold.

    The outer cross-validation of the ledger. It lies over all patients of the data set, those of the pipeline's test
    subset too, because it chooses nothing for the pipeline and its own models never see their fold. In each repeat a
    patient is in the test subset of one fold; of the other patients of a fold about `validation_share` validate. Units,
    strata, arguments and errors are those of `assign_patients`; a repeat's folds do not depend on how many there are.
    """
    table = _one_row_a_finding(findings)
    _refuse_hopeless(table, 3)
    ordered = table.sort_values("finding_key", kind="stable")
    parts = []
    for replicate in range(repeats):
        stream = ("outer folds", f"replicate {replicate}")
        folds = _outer_folds(ordered, n_folds, seed, stream)
        for fold in range(n_folds):
            subset = _around_fold(ordered, folds == fold, validation_share, seed, (*stream, f"fold {fold}"))
            drawn = ordered[["finding_key", "patient_id"]].assign(replicate=replicate, fold=fold, subset=subset)
            parts.append(drawn.loc[table.index])
    return pd.concat(parts, ignore_index=True)


def _around_fold(
    table: pd.DataFrame, tested: np.ndarray, validation_share: float, seed: int, stream: tuple[str, ...]
) -> pd.Series:
    """The subset of each row when `tested` (n,) is the outer fold."""
    subset = pd.Series("train", index=table.index, dtype=object)
    subset[tested] = "test"
    rest = table[~tested]
    for attempt in range(ATTEMPTS):
        units = _draw(rest, validation_share, stream_seed(seed, *stream, "validation", str(attempt)))
        validates = rest["unit"].isin(units)
        if _both_classes(rest[validates]) and _both_classes(rest[~validates]):
            subset[rest.index[validates]] = "validation"
            return subset
    raise SplitError(
        f"{ATTEMPTS} draws of {_counts(rest)} left the training or validation patients of an outer fold without one of "
        "the classes; use fewer folds, a larger validation_share, or more data."
    )
