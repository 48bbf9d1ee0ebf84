"""The transfer ledger's statistics: differences of AUC within outer folds, averaged, with intervals over patients.

Scores of two models are on two scales, so findings that different models scored are never ranked together: an AUC is
computed within one fold of one repeat, where a single model scored every finding, and only then averaged.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats

from lesion_transfer.evaluation.bootstrap import CONFIDENCE, percentile_interval, two_sided_p
from lesion_transfer.evaluation.predictions import PredictionsError, labelled
from lesion_transfer.evaluation.weighted import weighted_metric


@dataclass(frozen=True)
class OuterTable:
    """The predictions of one model for each repeat and fold, of the labelled findings, in order of finding_key.

    labels bool (n,), patients (n,) text, fold int (R, n), probability float64 (R, n).
    """

    findings: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    fold: np.ndarray
    probability: np.ndarray

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Every (repeat, fold), in order; each is one training."""
        return [(repeat, int(fold)) for repeat, row in enumerate(self.fold) for fold in np.unique(row)]


@dataclass(frozen=True)
class CellScores:
    """The AUC of one model, or a difference of two, within each cell; nan where a class is missing there.

    point (n_cells,); drawn (n_draws, n_cells), under each draw of patients.
    """

    point: np.ndarray
    drawn: np.ndarray

    def __sub__(self, other: "CellScores") -> "CellScores":
        return CellScores(self.point - other.point, self.drawn - other.drawn)


@dataclass(frozen=True)
class LedgerEstimate:
    """An average over cells with its interval over patients, and apart from it the spread between trainings.

    low, high: other patients, the same trained models. low_trainings, high_trainings: other patients and trainings, see
    `_over_trainings`. p: of 0, two-sided, the larger of the two that belong to these intervals. by_repeat: the average
    within each repeat. sd_repeats: their standard deviation (other folds, initialisations, batches; the same patients).
    sd_trainings: that of all cells, in which the chance of which patients a fold holds is contained. n_undefined: draws
    without any defined cell.
    """

    value: float | None
    low: float | None
    high: float | None
    low_trainings: float | None
    high_trainings: float | None
    p: float | None
    by_repeat: list[float | None]
    sd_repeats: float | None
    sd_trainings: float | None
    n_cells: int
    n_cells_undefined: int
    n_undefined: int

    def to_dict(self) -> dict[str, object]:
        """The fields by name, ready for JSON."""
        return asdict(self)


def outer_table(table: pd.DataFrame) -> OuterTable:
    """The predictions table of one phase of one arm: a row a finding and repeat, `fold` the outer fold that tested it.

    Raises PredictionsError where a repeat lacks a finding that another has, or a fold is missing.
    """
    known = labelled(table)
    if known.empty:
        raise PredictionsError("No finding has a label, so there is nothing to compare; predict labelled findings.")
    if known["fold"].isna().any():
        raise PredictionsError(f"Finding {known.loc[known['fold'].isna(), 'finding_key'].iloc[0]} has no outer fold.")
    repeats = [rows.sort_values("finding_key") for _, rows in known.groupby("replicate", sort=True)]
    first = repeats[0]
    for rows in repeats:
        if list(rows["finding_key"]) != list(first["finding_key"]):
            raise PredictionsError(
                f"Repeat {rows['replicate'].iloc[0]} does not test the findings of repeat "
                f"{first['replicate'].iloc[0]}, each once; run the ledger again."
            )
    return OuterTable(
        first["finding_key"].to_numpy(dtype=str),
        first["label"].to_numpy(dtype=bool),
        first["patient_id"].to_numpy(dtype=str),
        np.stack([rows["fold"].to_numpy(dtype=np.int64) for rows in repeats]),
        np.stack([rows["probability"].to_numpy(dtype=np.float64) for rows in repeats]),
    )


def stratified_patient_draws(
    patients: np.ndarray, labels: np.ndarray, generator: np.random.Generator, n_draws: int
) -> np.ndarray:
    """How often each finding counts in each draw, int64 (n_draws, n): patients are drawn with all their findings.

    Two strata, patients with a positive finding and those without; of each as many patients as there are are drawn with
    replacement. So every draw has about as many positives as the data (a patient's findings need not agree), and a
    small fold seldom loses a class. A patient's weight is the same in every repeat.
    """
    names, number = np.unique(patients, return_inverse=True)
    has_positive = np.zeros(len(names), dtype=bool)
    has_positive[number[labels]] = True
    counts = np.zeros((n_draws, len(names)), dtype=np.int64)
    for stratum in (has_positive, ~has_positive):
        size = int(stratum.sum())
        if size:
            counts[:, stratum] = generator.multinomial(size, np.full(size, 1 / size), size=n_draws)
    return counts[:, number]


def cell_scores(table: OuterTable, draws: np.ndarray) -> CellScores:
    """AUC within every cell, of the data and under each draw (n_draws, n) of `stratified_patient_draws`."""
    weights = np.vstack([np.ones((1, len(table.labels)), dtype=np.int64), draws])
    columns = []
    for repeat, fold in table.cells:
        rows = table.fold[repeat] == fold
        columns.append(weighted_metric("auc", table.labels[rows], table.probability[repeat, rows], weights[:, rows]))
    scores = np.stack(columns, axis=1)
    return CellScores(scores[0], scores[1:])


def estimate(
    scores: CellScores,
    repeats: np.ndarray,
    n_folds: int,
    confidence: float = CONFIDENCE,
    validation_share: float = 0.0,
) -> LedgerEstimate:
    """The plain mean over defined cells, with both intervals.

    repeats: (n_cells,) the repeat of each cell. The interval over patients is made of percentiles of the same mean
    under each draw; its p is twice the smaller share of draws on one side of 0, the data counted as a draw.
    validation_share: of the patients outside a fold, who train no weight.
    """
    test_to_train = math.inf if n_folds < 2 else 1 / ((n_folds - 1) * (1 - validation_share))
    value = _mean(scores.point)
    by_repeat = [_mean(scores.point[repeats == repeat]) for repeat in np.unique(repeats)]
    cells = scores.point[~np.isnan(scores.point)]
    drawn = _row_means(scores.drawn)
    defined = drawn[~np.isnan(drawn)]
    low, high = percentile_interval(defined, confidence)
    p_patients = two_sided_p(defined)
    low_trainings, high_trainings, p_trainings = _over_trainings(cells, defined, test_to_train, confidence)
    known = [mean for mean in by_repeat if mean is not None]
    return LedgerEstimate(
        value=value,
        low=low,
        high=high,
        low_trainings=low_trainings,
        high_trainings=high_trainings,
        p=None if p_patients is None or p_trainings is None else max(p_patients, p_trainings),
        by_repeat=by_repeat,
        sd_repeats=float(np.std(known, ddof=1)) if len(known) > 1 else None,
        sd_trainings=float(np.std(cells, ddof=1)) if len(cells) > 1 else None,
        n_cells=len(scores.point),
        n_cells_undefined=len(scores.point) - len(cells),
        n_undefined=int(np.isnan(drawn).sum()),
    )


Interval = tuple[float | None, float | None, float | None]
"""low, high, p."""


def _over_trainings(cells: np.ndarray, drawn: np.ndarray, test_to_train: float, confidence: float) -> Interval:
    """The normal interval of a mean of differences, whose variance has two parts: patients and trainings.

    cells: (J,) defined differences; drawn: (n_draws,) their mean under each draw of patients. The variance over
    patients is that of `drawn`. What other training patients would add is the variance between cells times
    test_to_train = n_test / n_train, the correction of Nadeau and Bengio (2003) for trainings that share most of
    their patients. Their first part, the variance between cells / J, counts a patient's repeats as other patients: the
    bootstrap takes its place. benchmarks/ledger_calibration.py measures how often such an interval misses.
    """
    if len(cells) < 2 or len(drawn) < 2 or np.ptp(cells) == 0:
        return None, None, None
    error = math.sqrt(float(np.var(drawn)) + test_to_train * float(np.var(cells, ddof=1)))
    middle = float(cells.mean())
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * error
    return middle - reach, middle + reach, 2 * float(stats.norm.sf(abs(middle) / error))


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _row_means(values: np.ndarray) -> np.ndarray:
    """(n_draws,) the mean of each row's defined cells, nan where a row has none."""
    known = ~np.isnan(values)
    means = np.full(len(values), np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1), out=means, where=known.any(axis=1))
    return means
