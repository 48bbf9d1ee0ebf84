"""One task of the ledger: all arms of one outer fold, from cohorts and assignments to predictions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from lesion_transfer.cohorts.cohort import Cohort
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.randomness import stream_seed
from lesion_transfer.stages.training.training_data import normalised
from lesion_transfer.transfer.arms import PhaseTree
from lesion_transfer.transfer.chain import ChainOptions, FoldData, TreePlace, train_tree


@dataclass(frozen=True)
class OuterFold:
    """Which fold of which repeat is tested."""

    replicate: int
    fold: int

    @property
    def name(self) -> str:
        """As r000_f1."""
        return f"r{self.replicate:03d}_f{self.fold}"


@dataclass(frozen=True)
class LedgerInputs:
    """What all folds share.

    cohorts, options: of every cohort that a phase trains on. persons: by cohort, (n,) text that is equal where two rows
    are of one person, in whichever data set. linked: by cohort of another data set than the target's, for each row the
    persons of the target's data set that it is of, or shares a file, an image, a near-duplicate or an instance with.
    outer: of the cohorts of the target's data set, a row an image, replicate
    and fold with its subset, in the order of the images; assigned: of the others, a row an image with its subset.
    """

    cohorts: Mapping[str, Cohort]
    options: Mapping[str, CohortOptions]
    persons: Mapping[str, np.ndarray]
    linked: Mapping[str, Sequence[Sequence[str]]]
    assigned: Mapping[str, pd.DataFrame]
    outer: Mapping[str, pd.DataFrame]
    target: str
    tree: PhaseTree
    chain: ChainOptions
    seed: int


def run_fold(inputs: LedgerInputs, place: TreePlace, outer_fold: OuterFold) -> dict[str, Any]:
    """As JSON values: finding_key of the fold's rows, and by node their probabilities and how its training went.

    Rows of another data set that are linked with a tested person are left out of the fold. place: of all folds; each
    has a folder there, from which a killed one goes on.
    """
    target = inputs.cohorts[inputs.target]
    subsets = {name: _of_fold(outer, outer_fold)["subset"].to_numpy() for name, outer in inputs.outer.items()}
    test_rows = np.flatnonzero(subsets[inputs.target] == "test")
    tested = set(inputs.persons[inputs.target][test_rows])
    for name, assigned in inputs.assigned.items():
        of_tested = [not tested.isdisjoint(persons) for persons in inputs.linked[name]]
        subsets[name] = np.where(of_tested, "test", assigned["subset"].to_numpy(dtype=str))
    data = FoldData(
        {name: normalised(cohort, subsets[name], inputs.options[name])[1] for name, cohort in inputs.cohorts.items()},
        inputs.persons,
        inputs.target,
        torch.from_numpy(test_rows),
        target.patch_pixels,
    )
    seed = stream_seed(inputs.seed, "ledger", f"replicate {outer_fold.replicate}", f"fold {outer_fold.fold}")
    own = TreePlace(place.folder / outer_fold.name, f"{place.fingerprint} {outer_fold.name}")
    trained = train_tree(inputs.tree, data, inputs.chain, seed, place=own)
    return {
        "replicate": outer_fold.replicate,
        "fold": outer_fold.fold,
        "finding_key": target.findings["finding_key"].iloc[test_rows].tolist(),
        "nodes": {
            key: {
                "probability": node.probabilities.tolist(),
                "best_epoch": node.best_epoch,
                "validation_auc": None if math.isnan(node.validation_auc) else node.validation_auc,
                "n_updates": node.n_updates,
            }
            for key, node in trained.items()
        },
    }


def _of_fold(outer: pd.DataFrame, wanted: OuterFold) -> pd.DataFrame:
    rows = (outer["replicate"] == wanted.replicate) & (outer["fold"] == wanted.fold)
    return outer[rows].reset_index(drop=True)
