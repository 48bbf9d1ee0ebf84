"""Histories, evaluations and report content made in the tests."""

import numpy as np
import pandas as pd
import pytest

from lesion_transfer.evaluation.metrics import METRICS
from lesion_transfer.reporting.content import CheckRow, CohortRow, DatasetRow, PhaseRow, ReportContent
from lesion_transfer.reporting.standard import with_pictures

CHAIN = (
    # name, cohort, start, decision maker, frozen, lr, dropout
    ("ds1_full", "prostatex_dwi", "roulette", "", False, 1e-8, 0.4),
    ("ds2_frozen", "brain", "ds1_full", "reset", True, 1e-7, 0.3),
    ("ds2_full", "brain", "ds2_frozen", "keep", False, 1e-8, 0.3),
    ("ds3_frozen", "lung", "ds2_full", "reset", True, 1e-5, 0.3),
    ("ds3_full", "lung", "ds3_frozen", "keep", False, 1e-8, 0.3),
    ("ds4_frozen", "prostatex_dwi", "ds3_full", "ds1_full", True, 1e-5, 0.3),
    ("ds4_full", "prostatex_dwi", "ds4_frozen", "keep", False, 1e-9, 0.0),
)


def make_history(n_epochs=12, seed=0, target=False, frozen=False, replicate=0):
    generator = np.random.default_rng(seed)
    epochs = np.arange(1, n_epochs + 1)
    lr = np.where(epochs > 0.7 * n_epochs, 1e-5, 1e-3) if n_epochs > 4 else np.full(n_epochs, 1e-3)
    columns = {"epoch": epochs, "replicate": replicate, "lr": lr}
    prefixes = ("train", "validation") + (("target_train", "target_validation") if target else ())
    for prefix in prefixes:
        still = frozen and prefix.startswith("target")
        best = 0.9 if prefix.endswith("train") else 0.75
        for metric in ("loss", *METRICS):
            rise = best - 0.35 * np.exp(-epochs / (0.3 * n_epochs)) + generator.normal(0, 0.02, n_epochs)
            values = 1.3 - rise if metric == "loss" else np.clip(rise, 0, 1)
            columns[f"{prefix}_{metric}"] = np.full(n_epochs, values[0]) if still else values
    return pd.DataFrame(columns)


def make_phases():
    return tuple(
        PhaseRow(
            name,
            cohort,
            start,
            maker,
            frozen,
            lr,
            128,
            dropout,
            12,
            4 + n,
            0.6 + 0.03 * n,
            0.58 + 0.03 * n,
            f"{n:064x}",
        )
        for n, (name, cohort, start, maker, frozen, lr, dropout) in enumerate(CHAIN)
    )


def make_histories(n_epochs=12):
    return {
        phase.name: make_history(n_epochs, seed, target=seed > 0, frozen=phase.frozen)
        for seed, phase in enumerate(make_phases())
    }


def make_estimate(value, spread=0.12, note=None):
    return {
        "value": value,
        "low": value - spread,
        "high": value + spread,
        "n": 33,
        "n_positive": 8,
        "n_patients": 20,
        "n_undefined": 0,
        "note": note,
    }


def make_evaluation(gain=0.05):
    few = "too few positives (8 < 10)"
    before = {metric: make_estimate(0.55 + 0.03 * n, note=few) for n, metric in enumerate(METRICS)}
    after = {metric: make_estimate(0.55 + 0.03 * n + gain, 0.1, few) for n, metric in enumerate(METRICS)}
    return {
        "before": {"phase": "ds1_full", **before},
        "after": {"phase": "ds4_full", **after},
        "difference": {metric: make_estimate(gain, 0.08, few) for metric in METRICS},
        "verdict": "Whether transfer helped cannot be told with these data: the AUC changed by +0.050 (95% interval "
        "-0.030 to +0.130; 33 findings, 8 positive, 20 patients; note: too few positives (8 < 10)).",
        "threshold": 0.5,
        "confidence": 0.95,
        "n_draws": 2000,
        "n_unlabelled": 2,
    }


def make_check(**changes):
    errors = {"n": 990, "median": 0.05, "p95": 0.12, "max": 0.147}
    red_dots = {
        "n_patches": 330,
        "n_dots": 990,
        "limit_px": 1.0,
        "centre_error_px": errors,
        "off_centre_error_px": errors | {"max": 0.135},
        "between_channels_px": {"n": 0, "median": None, "p95": None, "max": None},
        "slice_distance_mm": {"n": 990, "median": 0.0, "p95": 1.4, "max": 1.494},
        "not_measurable": ["P7/1/1 adc"],
    }
    faulty = {"nan": [], "black": ["P8/1/1 dwi"], "constant": []}
    rows = (("zones", "PZ (191), TZ (82)"), ("adc: spacing, mm", "2 x 2 (330)"))
    return CheckRow(
        **(
            {
                "name": "prostatex_dwi",
                "red_dots": red_dots,
                "faulty_patches": faulty,
                "patients_joined": [["P1", "P2"]],
                "augmented_error_px": 0.0123,
                "fingerprint": rows,
            }
            | changes
        )
    )


def make_ledger_estimate(value, spread=0.06):
    return {
        "value": value,
        "low": value - spread,
        "high": value + spread,
        "low_trainings": value - 1.5 * spread,
        "high_trainings": value + 1.5 * spread,
        "p": 0.2,
        "p_holm": 0.4,
        "by_repeat": [value - 0.01, value + 0.01],
        "sd_repeats": 0.014,
        "sd_trainings": 0.05,
        "n_cells": 10,
        "n_cells_undefined": 0,
        "n_undefined": 0,
    }


def make_ledger(reference="before"):
    phases = [name for name, *_ in CHAIN]
    arms = {"full": phases, "target_only": ["ds1_full", "ds4_frozen", "ds4_full"]}
    return {
        "arm_order": list(arms),
        "arms": {
            arm: {
                "phases": own,
                "before": {"phase": own[0], **make_ledger_estimate(0.7)},
                "after": {"phase": own[-1], **make_ledger_estimate(0.74)},
                "difference": make_ledger_estimate(0.04 if arm == "full" else 0.01),
            }
            for arm, own in arms.items()
        },
        "controls": {"target_only": make_ledger_estimate(0.03)},
        "phases": {phase: make_ledger_estimate(0.01 * n) for n, phase in enumerate(phases) if n},
        "primary": make_ledger_estimate(0.04),
        "reference": reference,
        "conclusion": "cannot be told with these data",
        "verdict": "Whether transfer helped cannot be told with these data: made in a test.",
        "lesions_needed": 1234,
        "lesions_formula": "a formula",
        "smallest_difference": 0.05,
        "confidence": 0.95,
        "n": 330,
        "n_positive": 76,
        "n_patients": 204,
        "n_folds": 5,
        "n_repeats": 2,
        "n_draws": 2000,
    }


def make_content(**changes):
    datasets = (
        DatasetRow(
            "prostatex",
            "prostatex",
            True,
            "CC BY 3.0",
            "Litjens et al., TCIA 2017",
            "https://doi.org/10.7937/K9TCIA.2017.MURS5CL",
        ),
        DatasetRow("brain", "brain", True, "unknown: not redistributed", "Brain MRI Images for Brain Tumor Detection"),
        DatasetRow("lungx", "lungx", True, "CC BY 3.0", "Armato et al., TCIA 2015"),
    )
    counts = {"train": 231, "validation": 66, "test": 33}
    cohorts = (
        CohortRow("prostatex_dwi", "prostatex", ("ADC", "DWI", "Ktrans"), 330, 76, 252, 204, {"no slice": 3}, counts),
        CohortRow("brain", "brain", ("T1",), 200, 110, 90, 180, {"unusable": 7}, {"train": 160, "validation": 40}),
        CohortRow("lung", "lungx", ("CT",), 83, 42, 41, 70, {}, {"train": 66, "validation": 17}),
    )
    settings = {
        "seed": 1,
        "lr": 1e-8,
        "network": {"filters": [32, 64, 128], "cut": 1},
        "transfer": {"ds2_full": {"lr": None}},
    }
    fields = {
        "evaluation": make_evaluation(),
        "phases": make_phases(),
        "cohorts": cohorts,
        "datasets": datasets,
        "checks": (make_check(),),
        "target": "prostatex_dwi",
        "settings": settings,
        "sources": {"models/ds1_full/history.csv": "ab" * 32},
    }
    return ReportContent(**(fields | changes))


@pytest.fixture
def content():
    """A report on three phantom data sets and seven phases, without pictures."""
    return make_content()


@pytest.fixture
def history():
    """Twelve epochs, the learning rate dropping after the eighth."""
    return make_history()


@pytest.fixture
def histories():
    """The seven phases, twelve epochs each; all but the first with the target's curves."""
    return make_histories()


@pytest.fixture(scope="session")
def drawn():
    """The report's content, a ledger too, with all its pictures; drawn once, which takes seconds."""
    return with_pictures(make_content(ledger=make_ledger()), make_histories())
