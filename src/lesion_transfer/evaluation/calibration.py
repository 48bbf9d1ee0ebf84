"""Whether a probability means what it says, and where to cut it: both fitted on validation findings alone."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from lesion_transfer.evaluation.independent import wilson

N_BINS = 10
_SURE = 1e-12
"""Probabilities are kept this far from 0 and 1, where the logit is infinite."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Findings whose probability lies in [low, high): their mean probability, the share of positives, and Wilson's
    interval of that share (lesions treated as independent)."""

    low: float
    high: float
    n: int
    mean_probability: float
    observed: float
    observed_low: float
    observed_high: float


def brier_score(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared error of the probabilities (Brier 1950) under each row of weights (n_draws, n): (n_draws,)."""
    return weights @ (probabilities - labels) ** 2 / weights.sum(axis=1)


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, n_bins: int = N_BINS
) -> np.ndarray:
    """|mean probability - share of positives| over bins of equal width, weighted by their findings (Naeini 2015).

    Under each row of weights (n_draws, n): (n_draws,).
    """
    bins = _bin(probabilities, n_bins)
    gap = np.zeros(len(weights))
    for one in np.unique(bins):
        inside = bins == one
        gap += np.abs(weights[:, inside] @ (probabilities[inside] - labels[inside]))
    return gap / weights.sum(axis=1)


def reliability(labels: np.ndarray, probabilities: np.ndarray, n_bins: int = N_BINS) -> list[ReliabilityBin]:
    """The bins that hold a finding, in ascending order."""
    bins = _bin(probabilities, n_bins)
    found = []
    for one in np.unique(bins):
        inside = bins == one
        observed = wilson(int(labels[inside].sum()), int(inside.sum()))
        assert observed.value is not None
        assert observed.low is not None
        assert observed.high is not None
        mean = float(probabilities[inside].mean())
        edges = (float(one / n_bins), float((one + 1) / n_bins))
        found.append(ReliabilityBin(*edges, int(inside.sum()), mean, observed.value, observed.low, observed.high))
    return found


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """The T for which expit(logit(p) / T) has the smallest log loss (Guo et al. 2017); None with one class only.

    Between 1/100 and 100: findings that are told apart without a mistake would ask for 0.
    """
    if labels.all() or not labels.any():
        return None
    logits = _logit(probabilities)

    def log_loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, np.where(labels, -scaled, scaled))))

    found = minimize_scalar(log_loss, bounds=(-np.log(100), np.log(100)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """expit(logit(p) / T); their order stays, and so every AUC."""
    return np.asarray(expit(_logit(probabilities) / temperature))


def operating_point(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """The probability from which on a finding is called positive for the largest recall + specificity (Youden 1950).

    One of the probabilities; of equally good ones the one nearest to 0.5. None with one class only.
    """
    if labels.all() or not labels.any():
        return None
    candidates = np.unique(probabilities)
    called = probabilities[None, :] >= candidates[:, None]
    gain = called[:, labels].mean(axis=1) - called[:, ~labels].mean(axis=1)
    best = candidates[gain >= gain.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _bin(probabilities: np.ndarray, n_bins: int) -> np.ndarray:
    return np.minimum((probabilities * n_bins).astype(int), n_bins - 1)


def _logit(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(probabilities, _SURE, 1 - _SURE)))
