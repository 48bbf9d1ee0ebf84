"""Where the truth is known: without a difference the ledger finds one as often as it says, a planted one it finds."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest

from lesion_transfer.cohorts.splits import assign_outer_folds
from lesion_transfer.evaluation.ledger_content import ledger_content
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions, TrainingOptions
from lesion_transfer.transfer.arms import arm_steps, phase_tree
from lesion_transfer.transfer.chain import ChainOptions, FoldData, train_tree
from lesion_transfer.transfer.options import ArmOptions
from lesion_transfer.transfer.plan import Phase

pytestmark = pytest.mark.slow
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "ledger_calibration.py"


@pytest.fixture(scope="module")
def benchmark():
    """benchmarks/ledger_calibration.py as a module."""
    spec = importlib.util.spec_from_file_location("ledger_calibration", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["permuted labels", "equally good"])
def test_without_a_difference_a_verdict_is_as_rare_as_it_says(benchmark, name):
    """At most 5 % of the runs: the lower end of Wilson's interval of the observed share may not lie above."""
    scenario = next(one for one in benchmark.SCENARIOS if one.name == name)
    found = [benchmark.one_run(scenario, 10_000 + seed) for seed in range(100)]
    hits = sum(
        benchmark.excludes_zero(one.low, one.high) and benchmark.excludes_zero(one.low_trainings, one.high_trainings)
        for one in found
    )
    assert binomtest(hits, len(found)).proportion_ci(0.99, method="wilson").low <= 0.05
    assert abs(np.mean([one.value for one in found])) < 0.02


PATCH, N_TARGET, N_SOURCE = 36, 120, 300
PHASES = {
    phase.name: phase
    for phase in (
        Phase("ds1_full", "target", None, "keep", False),
        Phase("ds2_frozen", "source", "ds1_full", "reset", True),
        Phase("ds2_full", "source", "ds2_frozen", "keep", False),
        Phase("ds4_frozen", "target", "ds2_full", "ds1_full", True),
        Phase("ds4_full", "target", "ds4_frozen", "keep", False),
    )
}
OPTIONS = TrainingOptions(
    lr=0.003,
    batch_size=16,
    dropout=0.0,
    epochs=4,
    augmentation_factor=1,
    augmentation_mode="auto",
    bank_copies=1,
    loss="cross_entropy",
    optimized_metric="auc",
    plateau_factor=1.0,
    plateau_patience=2,
    validation="plain",
    precision="float32",
)


def patches(n: int, contrast: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise; in the positives (every third) stripes of this contrast, each at a phase of its own."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(n) % 3 == 0).long()
    images = torch.randn(n, 1, PATCH, PATCH, generator=generator)
    phase = torch.rand(n, generator=generator) * 2 * torch.pi
    stripes = torch.sin(torch.arange(PATCH) * torch.pi / 2 + phase[:, None])
    return images + contrast * labels[:, None, None, None] * stripes[:, None, None, :], labels


def planted_ledger(source_labels_say_something: bool) -> dict:
    """The content of a ledger on a small target whose signal a large source shares."""
    target, labels = patches(N_TARGET, 0.35, 1)
    source, source_labels = patches(N_SOURCE, 0.35, 2)
    patients = np.array([f"T{n:02d}" for n in range(N_TARGET)])
    findings = pd.DataFrame({"finding_key": patients, "patient_id": patients, "label": labels.bool().tolist()})
    outer = assign_outer_folds(findings, 2, 5, 0.25, 3)
    asked = ArmOptions() if source_labels_say_something else ArmOptions(permuted_labels=["source"])
    tree = phase_tree({"full": arm_steps("full", asked, PHASES, list(PHASES), dict.fromkeys(PHASES, OPTIONS))})
    options = ChainOptions(
        NetworkOptions(filters=[4, 4, 8], dense=[8, 4]),
        AugmentationOptions(rotation_degrees=0, horizontal_shift_px=0),
        5,
    )
    rows = torch.arange(N_SOURCE)
    tables: dict[str, list[pd.DataFrame]] = {phase: [] for phase in PHASES}
    for (replicate, fold), cell in outer.groupby(["replicate", "fold"]):
        subset = {name: torch.from_numpy(np.flatnonzero(cell["subset"] == name)) for name in set(cell["subset"])}
        data = FoldData(
            {
                "target": TrainingData(target, labels, subset["train"], subset["validation"]),
                "source": TrainingData(source, source_labels, rows[60:], rows[:60]),
            },
            {"target": patients, "source": np.array([f"S{n:03d}" for n in range(N_SOURCE)])},
            "target",
            subset["test"],
            PATCH,
        )
        trained = train_tree(tree, data, options, seed=10 * replicate + fold)
        tested = findings.iloc[subset["test"].numpy()]
        for phase, key in tree.keys["full"].items():
            cell_table = tested.assign(replicate=replicate, fold=fold, probability=trained[key].probabilities)
            tables[phase].append(cell_table)
    arms = {"full": {phase: pd.concat(parts, ignore_index=True) for phase, parts in tables.items()}}
    return ledger_content(arms, "before", 0.05, np.random.default_rng(0), 500)


def test_a_planted_signal_that_a_source_shares_is_found_and_not_without_its_labels():
    torch.set_num_threads(1)
    planted, without = planted_ledger(True), planted_ledger(False)
    assert planted["conclusion"] == "helped", planted["verdict"]
    assert without["conclusion"] != "helped", without["verdict"]
    assert planted["primary"]["value"] > without["primary"]["value"]
