"""Writes the settings of docs/results.md into a clone's params.yaml: the experiments on patches of real lesions.

    python benchmarks/real_patches.py CLONE pipeline --prostate DIR --channels bval --brain DIR --lung DIR [--plant]
    python benchmarks/real_patches.py CLONE ledger --prostate DIR --channels bval --brain DIR --lung DIR
    python benchmarks/real_patches.py CLONE reproduction --prostate DIR --channels t2 adc bval

--prostate, --lung: patch archives (images.npy, findings.csv); --brain: the Kaggle images with ground_truth.csv.
--plant: a signal that is known, in a copy of the prostate patches at CLONE/planted. Then, in the clone, `dvc repro
transfer` and `lesion evaluate`, or `dvc repro outer assign` and `lesion ledger`, or `dvc repro reproduction`.
"""

import argparse
import io
import shutil
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from lesion_transfer.files import write_text
from lesion_transfer.settings import settings_from

# An archive's patches are cut out already, and each was equalised alone, so that a patient has no scale of its own.
ARCHIVE = {"patch_pixels": 65, "margin_pixels": 10, "crop_fraction": [1.0, 1.0], "zscore": "dataset"}
PHASES = {
    "ds2_frozen": {"lr": 0.001, "batch_size": 32, "epochs": 15},
    "ds2_full": {"lr": 0.0003, "batch_size": 16, "epochs": 8},
    "ds3_frozen": {"lr": 0.001, "batch_size": 32, "epochs": 8},
    "ds3_full": {"lr": 0.0003, "batch_size": 16, "epochs": 2},
    "ds4_frozen": {"lr": 0.001, "batch_size": 32, "epochs": 15},
    "ds4_full": {"lr": 0.0001, "batch_size": 16, "epochs": 4},
}
ARMS = ["full", "target_only", "equal_updates", "source_labels_permuted", "without_brain", "without_lung"]


def pipeline_changes(asked: argparse.Namespace, old: Mapping[str, Any]) -> dict[str, Any]:
    """The transfer prostate -> brain -> lung -> prostate once, with settings that learn in minutes."""
    frozen, full = {"lr": 0.001, "epochs": 30}, {"lr": 0.0002, "epochs": 6}
    later = {phase: dict(frozen if phase.endswith("frozen") else full) for phase in PHASES}
    later["ds4_full"] = {"lr": 0.0001, "epochs": 15}
    return {
        **ledger_changes(asked, old),
        "lr": 0.0003,
        "batch_size": 64,
        "dropout": 0.3,
        "epochs": 15,
        "augmentation_factor": 6,
        "network": {**old["network"], "filters": [16, 32, 64], "dense": [128, 32, 8]},
        "transfer": {phase: {**old["transfer"][phase], **values} for phase, values in later.items()},
        "ledger": old["ledger"],
    }


def plant(archive: Path, out: Path) -> None:
    """A copy of a patch archive in [0, 1] with a bright blob in the centre of each patch, brighter in positives.

    A Gaussian of 2.5 pixels, 0.45 high in positives and 0.15 in negatives, with a standard deviation of 0.12.
    """
    images = np.load(archive / "images.npy").astype(np.float32)
    labels = pd.read_csv(archive / "findings.csv")["label"].astype(str) == "True"
    heights = np.where(labels, 0.45, 0.15) + np.random.default_rng(1).normal(0, 0.12, len(labels))
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in images.shape[2:])
    blob = np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * 2.5**2))
    out.mkdir(exist_ok=True)
    np.save(out / "images.npy", np.clip(images + heights[:, None, None, None] * blob, 0, 1).astype(np.float32))
    shutil.copy(archive / "findings.csv", out / "findings.csv")


def ledger_changes(asked: argparse.Namespace, old: Mapping[str, Any]) -> dict[str, Any]:
    """The transfer prostate -> brain -> lung -> prostate with all arms of the ledger."""
    return {
        "lr": 0.001,
        "batch_size": 16,
        "dropout": 0.1,
        "epochs": 20,
        "augmentation_factor": 1,
        "bank_copies": 2,
        "roulette": {"n": 20},
        "datasets": {
            "prostatex": {"kind": "patch_archive", "source": str(asked.prostate.resolve())},
            "brain": {"kind": "brain", "source": str(asked.brain.resolve())},
            "lungx": {"kind": "patch_archive", "source": str(asked.lung.resolve())},
        },
        "cohorts": {
            "prostatex_dwi": {"dataset": "prostatex", "channels": asked.channels, **ARCHIVE},
            "brain": old["cohorts"]["brain"],
            "lung": {"dataset": "lungx", "channels": ["ct"], **ARCHIVE},
        },
        "transfer": {phase: {**old["transfer"][phase], **values} for phase, values in PHASES.items()},
        "ledger": {
            **old["ledger"],
            "repeats": 2,
            "folds": 5,
            "arms": ARMS,
            "reference": "equal_updates",
            "epochs_scale": 1.0,
        },
        "reproduction": {**old["reproduction"], "cohort": "prostatex_dwi"},
        "challenge": {},
    }


def reproduction_changes(asked: argparse.Namespace, old: Mapping[str, Any]) -> dict[str, Any]:
    """The thesis's chapter 5: one network on stacked sequences, 80/10/10 by patient."""
    return {
        "target": "prostatex_mpmri",
        "datasets": {"prostatex": {"kind": "patch_archive", "source": str(asked.prostate.resolve())}},
        "cohorts": {"prostatex_mpmri": {"dataset": "prostatex", "channels": asked.channels, **ARCHIVE}},
        "transfer": {},
        "evaluation": {**old["evaluation"], "after": "ds1_full"},
        "reproduction": {
            **old["reproduction"],
            "cohort": "prostatex_mpmri",
            "roulette_n": 20,
            "lr": 0.0001,
            "dropout": 0.4,
            "epochs": 12,
            "augmentation_factor": 2,
        },
        "challenge": {},
    }


EXPERIMENTS = {"pipeline": pipeline_changes, "ledger": ledger_changes, "reproduction": reproduction_changes}


def write_settings(params: Path, changes: Mapping[str, Any]) -> None:
    """Puts the changes into params.yaml; raises SettingsError where the result is not valid."""
    yaml = YAML()
    # anchors would be frozen by `dvc exp run -S`
    yaml.representer.ignore_aliases = lambda _: True
    content: MutableMapping[str, Any] = yaml.load(params.read_text(encoding="utf-8"))
    content.update(changes)
    text = io.StringIO()
    yaml.dump(content, text)
    settings_from(YAML(typ="safe").load(text.getvalue()))
    write_text(params, text.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("experiment", choices=list(EXPERIMENTS))
    parser.add_argument("--prostate", type=Path, required=True)
    parser.add_argument("--channels", nargs="+", required=True)
    parser.add_argument("--brain", type=Path)
    parser.add_argument("--lung", type=Path)
    parser.add_argument("--plant", action="store_true")
    asked = parser.parse_args()
    if asked.experiment != "reproduction" and not (asked.brain and asked.lung):
        parser.error(f"the {asked.experiment} needs --brain and --lung")
    if asked.plant:
        plant(asked.prostate, asked.clone / "planted")
        asked.prostate = asked.clone / "planted"
    params = asked.clone / "params.yaml"
    old = YAML(typ="safe").load(params.read_text(encoding="utf-8"))
    write_settings(params, EXPERIMENTS[asked.experiment](asked, old))


if __name__ == "__main__":
    main()
