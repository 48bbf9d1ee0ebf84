import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesion_transfer.evaluation.metrics import METRICS, score
from lesion_transfer.evaluation.predictions import PredictionsError
from lesion_transfer.evaluation.weighted import weighted_metric

# Few distinct probabilities, so that ties are frequent.
rows = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.5000001, 0.9, 1.0]), st.integers(0, 4)),
    min_size=1,
    max_size=25,
)


def arrays(drawn):
    labels, probabilities, weights = zip(*drawn, strict=True)
    return np.array(labels, dtype=bool), np.array(probabilities), np.array(weights)


@given(rows)
@settings(deadline=None)
def test_equals_scikit_learn_with_sample_weights(drawn):
    labels, probabilities, weights = arrays(drawn)
    present = weights > 0
    for name in METRICS:
        found = weighted_metric(name, labels, probabilities, weights[None], 0.5)[0]
        expected = score(name, labels[present], probabilities[present], 0.5, weights[present])
        if expected.value is None:
            assert np.isnan(found), name
        else:
            assert found == pytest.approx(expected.value, abs=1e-12), name


@given(rows)
@settings(deadline=None)
def test_auc_is_the_pairwise_comparison(drawn):
    labels, probabilities, weights = arrays(drawn)
    higher = probabilities[labels][:, None] - probabilities[~labels][None, :]
    pairs = weights[labels][:, None] * weights[~labels][None, :]
    found = weighted_metric("auc", labels, probabilities, weights[None])[0]
    if pairs.sum() == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx((pairs * ((higher > 0) + 0.5 * (higher == 0))).sum() / pairs.sum(), abs=1e-12)


@given(rows, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_rows_does_not_matter(drawn, random):
    shuffled = list(drawn)
    random.shuffle(shuffled)
    for name in METRICS:
        one, other = (weighted_metric(name, *arrays(some)[:2], arrays(some)[2][None])[0] for some in (drawn, shuffled))
        np.testing.assert_allclose(one, other, rtol=1e-12)


@given(rows)
@settings(deadline=None)
def test_flipped_labels_mirror_the_auc_and_a_rising_map_leaves_it(drawn):
    labels, probabilities, weights = arrays(drawn)
    auc = weighted_metric("auc", labels, probabilities, weights[None])
    np.testing.assert_allclose(weighted_metric("auc", ~labels, probabilities, weights[None]), 1 - auc, atol=1e-12)
    np.testing.assert_allclose(weighted_metric("auc", labels, probabilities**3, weights[None]), auc, atol=1e-12)


def test_many_draws_equal_one_by_one_and_an_empty_table_is_nan():
    generator = np.random.default_rng(1)
    labels, probabilities = generator.random(40) < 0.3, generator.integers(0, 8, 40) / 8
    weights = generator.integers(0, 3, (50, 40))
    for name in METRICS:
        together = weighted_metric(name, labels, probabilities, weights)
        one_by_one = [weighted_metric(name, labels, probabilities, row[None])[0] for row in weights]
        np.testing.assert_array_equal(together, one_by_one)
        assert np.isnan(weighted_metric(name, labels[:0], probabilities[:0], weights[:, :0])).all()


def test_an_unknown_metric_is_refused():
    with pytest.raises(PredictionsError, match="choose one of auc, accuracy"):
        weighted_metric("kappa", np.array([True]), np.array([0.5]), np.ones((1, 1)))
