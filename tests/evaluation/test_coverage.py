"""The reported intervals hold the truth about as often as they say, with lesions clustered in patients."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("coverage_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_simulated_truth_is_the_closed_form(benchmark):
    study = benchmark.simulate(np.random.default_rng(0), 4000, 1.0, 0.5)
    higher = study.scores[study.labels][:, None] > study.scores[~study.labels][None, :]
    assert higher.mean() == pytest.approx(benchmark.true_auc(1.0), abs=0.02)
    assert study.labels.mean() == pytest.approx(benchmark.PREVALENCE, abs=0.02)


def test_patients_must_be_resampled_and_then_coverage_is_as_stated(benchmark):
    """150 studies: two standard errors of a coverage of 0.95 are 0.036, of 0.85 they are 0.058."""
    found = benchmark.coverage(100, separation=0.0, share=0.95, n_studies=150, n_draws=200)
    assert found["bootstrap of patients"] > 0.89
    assert found["Obuchowski, patients"] > 0.89
    assert found["DeLong, lesions independent"] < found["bootstrap of patients"]
    assert found["bootstrap of lesions"] < found["bootstrap of patients"]
