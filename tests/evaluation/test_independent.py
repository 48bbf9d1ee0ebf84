import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from lesion_transfer.evaluation.independent import holm, independent_difference, independent_intervals, wilson


@given(st.integers(1, 200), st.data())
def test_wilson_is_the_closed_form(n, data):
    hits = data.draw(st.integers(0, n))
    z, p = norm.ppf(0.975), hits / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = wilson(hits, n)
    assert found.value == p
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_wilson_of_nothing_is_not_defined():
    assert (wilson(0, 0).value, wilson(0, 0).low) == (None, None)


def test_each_proportion_has_the_value_of_its_metric(make_table, point_metrics):
    generator = np.random.default_rng(2)
    labels = generator.random(40) < 0.4
    table = make_table([bool(label) for label in labels], generator.random(40))
    found = independent_intervals(table, 0.4)
    assert set(found) == {"auc", "accuracy", "precision", "recall", "specificity"}
    for name, interval in found.items():
        assert interval.value == pytest.approx(point_metrics(table, 0.4)[name].value), name
        assert interval.low < interval.value < interval.high


def test_the_difference_is_paired_by_row(make_table, point_metrics):
    generator = np.random.default_rng(2)
    labels = [bool(label) for label in generator.random(40) < 0.4]
    before, after = make_table(labels, generator.random(40)), make_table(labels, generator.random(40))
    found = independent_difference(before, after)
    assert found.value == pytest.approx(point_metrics(after)["auc"].value - point_metrics(before)["auc"].value)
    assert independent_difference(before, before).p_value == 1


def test_holm_is_the_papers_example_and_keeps_the_order():
    # Holm 1979: the smallest is multiplied by 4, the next by 3, ..., and none may fall below one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values):
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[index] * (len(p_values) - step) > level:
                break
            rejected.add(index)
        assert {index for index, value in enumerate(adjusted) if value <= level} == rejected


def test_holm_keeps_the_family_wise_error_where_bonferroni_would_waste_power():
    generator = np.random.default_rng(4)
    p_values = generator.random((4000, 5))
    false_rejections = np.mean([min(holm(row)) <= 0.05 for row in p_values])
    assert false_rejections == pytest.approx(0.05, abs=0.012)
