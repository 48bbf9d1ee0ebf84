"""How often a 95 % interval of an AUC holds the truth when lesions of one patient resemble each other.

    python benchmarks/coverage.py --studies 1000

Each simulated study has patients with 1 to 5 lesions. Label and score of a lesion share a part that belongs to its
patient; the true AUC, of a positive and a negative lesion of two patients, is known in closed form. Measured are the
percentile bootstrap over patients (what is reported), the same over single lesions, DeLong 1988 (lesions treated as
independent) and Obuchowski 1997 (clusters). An interval that is too short holds the truth in less than 95 %.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import norm

from lesion_transfer.evaluation.bootstrap import patient_draws
from lesion_transfer.evaluation.delong import auc_interval
from lesion_transfer.evaluation.weighted import weighted_metric

LESIONS_A_PATIENT = ((1, 2, 3, 4, 5), (0.54, 0.31, 0.1, 0.03, 0.02))
"""About as in PROSTATEx: 330 lesions of 204 patients."""
PREVALENCE = 76 / 330


@dataclass(frozen=True)
class Study:
    """Labels bool (n,), scores (n,), patients (n,)."""

    labels: np.ndarray
    scores: np.ndarray
    patients: np.ndarray


def simulate(generator: np.random.Generator, n_patients: int, separation: float, share: float) -> Study:
    """One study: `share` of the variance of the score, and of what makes a label, belongs to the patient.

    A label is true where a standard normal (patient's part and lesion's own) is above a cut; the score is another such
    normal, raised by `separation` where the label is true.
    """
    counts = generator.choice(LESIONS_A_PATIENT[0], n_patients, p=LESIONS_A_PATIENT[1])
    patients = np.repeat(np.arange(n_patients), counts)

    def shared() -> np.ndarray:
        patient_part = generator.normal(size=n_patients)[patients]
        return np.sqrt(share) * patient_part + np.sqrt(1 - share) * generator.normal(size=len(patients))

    labels = shared() > norm.isf(PREVALENCE)
    return Study(labels, shared() + separation * labels, patients.astype(str))


def true_auc(separation: float) -> float:
    """P(a positive's score > a negative's) of two patients: scores are normal with variance 1 within a class."""
    return float(norm.cdf(separation / np.sqrt(2)))


def intervals(study: Study, generator: np.random.Generator, n_draws: int) -> Iterator[tuple[str, float, float]]:
    """(method, low, high) of one study."""
    rows = np.arange(len(study.labels)).astype(str)
    for name, units in (("bootstrap of patients", study.patients), ("bootstrap of lesions", rows)):
        drawn = weighted_metric("auc", study.labels, study.scores, patient_draws(units, generator, n_draws))
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        yield name, low, high
    for name, clusters in (("DeLong, lesions independent", None), ("Obuchowski, patients", study.patients)):
        found = auc_interval(study.labels, study.scores, clusters)
        if found.low is not None and found.high is not None:
            yield name, found.low, found.high


def coverage(
    n_patients: int, separation: float, share: float, n_studies: int, n_draws: int, seed: int = 0
) -> dict[str, float]:
    """By method, the share of studies whose interval holds the true AUC."""
    generator = np.random.default_rng([seed, n_patients, int(100 * separation), int(100 * share)])
    truth = true_auc(separation)
    held: dict[str, list[bool]] = {}
    for _ in range(n_studies):
        study = simulate(generator, n_patients, separation, share)
        if study.labels.all() or not study.labels.any():
            continue
        for name, low, high in intervals(study, generator, n_draws):
            held.setdefault(name, []).append(low <= truth <= high)
    return {name: float(np.mean(values)) for name, values in held.items()}


def main() -> None:
    """Prints a table of coverages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=500)
    arguments = parser.parse_args()
    cases = [(n, separation, share) for n in (40, 204) for separation in (0.0, 1.0) for share in (0.0, 0.5, 0.9)]
    rows = [
        ((n, separation, share), coverage(n, separation, share, arguments.studies, arguments.draws))
        for n, separation, share in track(cases, "simulating", console=Console(stderr=True))
    ]
    methods = list(rows[0][1])
    table = Table("patients", "true AUC", "patient's share", *methods, title=f"{arguments.studies} studies a row")
    for (n, separation, share), found in rows:
        table.add_row(
            str(n), f"{true_auc(separation):.3f}", f"{share:.1f}", *(f"{found[name]:.3f}" for name in methods)
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
