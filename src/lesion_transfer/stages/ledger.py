"""Stage `ledger`: every arm in every outer fold, what the target gained in each, and the verdict."""

import json
import logging
import shutil
from functools import partial
from typing import Any

import pandas as pd

from lesion_transfer.evaluation.ledger_content import ledger_content
from lesion_transfer.evaluation.predictions import COLUMNS
from lesion_transfer.files import write_csv, write_json
from lesion_transfer.randomness import named_generator
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.ledger_fold import LedgerInputs, OuterFold, run_fold
from lesion_transfer.stages.ledger_inputs import fingerprint, ledger_inputs
from lesion_transfer.stages.ledger_mirror import mirror_ledger
from lesion_transfer.stages.progress import progress_bar
from lesion_transfer.stages.training.compute import make_backend, prepare_compute
from lesion_transfer.tracking import project_root, tracked_run
from lesion_transfer.transfer.arms import phase_tree
from lesion_transfer.transfer.chain import TreePlace

log = logging.getLogger(__name__)
Results = list[dict[str, Any]]
"""What `run_fold` gives, a fold after the other."""


def ledger(layout: Layout) -> None:
    """Writes models/arms/ARM/PHASE/predictions.csv, models/arms/trainings.csv and reports/ledger.json."""
    settings = layout.settings()
    device = prepare_compute(settings)
    tree = phase_tree({arm: settings.arm_steps(arm) for arm in settings.ledger.arms})
    inputs = ledger_inputs(layout, settings, tree, device.type)
    asked = settings.ledger
    params = {"ledger": asked.model_dump(mode="json"), "seed": settings.seed, "target": settings.target}
    with tracked_run("ledger", stage="ledger", params=params, tags={}) as run:
        mark = fingerprint(inputs, settings)
        results = _all_folds(settings, inputs, TreePlace(project_root() / ".lesion" / "ledger" / mark, mark))
        tables = predictions(inputs, results)
        generator = named_generator(settings.seed, "ledger", "bootstrap")
        content = ledger_content(
            tables,
            asked.reference,
            asked.smallest_difference,
            generator,
            asked.bootstrap_draws,
            on_target_alone={
                arm for arm in tables if {step.phase.cohort for step in settings.arm_steps(arm)} == {settings.target}
            },
            validation_share=asked.validation_share,
        )
        content |= {"target": settings.target, "phantom": settings.is_phantom(settings.target)}
        content["images_sha256"] = {name: cohort.images_sha256 for name, cohort in inputs.cohorts.items()}
        if any(settings.cross_validation(name).lrs for name in settings.phases):
            # their rates were found on rows that the folds here test
            content["verdict"] += " Its trainings use the learning rates as set, not those that cv.lrs found."
        if asked.epochs_scale != 1:
            content["verdict"] += f" Its trainings have {asked.epochs_scale:g} times the epochs of the phases."
        if layout.root / settings.initial_model != layout.model("roulette"):
            content["verdict"] += " Its trainings start from roulettes of their own, not from initial_model."
        shutil.rmtree(layout.arms, ignore_errors=True)
        for arm, phases in tables.items():
            for phase, table in phases.items():
                write_csv(layout.arms / arm / phase / "predictions.csv", table)
        write_csv(layout.arms / "trainings.csv", trainings(inputs, results))
        write_json(layout.ledger, content)
        mirror_ledger(run, content, settings, layout.arms, inputs.cohorts)


def _all_folds(settings: Settings, inputs: LedgerInputs, place: TreePlace) -> Results:
    """Every fold of every repeat: read where it lies finished in `place`, else gone on with and kept there."""
    asked, folder = settings.ledger, place.folder
    folds = [OuterFold(replicate, fold) for replicate in range(asked.repeats) for fold in range(asked.folds)]
    files = {fold: folder / f"{fold.name}.json" for fold in folds}
    missing = [fold for fold in folds if not files[fold].exists()]
    n_done = len(folds) - len(missing)
    if n_done:
        log.info("%d of %d outer folds were finished before and are read from %s", n_done, len(folds), folder)
    title = f"ledger, {len(inputs.tree.nodes)} trainings a fold"
    with progress_bar(title, len(missing)) as move, make_backend(settings, prepare_compute(settings)) as backend:

        def keep(number: int, result: dict[str, Any]) -> None:
            nonlocal n_done
            write_json(files[missing[number]], result)
            shutil.rmtree(folder / missing[number].name, ignore_errors=True)
            n_done += 1
            move(n_done - (len(folds) - len(missing)))

        backend.run(partial(run_fold, inputs, place), missing, keep)
    # read back, so that a fold's numbers are the same whichever process computed them
    return [json.loads(files[fold].read_text(encoding="utf-8")) for fold in folds]


def predictions(inputs: LedgerInputs, results: Results) -> dict[str, dict[str, pd.DataFrame]]:
    """The predictions table of INTERFACES by arm and phase: a row a finding of the target and repeat, all tested.

    Where each sequence is an image of its own (mode separate), a finding's probability is the mean over its images.
    """
    findings = inputs.cohorts[inputs.target].findings.drop_duplicates("finding_key")
    findings = findings.set_index("finding_key", drop=False)
    cells = []
    for result in results:
        keys = list(dict.fromkeys(result["finding_key"]))
        own = findings.loc[keys, ["finding_key", "patient_id", "finding_id", "label"]]
        cells.append(own.assign(replicate=result["replicate"], fold=result["fold"]))
    rows = pd.concat(cells, ignore_index=True).assign(cohort=inputs.target, subset="test", copy=0)
    return {
        arm: {
            phase: rows.assign(probability=[p for result in results for p in _by_finding(result, key)])[list(COLUMNS)]
            for phase, key in keys.items()
        }
        for arm, keys in inputs.tree.keys.items()
    }


def _by_finding(result: dict[str, Any], node: str) -> list[float]:
    """The probabilities that a node gave the fold's findings, in the order of their first images."""
    of_images = pd.Series(result["nodes"][node]["probability"])
    means: list[float] = of_images.groupby(result["finding_key"], sort=False).mean().tolist()
    return means


def trainings(inputs: LedgerInputs, results: Results) -> pd.DataFrame:
    """A row an arm, phase, repeat and fold: best epoch, the validation AUC it was selected on, updates, the node's key.

    Rows of one repeat and fold with one key are one training, which the arms share.
    """
    columns = ("best_epoch", "validation_auc", "n_updates")
    return pd.DataFrame(
        [
            {"arm": arm, "phase": phase, "replicate": result["replicate"], "fold": result["fold"], "key": key}
            | {name: result["nodes"][key][name] for name in columns}
            for arm, keys in inputs.tree.keys.items()
            for phase, key in keys.items()
            for result in results
        ]
    )
