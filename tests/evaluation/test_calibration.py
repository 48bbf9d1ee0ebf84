import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, log_loss, roc_curve

from lesion_transfer.evaluation.calibration import (
    apply_temperature,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    operating_point,
    reliability,
)

findings = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=4, max_size=40).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


def arrays(rows):
    labels, probabilities = zip(*rows, strict=True)
    return np.array(labels), np.array(probabilities)


def calibrated(n, seed=0):
    generator = np.random.default_rng(seed)
    probabilities = generator.random(n)
    return generator.random(n) < probabilities, probabilities


@given(findings)
@settings(deadline=None, max_examples=30)
def test_brier_is_scikit_learns_and_weights_are_repetitions(rows):
    labels, probabilities = arrays(rows)
    weights = np.arange(len(labels)) % 3
    weights[0] = 1
    found = brier_score(labels, probabilities, np.stack([np.ones(len(labels)), weights]))
    repeated = np.repeat(np.arange(len(labels)), weights)
    assert found[0] == pytest.approx(brier_score_loss(labels, probabilities))
    assert found[1] == pytest.approx(np.mean((probabilities - labels)[repeated] ** 2))
    gap = expected_calibration_error(labels, probabilities, weights[None])[0]
    again = expected_calibration_error(labels[repeated], probabilities[repeated], np.ones((1, len(repeated))))[0]
    assert gap == pytest.approx(again)


def test_calibration_error_by_hand():
    labels = np.array([True, False, True, True])
    probabilities = np.array([0.12, 0.18, 0.95, 1.0])
    # bin [0.1, 0.2): mean 0.15, half positive; bin [0.9, 1]: mean 0.975, all positive
    found = expected_calibration_error(labels, probabilities, np.ones((1, 4)))[0]
    assert found == pytest.approx(0.5 * 0.35 + 0.5 * 0.025)
    low, high = reliability(labels, probabilities)
    assert (low.n, low.mean_probability, low.observed) == (2, pytest.approx(0.15), 0.5)
    assert (high.low, high.high, high.observed) == (0.9, 1.0, 1.0)
    assert high.observed_low < 1


def test_a_calibrated_model_has_a_small_error_and_a_temperature_of_one():
    labels, probabilities = calibrated(20_000)
    assert expected_calibration_error(labels, probabilities, np.ones((1, 20_000)))[0] < 0.02
    assert fit_temperature(labels, probabilities) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_an_over_or_underconfident_model_is_mended_and_keeps_its_order(factor):
    labels, honest = calibrated(20_000)
    stated = expit(logit(honest) * factor)
    temperature = fit_temperature(labels, stated)
    assert temperature == pytest.approx(factor, rel=0.05)
    mended = apply_temperature(stated, temperature)
    assert log_loss(labels, mended) < log_loss(labels, stated)
    assert (np.argsort(mended, kind="stable") == np.argsort(stated, kind="stable")).all()


@given(findings)
@settings(deadline=None, max_examples=30)
def test_no_temperature_on_a_grid_is_better_than_the_fitted_one(rows):
    labels, probabilities = arrays(rows)
    probabilities = np.clip(probabilities, 0.001, 0.999)
    best = log_loss(labels, apply_temperature(probabilities, fit_temperature(labels, probabilities)))
    for temperature in np.geomspace(0.02, 50, 30):
        assert best <= log_loss(labels, apply_temperature(probabilities, temperature)) + 1e-4


@given(findings)
@settings(deadline=None, max_examples=30)
def test_the_operating_point_has_the_largest_youden_index(rows):
    labels, probabilities = arrays(rows)
    called = probabilities >= operating_point(labels, probabilities)
    found = called[labels].mean() - called[~labels].mean()
    false_alarms, recall, _ = roc_curve(labels, probabilities, drop_intermediate=False)
    # calling nothing, which no threshold among the probabilities does, has an index of 0
    assert found == pytest.approx(np.max((recall - false_alarms)[1:]))


@pytest.mark.parametrize(("low", "high", "nearest"), [(0.1, 0.6, 0.6), (0.4, 0.9, 0.4)])
def test_of_equally_good_operating_points_the_one_nearest_to_one_half_is_taken(low, high, nearest):
    # from `low` on one of two positives is added for one of two negatives: recall - false alarms is 1/2 at both
    labels, probabilities = np.array([False, True, False, True]), np.array([low / 2, low, (low + high) / 2, high])
    assert operating_point(labels, probabilities) == nearest


def test_one_class_fits_nothing():
    labels, probabilities = np.array([True, True]), np.array([0.2, 0.9])
    assert fit_temperature(labels, probabilities) is None
    assert operating_point(labels, probabilities) is None
