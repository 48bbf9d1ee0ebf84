import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from lesion_transfer.evaluation.delong import auc_covariance, auc_difference, auc_interval, placements

# Few distinct scores, so that ties are frequent.
findings = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 6)), min_size=6, max_size=30).filter(
    lambda rows: 2 <= sum(label for label, *_ in rows) <= len(rows) - 2
)


def arrays(rows):
    labels, first, second = zip(*rows, strict=True)
    return np.array(labels), np.array([first, second]) / 7


def kernel(positive, negative):
    """1 where the positive scores higher, 1/2 for a tie: (n_positive, n_negative)."""
    return (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])


def brute_force_covariance(labels, scores):
    """DeLong's components as the paper writes them, pair by pair."""
    kernels = [kernel(row[labels], row[~labels]) for row in scores]
    v10 = np.stack([each.mean(axis=1) for each in kernels])
    v01 = np.stack([each.mean(axis=0) for each in kernels])
    aucs = v10.mean(axis=1)
    s10 = sum(np.outer(v - aucs, v - aucs) for v in v10.T) / (v10.shape[1] - 1)
    s01 = sum(np.outer(v - aucs, v - aucs) for v in v01.T) / (v01.shape[1] - 1)
    return aucs, s10 / v10.shape[1] + s01 / v01.shape[1]


@given(findings)
@settings(deadline=None)
def test_auc_and_covariance_equal_the_paper_pair_by_pair_and_scikit_learn(rows):
    labels, scores = arrays(rows)
    aucs, covariance = auc_covariance(labels, scores)
    expected, by_pairs = brute_force_covariance(labels, scores)
    np.testing.assert_allclose(aucs, expected, atol=1e-12)
    np.testing.assert_allclose(covariance, by_pairs, atol=1e-12)
    np.testing.assert_allclose(aucs, [roc_auc_score(labels, row) for row in scores], atol=1e-12)


@given(findings)
@settings(deadline=None)
def test_with_a_patient_a_finding_the_clustered_variance_is_delongs(rows):
    """Obuchowski 1997 says that it reduces to DeLong; its cross term then vanishes but for I / (I - 1)."""
    labels, scores = arrays(rows)
    _, plain = auc_covariance(labels, scores)
    _, clustered = auc_covariance(labels, scores, [f"P{row}" for row in range(len(labels))])
    np.testing.assert_allclose(clustered, plain, atol=1e-12)


def test_clustered_covariance_is_the_papers_sums_over_patients():
    generator = np.random.default_rng(3)
    patients = np.repeat(np.arange(12), 3)
    labels = generator.random(36) < 0.4
    scores = generator.integers(0, 5, (1, 36)) / 5
    aucs, covariance = auc_covariance(labels, scores, patients.astype(str))
    above, below = placements(labels, scores)
    rows = [(above[0][patients[labels] == i], below[0][patients[~labels] == i]) for i in range(12)]
    m, n, theta = labels.sum(), (~labels).sum(), aucs[0]
    i10, i01 = (sum(len(part[side]) > 0 for part in rows) for side in (0, 1))
    s10 = i10 / ((i10 - 1) * m) * sum((x.sum() - len(x) * theta) ** 2 for x, _ in rows)
    s01 = i01 / ((i01 - 1) * n) * sum((y.sum() - len(y) * theta) ** 2 for _, y in rows)
    s11 = 12 / 11 * sum((x.sum() - len(x) * theta) * (y.sum() - len(y) * theta) for x, y in rows)
    assert covariance[0, 0] == pytest.approx(s10 / m + s01 / n + 2 * s11 / (m * n))


def test_the_interval_is_the_closed_form_and_covers_perfect_ties():
    labels = np.array([True] * 3 + [False] * 4)
    probabilities = np.array([0.9, 0.8, 0.3, 0.4, 0.2, 0.1, 0.3])
    found = auc_interval(labels, probabilities)
    aucs, covariance = brute_force_covariance(labels, probabilities[None])
    half = norm.ppf(0.975) * covariance[0, 0] ** 0.5
    assert found.value == pytest.approx(aucs[0])
    assert (found.low, found.high) == pytest.approx((aucs[0] - half, min(1.0, aucs[0] + half)))
    assert found.p_value == pytest.approx(2 * norm.sf((aucs[0] - 0.5) / covariance[0, 0] ** 0.5))


def test_the_variance_agrees_with_many_repetitions_of_the_experiment():
    """60 positives, 120 negatives, two normals 1 apart: the spread of AUCs over 800 data sets."""
    generator = np.random.default_rng(0)
    labels = np.arange(180) < 60
    scores = generator.normal(size=(800, 180)) + labels
    aucs, variances = zip(*(auc_covariance(labels, row) for row in scores), strict=True)
    assert np.mean([variance[0, 0] for variance in variances]) == pytest.approx(np.var(aucs), rel=0.15)
    assert np.mean(aucs) == pytest.approx(norm.cdf(1 / 2**0.5), abs=0.01)


def test_paired_difference():
    generator = np.random.default_rng(1)
    labels = generator.random(80) < 0.4
    before = generator.normal(size=80) + labels
    after = before + generator.normal(size=80) * 0.3
    found = auc_difference(labels, before, after)
    aucs, covariance = brute_force_covariance(labels, np.stack([before, after]))
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert found.value == pytest.approx(aucs[1] - aucs[0])
    assert found.p_value == pytest.approx(2 * norm.sf(abs(found.value) / error))
    assert found.high - found.low == pytest.approx(2 * norm.ppf(0.975) * error)
    other = auc_difference(labels, after, before)
    assert (other.value, other.p_value) == pytest.approx((-found.value, found.p_value))


def test_what_is_not_defined_is_said():
    one_class = auc_interval(np.array([True, True]), np.array([0.1, 0.2]))
    assert one_class.value is None
    assert "one class" in one_class.note
    single = auc_interval(np.array([True, False, False]), np.array([0.3, 0.2, 0.4]))
    assert (single.value, single.low) == (0.5, None)
    assert "fewer than two" in single.note
    perfect = auc_interval(np.array([True, True, False, False]), np.array([0.9, 0.8, 0.1, 0.2]))
    assert (perfect.value, perfect.low, perfect.p_value) == (1.0, None, None)
    assert "no spread" in perfect.note
    same = auc_difference(np.array([True, True, False, False]), *[np.array([0.3, 0.8, 0.4, 0.2])] * 2)
    assert (same.value, same.p_value) == (0.0, 1.0)
