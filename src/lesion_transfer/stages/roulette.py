"""Stage `roulette`: of n random initialisations the one that ranks the target's validation rows best."""

import math
from typing import Any

import pandas as pd
import torch

from lesion_transfer.backends.backend import Backend
from lesion_transfer.files import write_csv, write_json
from lesion_transfer.learning.checkpoint import save_model
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.roulette import RouletteResult
from lesion_transfer.learning.roulette import roulette as spin
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.progress import progress_bar
from lesion_transfer.stages.training.compute import make_backend, prepare_compute
from lesion_transfer.stages.training.replicates import replicate_seed
from lesion_transfer.stages.training.training_data import LoadedCohort, load_training_data
from lesion_transfer.tracking import MODEL_TAG, TrackedRun, tracked_run


def roulette(layout: Layout) -> None:
    """Writes models/roulette (the winner, and history.csv with a row a member) and reports/roulette.json.

    Every replicate of the split has a roulette of its own, on its own validation rows.
    """
    settings = layout.settings()
    device = prepare_compute(settings)
    params = {
        "seed": settings.seed,
        "target": settings.target,
        "replicates": settings.split.replicates,
        "roulette": settings.roulette.model_dump(),
        "autocast": settings.autocast,
        "network": settings.network.model_dump(),
    }
    with (
        tracked_run("roulette", stage="roulette", params=params, tags={}) as run,
        make_backend(settings, device) as backend,
        progress_bar("roulette", settings.split.replicates) as move,
    ):
        summaries = []
        for replicate in range(settings.split.replicates):
            loaded = load_training_data(layout, settings, settings.target, replicate)
            result = _spin(settings, loaded, replicate, device, backend)
            summaries.append(_write(layout, settings, loaded, replicate, result))
            _mirror(layout, run, replicate, result, summaries[-1])
            move(replicate + 1)
        report = dict(summaries[0])
        if len(summaries) > 1:
            report["replicates"] = [{"replicate": number, **own} for number, own in enumerate(summaries)]
        write_json(layout.metrics("roulette"), report)


def _spin(
    settings: Settings, loaded: LoadedCohort, replicate: int, device: torch.device, backend: Backend
) -> RouletteResult:
    return spin(
        settings.network,
        loaded.data,
        settings.roulette.n,
        replicate_seed(settings.seed, replicate),
        len(loaded.cohort.channels),
        dropout=settings.dropout,
        patch_pixels=loaded.cohort.patch_pixels,
        device=device,
        autocast=settings.autocast,
        loss=loss_function(settings.loss),
        backend=backend,
    )


def _write(
    layout: Layout, settings: Settings, loaded: LoadedCohort, replicate: int, result: RouletteResult
) -> dict[str, Any]:
    """One replicate's folder; returns its DVC metrics."""
    folder = layout.model("roulette", replicate)
    channels, patch_pixels = len(loaded.cohort.channels), loaded.cohort.patch_pixels
    network = LesionNetwork(settings.network, channels, settings.dropout, patch_pixels)
    chosen_by = {"cohort": settings.target, "images_sha256": loaded.cohort.images_sha256}
    info = {**network.description(), "phase": "roulette", **chosen_by, "best_member": result.best_member}
    sha256 = save_model(folder, result.best_state, info)
    write_csv(folder / "history.csv", pd.DataFrame(result.table))
    return {
        "best_member": result.best_member,
        "n": settings.roulette.n,
        "validation": _scores(result.table[result.best_member]),
        "model_sha256": sha256,
    }


def _mirror(layout: Layout, run: TrackedRun, replicate: int, result: RouletteResult, summary: dict[str, Any]) -> None:
    """The first replicate is the stage's own run with its members as children, so is each other replicate's winner."""
    best = {"best_member": result.best_member, **summary["validation"]}
    model = {MODEL_TAG: str(summary["model_sha256"])}
    if replicate:
        name = f"roulette r{replicate:03d}"
        with run.child(name, params={"phase": "roulette", "replicate": replicate}, tags=model) as child:
            child.log_metrics(best)
        return
    run.log_metrics(best)
    run.log_folder(layout.model("roulette"), "model")
    run.set_tags(model)
    for row in result.table:
        member = int(row["member"])
        with run.child(f"roulette {member:03d}", params={"phase": "roulette", "member": member}, tags={}) as child:
            child.log_metrics(_scores(row))


def _scores(row: dict[str, float]) -> dict[str, float]:
    """Those that are defined: a cohort's validation rows may have one class only."""
    return {key: value for key, value in row.items() if key != "member" and math.isfinite(value)}
