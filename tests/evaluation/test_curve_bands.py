import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve as sk_precision_recall
from sklearn.metrics import roc_auc_score

from lesion_transfer.evaluation.bootstrap import patient_draws
from lesion_transfer.evaluation.curve_bands import (
    GRID,
    THRESHOLDS,
    decision_curve,
    precision_recall_curve,
    roc_curve,
    treat_all,
)

findings = st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=4, max_size=40).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


def arrays(rows):
    labels, tenths = zip(*rows, strict=True)
    return np.array(labels), np.array(tenths) / 10, np.ones((1, len(labels)))


@given(findings)
@settings(deadline=None, max_examples=30)
def test_each_thresholds_own_point_lies_on_or_below_the_roc_curve(rows):
    labels, probabilities, draws = arrays(rows)
    curve = roc_curve(labels, probabilities, draws)
    assert (np.diff(curve.y) >= -1e-12).all()
    assert curve.y[-1] == 1
    for threshold in np.unique(probabilities):
        called = probabilities >= threshold
        at = np.searchsorted(GRID, called[~labels].mean() - 1e-12)
        assert curve.y[at] >= called[labels].mean() - 1e-12


def test_the_area_under_the_curve_is_the_auc():
    generator = np.random.default_rng(0)
    labels = generator.random(4000) < 0.5
    probabilities = generator.normal(size=4000) + labels
    curve = roc_curve(labels, probabilities, np.ones((1, 4000)))
    assert np.trapezoid(curve.y, GRID) == pytest.approx(roc_auc_score(labels, probabilities), abs=0.002)


@given(findings)
@settings(deadline=None, max_examples=30)
def test_precision_is_scikit_learns_at_the_highest_threshold_that_reaches_the_recall(rows):
    labels, probabilities, draws = arrays(rows)
    curve = precision_recall_curve(labels, probabilities, draws)
    precision, recall, _ = sk_precision_recall(labels, probabilities)
    for wanted, found in zip(GRID, curve.y, strict=True):
        reaching = np.flatnonzero(recall[:-1] >= max(wanted, 1e-9) - 1e-12)
        assert found == pytest.approx(precision[reaching[-1]])


@given(findings)
@settings(deadline=None, max_examples=30)
def test_net_benefit_is_the_papers_formula(rows):
    labels, probabilities, draws = arrays(rows)
    curve = decision_curve(labels, probabilities, draws)
    for threshold, found in zip(THRESHOLDS, curve.y, strict=True):
        called = probabilities >= threshold
        hits, alarms = (labels & called).mean(), (~labels & called).mean()
        assert found == pytest.approx(hits - alarms * threshold / (1 - threshold))
    everyone = decision_curve(labels, np.ones(len(labels)), draws)
    np.testing.assert_allclose(everyone.y, treat_all(labels), atol=1e-9)


def test_the_band_contains_the_curve_and_is_that_of_patients():
    generator = np.random.default_rng(1)
    labels = generator.random(120) < 0.4
    probabilities = np.clip(generator.normal(0.4, 0.2, 120) + 0.2 * labels, 0, 1)
    alone = patient_draws([f"P{row}" for row in range(120)], np.random.default_rng(0), 300)
    clustered = patient_draws([f"P{row // 10}" for row in range(120)], np.random.default_rng(0), 300)
    for make in (roc_curve, precision_recall_curve, decision_curve):
        curve = make(labels, probabilities, alone)
        inside = (curve.low - 1e-9 <= curve.y) & (curve.y <= curve.high + 1e-9)
        assert inside.mean() > 0.95
        repeated = make(labels, probabilities, np.repeat(alone[:1], 50, axis=0))
        assert np.nanmax(repeated.high - repeated.low) == pytest.approx(0, abs=1e-9)
    assert clustered.shape == alone.shape


def test_one_class_has_no_band():
    curve = roc_curve(np.array([True, True]), np.array([0.1, 0.9]), np.ones((3, 2)))
    assert np.isnan(curve.y).all()
    assert np.isnan(curve.low).all()
