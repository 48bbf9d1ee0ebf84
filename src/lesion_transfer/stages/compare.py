"""Tool `lesion compare`: two predictions tables of the same findings, with paired intervals, from the tables alone."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_transfer.evaluation.bootstrap import N_DRAWS
from lesion_transfer.evaluation.compare import compare as compare_tables
from lesion_transfer.evaluation.enhanced import PLAIN, both_predictions
from lesion_transfer.evaluation.predictions import by_model, read_predictions, select
from lesion_transfer.evaluation.summary import STREAM
from lesion_transfer.randomness import named_generator
from lesion_transfer.stages.layout import StageError

log = logging.getLogger(__name__)


def compare(
    before: Path,
    after: Path,
    seed: int,
    *,
    subset: str | None = None,
    replicate: int = 0,
    threshold: float = 0.5,
    n_draws: int = N_DRAWS,
) -> dict[str, dict[str, Any]]:
    """The comparison of the plain predictions, and of the enhanced ones where both tables have copies, by name.

    subset: of both tables; None: test where both have it, else everything.
    """
    tables = [read_predictions(path) for path in (before, after)]
    for path, table in zip((before, after), tables, strict=True):
        if any(model.baseline for model in by_model(table)):
            raise StageError(f"{path} holds several baselines; reports/baselines.json compares them with the network")
        if any(model.fold is not None for model in by_model(table)):
            raise StageError(
                f"{path} holds the scores of several models, one a fold, which are no ranking together; for the ledger "
                "reports/ledger.json has the differences within folds, `lesion metrics` has each fold."
            )
    if subset is None and all((table["subset"] == "test").any() for table in tables):
        subset = "test"
    sides = [both_predictions(select(table, subset=subset, replicate=replicate, copy=None)) for table in tables]
    found = {}
    before_keys, after_keys = ({name: set(table["finding_key"]) for name, table in side.items()} for side in sides)
    for name in sides[0]:
        if before_keys[PLAIN] == after_keys[PLAIN] and before_keys[name] != after_keys.get(name, before_keys[name]):
            log.warning("the two tables have augmented copies of different findings: only the plain ones are compared")
            continue
        if name in sides[1] and not any(_empty(side[name]) for side in sides):
            generator = named_generator(seed, *STREAM)
            found[name] = compare_tables(sides[0][name], sides[1][name], generator, threshold, n_draws=n_draws)
            found[name] |= {"subset": subset or "all", "replicate": replicate}
    return found


def _empty(table: pd.DataFrame) -> bool:
    return len(table) == 0
