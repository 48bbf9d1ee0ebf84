"""Stage `challenge`: a network of the reproduction's kind trained on all findings predicts the test findings (5.3)."""

import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lesion_transfer.cohorts.cohort import Cohort, load_cohort
from lesion_transfer.cohorts.splits import find_leaks
from lesion_transfer.evaluation.challenge import submission
from lesion_transfer.evaluation.predictions import COLUMNS, read_predictions
from lesion_transfer.files import clear_temporaries, write_csv, write_json
from lesion_transfer.learning.checkpoint import load_model, save_model, state_sha256
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.scoring import predict_probabilities
from lesion_transfer.learning.state import state_copy
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError, entry, require
from lesion_transfer.stages.phase_mirror import computed_with, mirror_course, mirror_data, mirror_resumed
from lesion_transfer.stages.reproduction import NAME as REPRODUCTION
from lesion_transfer.stages.split import rows_of_all
from lesion_transfer.stages.training.compute import prepare_compute
from lesion_transfer.stages.training.lone_training import train_alone
from lesion_transfer.stages.training.phase_files import made_of
from lesion_transfer.stages.training.predictions import predictions
from lesion_transfer.stages.training.resume import identity, resuming
from lesion_transfer.stages.training.training_data import LoadedCohort, with_rows
from lesion_transfer.tracking import MODEL_TAG, tracked_run

NAME = "challenge"
TEST_PREDICTIONS = "test_predictions.csv"
"""Beside predictions.csv, which holds the findings that were learnt from: the test table may name one of those, too."""


def challenge(layout: Layout, test_cohort: str | None = None) -> None:
    """Writes models/challenge, the submissions reports/challenge/epoch_NNN.csv, and reports/challenge.json.

    models/challenge: history.csv; in epoch_NNN a model, predictions.csv of what it learnt from, test_predictions.csv;
    the same in members/rNNN for the replicates beyond the first.

    All labelled findings of the reproduction's cohort train, from the reproduction's initialisation (a replicate: from
    one of its own), without validation and without scheduler.
    """
    settings = layout.settings()
    if not settings.challenge:
        raise StageError("params.yaml declares no challenge; add `challenge.COHORT`, a cohort of the test findings")
    test_cohort = test_cohort or next(iter(settings.challenge))
    asked = entry(settings.challenge, test_cohort, "challenge")
    options = settings.challenge_hyperparameters(test_cohort)
    device = prepare_compute(settings)
    loaded = with_rows(layout, settings, settings.reproduction.cohort, _everything_trains(layout, settings))
    test = load_cohort(require(layout.cohort(test_cohort), f"lesion cohort {test_cohort}"))
    _refuse_leaks(settings, loaded.cohort, test)
    images = torch.from_numpy(loaded.zscore.apply(test))
    networks = [_start(layout, settings, loaded, replicate) for replicate in range(asked.replicates)]
    params = {
        **options.model_dump(mode="json"),
        **asked.model_dump(mode="json", include={"keep_epochs", "replicates", "ensemble"}),
        **computed_with(settings),
        "cohort": settings.reproduction.cohort,
        "test_cohort": test_cohort,
        "seed": settings.seed,
        "network": networks[0].options.model_dump(mode="json"),
        "augmentation": settings.augmentation.model_dump(mode="json"),
    }
    start = [*(state_sha256(network.state_dict()) for network in networks), state_sha256({"images": images})]
    with (
        resuming(identity(NAME, params, [loaded.data], [start], device)) as interrupted,
        tracked_run(NAME, stage=f"{NAME}@{test_cohort}", params=params, tags={}, continues=interrupted.run_id) as run,
        tempfile.TemporaryDirectory() as temporary,
    ):
        # outside of models/, which DVC empties before a stage runs
        kept = (interrupted.folder or Path(temporary)) / "kept"

        def keep(replicate: int, epoch: int) -> None:
            if epoch not in asked.keep_epochs:
                return
            network = networks[replicate]
            folder = kept / layout.challenge_model(epoch, replicate).relative_to(layout.model(NAME))
            probabilities = _mean_by_finding(test, predict_probabilities(network, images, test.patch_pixels))
            write_csv(folder / "predictions.csv", predictions(network, loaded).assign(replicate=replicate))
            write_csv(folder / TEST_PREDICTIONS, _of_test(test, probabilities, replicate))
            made = {"phase": NAME, **made_of(settings, loaded), "epoch": epoch, "replicate": replicate}
            save_model(folder, state_copy(network), {**network.description(), **made})

        results = [
            train_alone(
                None if replicate else run,
                interrupted,
                settings,
                f"{NAME} r{replicate:03d}" if replicate else NAME,
                network,
                loaded,
                options,
                device,
                seed=settings.seed,
                score="train_auc",
                after_epoch=partial(keep, replicate),
            )
            for replicate, network in enumerate(networks)
        ]
        for old in (layout.model(NAME), layout.challenge_file("any").parent):
            shutil.rmtree(old, ignore_errors=True)
        for folder in kept.rglob("*/"):
            clear_temporaries(folder / "*")
        shutil.copytree(kept, layout.model(NAME))
        for replicate, result in enumerate(results):
            table = pd.DataFrame(result.history).astype({"epoch": int})
            write_csv(layout.model(NAME, replicate) / "history.csv", table)
        summary = _submit(layout, settings, loaded.cohort, test)
        mirror_course(run, NAME, results[0], None, settings.gradient_flow.every)
        mirror_data(run, loaded, {"train": "training"})
        for replicate, result in enumerate(results[1:], start=1):
            with run.child(f"{NAME} r{replicate:03d}", params={**params, "replicate": replicate}, tags={}) as child:
                mirror_resumed(child, result.history, 0)
        for kept_model, sha256 in summary["model_sha256"].items():
            with run.child(f"{NAME} {kept_model}", params={**params, "kept": kept_model}, tags={MODEL_TAG: sha256}):
                pass
        n_filled = len(summary["filled_with_prior"])
        run.log_metrics({"n_findings": summary["n_findings"], "n_filled_with_prior": n_filled})
        run.log_folder(layout.challenge_file("any").parent, "submissions")
        run.log_folder(layout.model(NAME), "models")


def _refuse_leaks(settings: Settings, learnt: Cohort, test: Cohort) -> None:
    """Raises StageError where a labelled finding shares its patient, an image or a group with a test finding."""
    rows = rows_of_all(settings, {learnt.name: learnt, test.name: test})
    is_test = rows["cohort"] == test.name
    rows = rows[is_test | rows["label"].notna()].assign(replicate=0, subset=np.where(is_test, "test", "train"))
    leaks = find_leaks(rows)
    if leaks:
        raise StageError(
            f"{test.name} is no test of what learns from {learnt.name}: they share {len(leaks)} things, so take the "
            "patients out of one of the two, or, where equal ids are different people, set split.shared_patient_ids: "
            f"false. The first: {leaks[0]}"
        )


def _submit(layout: Layout, settings: Settings, trained_on: Cohort, test: Cohort) -> dict[str, Any]:
    """Writes a submission for each kept model, their ensemble where asked for, and reports/challenge.json."""
    published = _published(test)
    prior = float(trained_on.findings["label"].dropna().astype(bool).mean())
    asked = settings.challenge[test.name]
    models = {
        (f"r{replicate:03d}_" if replicate else "") + folder.name: folder
        for replicate in range(asked.replicates)
        for folder in sorted(layout.model(NAME, replicate).glob("epoch_*"))
    }
    files = {name: _submitted(folder) for name, folder in models.items()}
    if asked.ensemble:
        mean = pd.DataFrame(files).mean(axis=1)
        files["ensemble"] = {str(key): float(value) for key, value in mean.items()}
    for name, probabilities in files.items():
        write_csv(layout.challenge_file(name), submission(published, probabilities, prior))
    phantom = any(settings.is_phantom(name) for name in (test.name, trained_on.name))
    summary = _summary(test, published, prior, files, phantom=phantom)
    summary["model_sha256"] = {name: load_model(folder)[1]["model_sha256"] for name, folder in models.items()}
    write_json(layout.metrics(NAME), summary)
    return summary


def _submitted(folder: Path) -> dict[str, float]:
    """What a kept model gave each test finding that has images."""
    table = read_predictions(folder / TEST_PREDICTIONS)
    return dict(zip(table["finding_key"], table["probability"], strict=True))


def _everything_trains(layout: Layout, settings: Settings) -> pd.DataFrame:
    name = settings.reproduction.cohort
    findings = load_cohort(require(layout.cohort(name), f"lesion cohort {name}")).findings
    rows = findings[["finding_key", "patient_id"]]
    return rows.assign(replicate=0, subset="train", fold=pd.array([pd.NA] * len(rows), dtype="Int64"))


def _published(cohort: Cohort) -> pd.DataFrame:
    """finding_key, patient_id, finding_id of every row of the test table: those with images and those without."""
    keys = ["finding_key", "patient_id", "finding_id"]
    rows = pd.concat([cohort.findings[keys].astype(str), cohort.excluded[keys]], ignore_index=True)
    return rows.drop_duplicates("finding_key").sort_values("finding_key", ignore_index=True)


def _start(layout: Layout, settings: Settings, loaded: LoadedCohort, replicate: int) -> LesionNetwork:
    """The initialisation that the reproduction's roulette chose, drawn again; a replicate's own."""
    _, info = load_model(require(layout.model(REPRODUCTION), "lesion reproduction"))
    drawn = (NAME, "replicate", str(replicate)) if replicate else (REPRODUCTION, "member", str(info["roulette_member"]))
    generator = torch_generator(settings.seed, *drawn)
    dropout = settings.reproduction_hyperparameters().dropout
    channels, pixels = len(loaded.cohort.channels), loaded.cohort.patch_pixels
    return build_network(settings.reproduction_network(), channels, dropout, generator, pixels)


def _of_test(test: Cohort, probabilities: Mapping[str, float], replicate: int) -> pd.DataFrame:
    """The predictions table of INTERFACES for the test findings, whose labels nobody has."""
    rows = test.findings.drop_duplicates("finding_key")[["finding_key", "patient_id", "finding_id", "label"]]
    rows = rows.assign(cohort=test.name, subset="test", fold=pd.array([pd.NA] * len(rows), dtype="Int64"))
    return rows.assign(replicate=replicate, copy=0, probability=rows["finding_key"].map(probabilities))[list(COLUMNS)]


def _mean_by_finding(cohort: Cohort, probabilities: np.ndarray) -> dict[str, float]:
    """By finding_key; where each sequence is an image of its own, the mean over a finding's images."""
    means = pd.Series(probabilities).groupby(cohort.findings["finding_key"].to_numpy()).mean()
    return {str(key): float(value) for key, value in means.items()}


def _summary(
    test: Cohort, published: pd.DataFrame, prior: float, files: Mapping[str, Any], *, phantom: bool
) -> dict[str, Any]:
    seen = set(test.findings["finding_key"])
    return {
        "n_findings": len(published),
        "prior": prior,
        "filled_with_prior": [key for key in published["finding_key"] if key not in seen],
        "submissions": list(files),
        "phantom": phantom,
    }
