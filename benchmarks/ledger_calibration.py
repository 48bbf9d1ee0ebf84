"""How often the ledger says "helped" or "harmed" where the truth is known: simulated patients, cheap models.

Each run draws patients with one to three findings that resemble each other, deals them to outer folds (stratified by
whether a patient has a positive finding), fits a ridge classifier without the fold's patients in each fold and repeat,
and asks the ledger's own statistics.

    python benchmarks/ledger_calibration.py [RUNS]

permuted labels   what is learnt has nothing to do with the labels, so no difference is real
equally good      before and after read other features, as informative as each other on average over data sets
planted           after reads features that say more
"""

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.progress import track
from scipy.stats import binomtest

from lesion_transfer.evaluation.ledger import (
    LedgerEstimate,
    cell_scores,
    estimate,
    outer_table,
    stratified_patient_draws,
)

N_PATIENTS, N_FEATURES, FOLDS, REPEATS, DRAWS = 160, 8, 5, 2, 500


@dataclass(frozen=True)
class Scenario:
    """signal: how far the classes' means lie apart in the features that before and after read."""

    name: str
    signal_before: float
    signal_after: float
    permuted: bool = False


SCENARIOS = (
    Scenario("permuted labels", 1.0, 1.0, permuted=True),
    Scenario("equally good", 0.8, 0.8),
    Scenario("planted", 0.5, 1.2),
)


def simulated_findings(
    scenario: Scenario, generator: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Findings, and the features (n, N_FEATURES) that before and after read; a patient's findings share an effect."""
    per_patient = generator.integers(1, 4, N_PATIENTS)
    patient = np.repeat(np.arange(N_PATIENTS), per_patient)
    tendency = generator.normal(-0.9, 1.0, N_PATIENTS)[patient]
    labels = tendency + generator.normal(0, 1, len(patient)) > 0
    features = []
    common = generator.normal(0, 1, (len(patient), N_FEATURES))
    for signal in (scenario.signal_before, scenario.signal_after):
        own = generator.normal(0, 1, (len(patient), N_FEATURES))
        of_patient = generator.normal(0, 1, (N_PATIENTS, N_FEATURES))[patient]
        x = 0.5 * common + own + 0.7 * of_patient
        x[:, 0] += signal * labels
        features.append(x)
    if scenario.permuted:
        order = generator.permutation(N_PATIENTS)
        labels = labels[np.argsort(order[patient], kind="stable")]
    names = [f"P{number:03d}" for number in patient]
    table = pd.DataFrame({"finding_key": [f"{n}/{i}/1" for i, n in enumerate(names)], "patient_id": names})
    table["label"] = pd.Series(list(map(bool, labels)), dtype=object)
    return table, features[0], features[1]


def scores(x: np.ndarray, labels: np.ndarray, train: np.ndarray) -> np.ndarray:
    """A ridge classifier fitted on the training rows, read on all rows; squeezed into [0, 1]."""
    design = np.column_stack([x, np.ones(len(x))])
    fitted = np.linalg.solve(
        design[train].T @ design[train] + np.eye(design.shape[1]), design[train].T @ (2.0 * labels[train] - 1)
    )
    return 1 / (1 + np.exp(-design @ fitted))


def outer_folds(findings: pd.DataFrame, generator: np.random.Generator) -> np.ndarray:
    """(REPEATS, n) the fold that tests each finding: the patients of each stratum, shuffled, in turn."""
    has_positive = findings.groupby("patient_id", sort=True)["label"].any().to_numpy(dtype=bool)
    patient = np.unique(findings["patient_id"], return_inverse=True)[1]
    folds = np.empty((REPEATS, len(has_positive)), dtype=np.int64)
    for repeat in range(REPEATS):
        order = np.lexsort((generator.random(len(has_positive)), has_positive))
        folds[repeat, order] = np.arange(len(order)) % FOLDS
    return folds[:, patient]


def predictions(findings: pd.DataFrame, x: np.ndarray, folds: np.ndarray) -> pd.DataFrame:
    """One model a repeat and fold, trained without the fold's patients; a row a finding and repeat."""
    labels = findings["label"].to_numpy(dtype=bool)
    parts = []
    for replicate, row in enumerate(folds):
        probability = np.empty(len(row))
        for fold in range(FOLDS):
            probability[row == fold] = scores(x, labels, row != fold)[row == fold]
        parts.append(findings.assign(replicate=replicate, fold=row, probability=probability))
    return pd.concat(parts, ignore_index=True)


def one_run(scenario: Scenario, seed: int) -> LedgerEstimate:
    """After minus before."""
    generator = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    findings, before, after = simulated_findings(scenario, generator)
    folds = outer_folds(findings, generator)
    tables = [outer_table(predictions(findings, x, folds)) for x in (before, after)]
    draws = stratified_patient_draws(tables[0].patients, tables[0].labels, generator, DRAWS)
    cells = [cell_scores(table, draws) for table in tables]
    return estimate(cells[1] - cells[0], np.array([repeat for repeat, _ in tables[0].cells]), FOLDS)


def excludes_zero(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and (low > 0 or high < 0)


def main() -> None:
    n_runs = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    for scenario in SCENARIOS:
        found = [one_run(scenario, seed) for seed in track(range(n_runs), scenario.name)]
        patients = [excludes_zero(one.low, one.high) for one in found]
        trainings = [excludes_zero(one.low_trainings, one.high_trainings) for one in found]
        both = [a and b for a, b in zip(patients, trainings, strict=True)]
        mean = np.mean([one.value for one in found])
        sys.stdout.write(f"{scenario.name}: mean difference {mean:+.4f}; runs that exclude 0:\n")
        for rule, hits in (
            ("interval over patients", patients),
            ("interval over trainings too", trainings),
            ("both", both),
        ):
            interval = binomtest(sum(hits), n_runs).proportion_ci(method="wilson")
            sys.stdout.write(
                f"  {rule}: {sum(hits)} of {n_runs}, {sum(hits) / n_runs:.3f} "
                f"(Wilson {interval.low:.3f} to {interval.high:.3f})\n"
            )


if __name__ == "__main__":
    main()
