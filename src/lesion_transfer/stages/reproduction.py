"""Stage `reproduction`: the thesis's chapter 5, one training on stacked sequences, 80/10/10 by patient."""

from typing import Any

import pandas as pd
import torch

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.cohorts.splits import assign_patients
from lesion_transfer.evaluation.summary import summarise
from lesion_transfer.files import write_json, write_text
from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.roulette import RouletteResult
from lesion_transfer.learning.roulette import roulette as spin
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, require
from lesion_transfer.stages.phase_mirror import computed_with, mirror_phase
from lesion_transfer.stages.split import dataset_rows
from lesion_transfer.stages.training.compute import prepare_compute
from lesion_transfer.stages.training.lone_training import train_alone
from lesion_transfer.stages.training.phase_files import made_of, write_training
from lesion_transfer.stages.training.predictions import enhanced_predictions, predictions
from lesion_transfer.stages.training.resume import identity, resuming
from lesion_transfer.stages.training.training_data import LoadedCohort, with_rows
from lesion_transfer.tracking import tracked_run

NAME = "reproduction"
THESIS = {"best_epoch": 21, "validation_auc": 0.765, "validation_accuracy": 0.7525, "test_auc_enhanced": 0.75}
"""Thesis 5.2.4; its hyperparameters were searched on the test AUC."""


def reproduction(layout: Layout) -> None:
    """Writes models/reproduction, reports/reproduction.json and reports/reproduction.md."""
    settings = layout.settings()
    asked, options, network_options = (
        settings.reproduction,
        settings.reproduction_hyperparameters(),
        settings.reproduction_network(),
    )
    device = prepare_compute(settings)
    loaded = with_rows(layout, settings, asked.cohort, _assigned(layout, settings))
    winner = _roulette(settings, network_options, loaded, device)
    network = LesionNetwork(network_options, len(loaded.cohort.channels), options.dropout, loaded.cohort.patch_pixels)
    network.load_state_dict(winner.best_state)
    params = {
        **options.model_dump(mode="json"),
        **computed_with(settings),
        "cohort": asked.cohort,
        "seed": settings.seed,
        "roulette_n": asked.roulette_n,
        "network": network_options.model_dump(mode="json"),
        "augmentation": settings.augmentation.model_dump(mode="json"),
    }
    about = identity(NAME, params, [loaded.data], [[state_sha256(network.state_dict())]], device)
    with (
        resuming(about) as interrupted,
        tracked_run(NAME, stage=NAME, params=params, tags={}, continues=interrupted.run_id) as run,
    ):
        result = train_alone(run, interrupted, settings, NAME, network, loaded, options, device, seed=settings.seed)
        network.load_state_dict(result.best_state)
        network.cpu()
        tables = [predictions(network, loaded), enhanced_predictions(network, loaded, settings)]
        table = pd.concat(tables, ignore_index=True)
        info = {
            **network.description(),
            "phase": NAME,
            **made_of(settings, loaded),
            "roulette_member": winner.best_member,
            "best_epoch": result.best_epoch,
            "hyperparameters": options.model_dump(mode="json"),
        }
        summary = write_training(layout.model(NAME), 0, result, info, table)
        summary["test"] = _test_scores(table, settings)
        summary["thesis"] = THESIS
        summary["phantom"] = settings.is_phantom(asked.cohort)
        write_json(layout.metrics(NAME), summary)
        write_text(layout.reproduction_report, _report(summary, loaded))
        mirror_phase(run, layout.model(NAME), loaded, result, summary, settings.gradient_flow.every)
        run.log_bytes("reproduction.md", layout.reproduction_report.read_bytes())


def _assigned(layout: Layout, settings: Settings) -> pd.DataFrame:
    """The cohort's rows with a split of their own, as the chapter has it: nothing of it is the transfer's."""
    asked = settings.reproduction
    options = settings.split.model_copy(
        update={"test_share": asked.test_share, "validation_share": asked.validation_share, "replicates": 1}
    )
    rows = dataset_rows(layout, settings, settings.dataset_of(asked.cohort))
    split = assign_patients(rows, options, True, settings.seed).set_index("finding_key")
    cohort = load_cohort(require(layout.cohort(asked.cohort), f"lesion cohort {asked.cohort}"))
    return split.loc[cohort.findings["finding_key"]].reset_index()


def _roulette(
    settings: Settings, options: NetworkOptions, loaded: LoadedCohort, device: torch.device
) -> RouletteResult:
    chosen = settings.reproduction_hyperparameters()
    return spin(
        options,
        loaded.data,
        settings.reproduction.roulette_n,
        settings.seed,
        len(loaded.cohort.channels),
        dropout=chosen.dropout,
        name=NAME,
        patch_pixels=loaded.cohort.patch_pixels,
        device=device,
        autocast=chosen.autocast,
        loss=loss_function(chosen.loss),
    )


def _test_scores(table: pd.DataFrame, settings: Settings) -> dict[str, Any]:
    """Every metric with its interval on the test findings, plain and enhanced."""
    test = table[table["subset"] == "test"]
    entries = summarise(test, settings.seed, n_draws=settings.evaluation.bootstrap_draws)
    return {entry["prediction"]: entry["metrics"] for entry in entries}


def _report(summary: dict[str, Any], loaded: LoadedCohort) -> str:
    """The written report of the best epoch (thesis 5.2.3) in Markdown."""
    selected, best = summary["validation_selected_on"], summary["best_epoch"]
    counts = loaded.assigned.groupby("subset")[["finding_key", "patient_id"]].nunique()
    counts = counts.reindex(["train", "validation", "test"], fill_value=0)
    kinds = list(summary["test"])
    warning = (
        "**Phantom data: figures without meaning for patients.**" if summary["phantom"] else "Not for clinical use."
    )
    lines = [
        "# Reproduction (thesis chapter 5)",
        "",
        warning,
        "",
        f"Best epoch: {best} (the thesis: {THESIS['best_epoch']}). Findings and patients: "
        + ", ".join(f"{subset} {findings} of {patients}" for subset, findings, patients in counts.itertuples())
        + ".",
        "",
        "| metric | validation (selected on) | " + " | ".join(f"test, {kind} [95 % interval]" for kind in kinds) + " |",
        "|---|---|" + "---|" * len(kinds),
    ]
    for metric, value in selected.items():
        cells = [_cell(summary["test"][kind].get(metric)) for kind in kinds]
        lines.append(f"| {metric} | {value:.3f} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"The thesis: validation AUC {THESIS['validation_auc']} and accuracy {THESIS['validation_accuracy']}, test AUC "
        f"{THESIS['test_auc_enhanced']} with 11 augmented copies; its hyperparameters were searched on that test AUC.",
        "Intervals resample patients, not lesions.",
    ]
    return "\n".join(lines) + "\n"


def _cell(estimate: dict[str, Any] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "undefined"
    note = f"; {estimate['note']}" if estimate["note"] else ""
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}{note}"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]{note}"
