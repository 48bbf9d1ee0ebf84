"""The predictions table: its columns, reading it, choosing rows of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lesion_transfer.errors import LesionError

COLUMNS = (
    "cohort",
    "finding_key",
    "patient_id",
    "finding_id",
    "label",
    "subset",
    "fold",
    "replicate",
    "copy",
    "probability",
)
"""One row a finding, replicate and copy; copy 0 is the finding as it is, the others are augmented copies of it."""

BASELINE = "baseline"
"""A further column of reports/baselines.csv: which baseline a row is of."""
_KEY = ["finding_key", "replicate", "copy"]
SUBSETS = ("", "train", "validation", "test", "new", "out_of_fold")
"""new: of findings that belong to no split; out_of_fold: of training findings, by a baseline of the other folds."""
_TEXTS = ("cohort", "finding_key", "patient_id", "finding_id", "subset")
_LABELS: Mapping[object, bool | None] = {"True": True, "False": False, "": None}


class PredictionsError(LesionError):
    """A predictions table that cannot be evaluated; the message is a sentence naming the row and what to do."""


def predictions_of_images(images: pd.DataFrame, probabilities: np.ndarray, first_copy: int = 0) -> pd.DataFrame:
    """The table of images (n rows, all columns but copy and probability) whose copies have probabilities (n, copies).

    Where each sequence is an image of its own (mode separate), a finding's probability is the mean over its images.
    """
    n, copies = probabilities.shape
    table = images.loc[images.index.repeat(copies)].reset_index(drop=True)
    table["copy"] = np.tile(np.arange(first_copy, first_copy + copies), n)
    table["probability"] = probabilities.ravel()
    key = ["finding_key", "copy"]
    table["probability"] = table.groupby(key)["probability"].transform("mean")
    return table.drop_duplicates(key, ignore_index=True)[list(COLUMNS)]


def read_predictions(path: Path) -> pd.DataFrame:
    """The table of one predictions.csv; ids as text, label True, False or None, fold an integer or missing.

    Raises PredictionsError where `checked_predictions` would, naming the line of the file.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise PredictionsError(
            f"There is no predictions table {path}: is the path right, and its stage done?"
        ) from None
    except IsADirectoryError:
        raise PredictionsError(f"{path} is a folder: name a table, as {path / 'predictions.csv'}.") from None
    except OSError as error:
        raise PredictionsError(f"{path} cannot be read: {error.strerror}.") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise PredictionsError(f"{path} is not a CSV table ({error}); write it anew.") from error
    return checked_predictions(table, str(path))


def checked_predictions(table: pd.DataFrame, source: str = "The predictions table") -> pd.DataFrame:
    """A copy of `table` with the types that evaluation relies on, its rows in the same order, further columns kept.

    Raises PredictionsError: a column is missing, a probability is no number in [0, 1], a label is neither True, False
    nor empty, a count is no whole number, or a finding of a cohort stands twice under one replicate and copy. `source`
    begins the message; rows are named as lines of a CSV, of which line 1 is the header.
    """
    missing = [name for name in COLUMNS if name not in table.columns]
    if len(missing) == len(COLUMNS):
        raise PredictionsError(f"{source} is no predictions table, whose columns are {', '.join(COLUMNS)}.")
    if missing:
        raise PredictionsError(f"{source} has no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}.")
    checked = table.reset_index(drop=True).copy()
    for name in _TEXTS:
        checked[name] = pd.Series([str(cell) for cell in checked[name]], dtype=object)
    checked["label"] = pd.Series([_label(cell, row, source) for row, cell in enumerate(checked["label"])], dtype=object)
    for name in ("replicate", "copy"):
        checked[name] = np.array([_count(cell, name, row, source) for row, cell in enumerate(checked[name])], np.int64)
    folds = [None if _is_empty(cell) else _count(cell, "fold", row, source) for row, cell in enumerate(checked["fold"])]
    checked["fold"] = pd.array(folds, dtype="Int64")
    probabilities = [_probability(cell, row, source) for row, cell in enumerate(checked["probability"])]
    checked["probability"] = np.array(probabilities, np.float64)
    repeated = checked.duplicated(["cohort", *_KEY, *({BASELINE} & set(checked.columns))])
    if checked.empty:
        raise PredictionsError(f"{source} has no row; write it anew.")
    if unknown := [subset for subset in checked["subset"].unique() if subset not in SUBSETS]:
        raise PredictionsError(f"{source}: there is no subset {unknown[0]!r}; it is {', '.join(SUBSETS[1:])} or empty.")
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        key, replicate, copy = checked.loc[row, _KEY]
        raise PredictionsError(
            f"{source}, line {row + 2}: finding {key} stands twice under replicate {replicate}, copy {copy}; "
            "keep one of the rows."
        )
    return checked


def select(
    table: pd.DataFrame, *, subset: str | None = None, replicate: int | None = None, copy: int | None = 0
) -> pd.DataFrame:
    """The rows of one subset, replicate and copy; None takes all of them. Raises PredictionsError when none is left."""
    keep = np.ones(len(table), dtype=bool)
    for name, wanted in (("subset", subset), ("replicate", replicate), ("copy", copy)):
        if wanted is not None:
            keep &= (table[name] == wanted).to_numpy(dtype=bool)
    if not keep.any():
        there = "; ".join(f"{name}: {_listed(table[name])}" for name in ("subset", "replicate", "copy"))
        raise PredictionsError(
            f"No prediction has subset {subset or 'any'}, replicate {'any' if replicate is None else replicate}, "
            f"copy {'any' if copy is None else copy}; the table has {there}."
        )
    return table[keep].reset_index(drop=True)


@dataclass(frozen=True)
class ModelRows:
    """The rows of a table that one model scored.

    baseline: its name in the table of baselines, else empty. fold: of tested rows that have one, as in the tables of
    ledger and baselines, where each fold has a model of its own and scores of different models are no ranking; None
    elsewhere (training rows are merely assigned to theirs).
    """

    baseline: str
    cohort: str
    subset: str
    replicate: int
    fold: int | None
    rows: pd.DataFrame


def by_model(table: pd.DataFrame) -> Iterator[ModelRows]:
    """Every group of rows that one model scored, in order."""
    predicted = table["subset"].isin(["test", "out_of_fold"])
    outer = table["fold"].where(predicted).fillna(-1).astype(int).rename("outer")
    baseline = table.get(BASELINE, pd.Series("", table.index)).astype(str).rename(BASELINE)
    groups = table.groupby([baseline, table["cohort"], table["subset"], table["replicate"], outer], sort=True)
    for names, rows in groups:
        name, cohort, subset, replicate, fold = map(str, names)
        yield ModelRows(name, cohort, subset, int(replicate), None if int(fold) < 0 else int(fold), rows)


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose label is known."""
    return table[[label is not None for label in table["label"]]].reset_index(drop=True)


def _listed(column: pd.Series) -> str:
    return ", ".join(str(value) for value in sorted(column.unique())) or "none"


def _is_empty(cell: object) -> bool:
    return cell is None or cell is pd.NA or cell == "" or (isinstance(cell, float) and np.isnan(cell))


def _label(cell: object, row: int, source: str) -> bool | None:
    if isinstance(cell, (bool, np.bool_)):
        return bool(cell)
    if _is_empty(cell):
        return None
    if cell in _LABELS:
        return _LABELS[cell]
    raise PredictionsError(f"{source}, line {row + 2}: label {cell!r} is neither True, False nor empty.")


def _count(cell: object, name: str, row: int, source: str) -> int:
    try:
        number = float(str(cell))
    except ValueError:
        number = float("nan")
    if not (number >= 0 and number.is_integer()):
        raise PredictionsError(f"{source}, line {row + 2}: {name} {cell!r} is not a whole number from 0 on.")
    return int(number)


def _probability(cell: object, row: int, source: str) -> float:
    try:
        number = float(str(cell))
    except ValueError:
        number = float("nan")
    if not 0 <= number <= 1:
        raise PredictionsError(
            f"{source}, line {row + 2}: probability {cell!r} is not a number from 0 to 1; "
            "a model whose loss became nan writes such rows."
        )
    return number
