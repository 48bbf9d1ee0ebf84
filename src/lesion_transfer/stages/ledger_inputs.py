"""What the folds of the ledger read, checked, and the fingerprint by which finished folds are found again."""

import hashlib
import json
import platform

import numpy as np
import pandas as pd
import torch

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.cohorts.splits import read_splits
from lesion_transfer.cohorts.units import linked_patients
from lesion_transfer.files import code_sha256, file_sha256
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError, require
from lesion_transfer.stages.ledger_fold import LedgerInputs
from lesion_transfer.stages.split import in_order_of_images, rows_of_all
from lesion_transfer.stages.training.training_data import check_margin, read_assigned
from lesion_transfer.transfer.arms import PhaseTree
from lesion_transfer.transfer.chain import ChainOptions

CODE = ("cohorts", "learning", "randomness.py", "stages/ledger_fold.py", "stages/training/training_data.py", "transfer")
"""The parts of the package that a fold's result depends on, its data and settings being given (a test holds them to the
imports)."""


def ledger_inputs(layout: Layout, settings: Settings, tree: PhaseTree, device: str) -> LedgerInputs:
    """Raises StageError where a file is missing or is not of the cohort as it is."""
    trained_on = {node.step.phase.cohort for node in tree.nodes}
    names = {settings.target, *trained_on, *(node.step.updates_of or settings.target for node in tree.nodes)}
    cohorts = {name: load_cohort(require(layout.cohort(name), f"lesion cohort {name}")) for name in sorted(names)}
    for cohort in cohorts.values():
        check_margin(cohort, settings)
    dataset = settings.dataset_of(settings.target)
    beside = sorted(name for name in names if settings.dataset_of(name) == dataset)
    assigned = {name: read_assigned(layout, name) for name in sorted(names - set(beside))}
    for name, table in assigned.items():
        if list(table["finding_key"]) != list(cohorts[name].findings["finding_key"]):
            raise StageError(f"{layout.assigned(name)} is not of the cohort {name} as it is; run `lesion assign`")
    rows = rows_of_all(settings, cohorts)
    persons, linked = {}, {}
    of_target = rows[rows["dataset"] == dataset]
    for name, cohort in cohorts.items():
        own = rows[rows["cohort"] == name]
        keys = cohort.findings["finding_key"]
        persons[name] = own.drop_duplicates("finding_key").set_index("finding_key")["patient_id"][keys].to_numpy(str)
        if name in assigned:
            patients = linked_patients(own, of_target)
            linked[name] = [sorted(patients[key]) for key in keys]
    return LedgerInputs(
        cohorts,
        {name: settings.cohorts[name] for name in cohorts},
        persons,
        linked,
        assigned,
        {name: _outer_rows(layout, cohorts[name].findings) for name in beside},
        settings.target,
        tree,
        ChainOptions(settings.network, settings.augmentation, settings.roulette.n, device, settings.gradient_flow),
        settings.seed,
    )


def _outer_rows(layout: Layout, findings: pd.DataFrame) -> pd.DataFrame:
    """data/outer_folds.csv for one cohort: a row an image, replicate and fold, in the order of the images."""
    path = require(layout.outer_folds, "lesion outer")
    return in_order_of_images(
        read_splits(path),
        findings,
        ["replicate", "fold"],
        lambda key: f"{path} does not know {key}; run `lesion outer`",
    )


def fingerprint(inputs: LedgerInputs, settings: Settings) -> str:
    """Of everything that the result of one fold depends on: code, settings, data, versions, processor.

    The number of repeats is none of it (a repeat's folds do not depend on it): more repeats go on from those there are.
    """
    about = {
        "code": code_sha256(*CODE),
        "tree": [node.key for node in inputs.tree.nodes],
        "cohorts": {name: cohort.images_sha256 for name, cohort in inputs.cohorts.items()},
        "findings": {name: file_sha256(cohort.folder / "findings.csv") for name, cohort in inputs.cohorts.items()},
        "zscore": {name: [options.zscore, options.zscore_rows] for name, options in inputs.options.items()},
        "assigned": {name: table.to_csv(index=False) for name, table in inputs.assigned.items()},
        "outer": {name: outer[outer["replicate"] == 0].to_csv(index=False) for name, outer in inputs.outer.items()},
        "persons": {name: persons.tolist() for name, persons in inputs.persons.items()},
        "linked": dict(inputs.linked),
        "target": inputs.target,
        "network": inputs.chain.network.model_dump(mode="json"),
        "augmentation": inputs.chain.augmentation.model_dump(mode="json"),
        "roulette": inputs.chain.roulette_n,
        "seed": inputs.seed,
        "threads": settings.threads,
        # a CPU always repeats itself
        "deterministic": settings.deterministic or inputs.chain.device == "cpu",
        "machine": [
            platform.machine(),
            torch.backends.cpu.get_cpu_capability(),
            torch.cuda.get_device_name() if inputs.chain.device == "cuda" else "",
            torch.__version__,
            np.__version__,
        ],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
