"""What a phase leaves on disk: the model, its history, predictions and gradients, a folder a replicate."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.files import clear_temporaries, replacing, write_csv, write_json
from lesion_transfer.learning.checkpoint import save_model
from lesion_transfer.learning.gradients import STATISTICS, GradientFlow
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.training import TrainingResult
from lesion_transfer.settings import Settings
from lesion_transfer.stages.training.phase_start import Start
from lesion_transfer.stages.training.predictions import enhanced_predictions, predictions
from lesion_transfer.stages.training.training_data import LoadedCohort
from lesion_transfer.transfer.freezing import assert_frozen, extractor_sha256


def write_phase(folder: Path, settings: Settings, start: Start, result: TrainingResult) -> dict[str, Any]:
    """Writes one replicate's folder and returns its DVC metrics.

    Raises FrozenError where the phase is frozen and its extractor is not what it was.
    """
    before, phase, loaded = start.network.state_dict(), start.phase, start.loaded
    if phase.frozen:
        assert_frozen(before, result.best_state, phase.name)
    network = trained_network(start, result)
    info = {
        **network.description(),
        "phase": phase.name,
        "replicate": start.replicate,
        **made_of(settings, loaded),
        "best_epoch": result.best_epoch,
        "epochs_trained": len(result.history),
        "frozen": phase.frozen,
        "extractor_sha256_before": extractor_sha256(before),
        "extractor_sha256_after": extractor_sha256(result.best_state),
        "hyperparameters": start.options.model_dump(mode="json"),
        "lineage": start.lineage,
    }
    table = predictions(network, loaded)
    if phase.cohort == settings.target:
        table = pd.concat([table, enhanced_predictions(network, loaded, settings)], ignore_index=True)
    summary = write_training(folder, start.replicate, result, info, table)
    return {**summary, "extractor_unchanged": info["extractor_sha256_before"] == info["extractor_sha256_after"]}


def made_of(settings: Settings, loaded: LoadedCohort) -> dict[str, Any]:
    """What model.json says of the images, so that `lesion predict` makes new ones in the same way."""
    name = loaded.cohort.name
    scale = loaded.cohort.info.get("display_scale")
    return {
        "cohort": name,
        "images_sha256": loaded.cohort.images_sha256,
        "channels": loaded.cohort.channels,
        "zscore": loaded.zscore.to_dict(),
        "kind": settings.datasets[settings.dataset_of(name)].kind,
        "phantom": settings.is_phantom(name),
        "cohort_options": settings.cohorts[name].model_dump(mode="json"),
        "augmentation": settings.augmentation.model_dump(mode="json"),
        "seed": settings.seed,
        **({"display_scale": scale} if scale else {}),
    }


def write_training(
    folder: Path, replicate: int, result: TrainingResult, info: dict[str, Any], table: pd.DataFrame
) -> dict[str, Any]:
    """Writes model, history.csv, predictions.csv (`table`) and the gradient flow; returns the best epoch's scores."""
    clear_temporaries(folder / "*")
    sha256 = save_model(folder, result.best_state, info)
    history = pd.DataFrame(result.history)
    history.insert(1, "replicate", replicate)
    write_csv(folder / "history.csv", history.astype({"epoch": int}))
    write_csv(folder / "predictions.csv", table)
    save_gradient_flow(folder, result.gradient_flow)
    selected_on = {
        key.removeprefix("validation_"): value
        for key, value in result.best_metrics.items()
        if key.startswith("validation_") and math.isfinite(value)
    }
    return {"best_epoch": result.best_epoch, "validation_selected_on": selected_on, "model_sha256": sha256}


def trained_network(start: Start, result: TrainingResult) -> LesionNetwork:
    """The best epoch's network, on the CPU, in the floating-point type that it was trained in."""
    network = start.network
    trained = LesionNetwork(network.options, network.in_channels, start.options.dropout, network.patch_pixels)
    trained.to(next(tensor.dtype for tensor in result.best_state.values() if tensor.is_floating_point()))
    trained.load_state_dict(result.best_state)
    return trained


def save_gradient_flow(folder: Path, flow: GradientFlow) -> None:
    """gradient_flow.npy, float32 (batches, layers, 3), and gradient_flow.json with what its axes mean."""
    with replacing(folder / "gradient_flow.npy") as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, flow.values, allow_pickle=False)
    epochs, counts = np.unique(flow.epochs, return_counts=True)
    batches = {str(epoch): int(count) for epoch, count in zip(epochs, counts, strict=True)}
    axes = {"layers": list(flow.layers), "statistics": list(STATISTICS), "batches_by_epoch": batches}
    write_json(folder / "gradient_flow.json", axes)
