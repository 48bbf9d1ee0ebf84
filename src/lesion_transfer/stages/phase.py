"""One phase from its start to its model on disk, mirrored to MLflow; stages `train` and `transfer` are this."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.files import replacing, write_csv, write_json
from lesion_transfer.learning.checkpoint import load_model, save_model
from lesion_transfer.learning.gradients import STATISTICS, GradientFlow
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import Probe, TrainingResult
from lesion_transfer.learning.training import train as train_network
from lesion_transfer.settings import Settings
from lesion_transfer.stages.compute import prepare_compute
from lesion_transfer.stages.layout import Layout, require
from lesion_transfer.stages.phase_mirror import mirror_epoch, mirror_phase, phase_params
from lesion_transfer.stages.predictions import enhanced_predictions, predictions
from lesion_transfer.stages.progress import progress_bar
from lesion_transfer.stages.roulette import load_winner
from lesion_transfer.stages.training_data import load_training_data
from lesion_transfer.tracking import TrackedRun, tracked_run
from lesion_transfer.transfer.freezing import assert_frozen, extractor_sha256
from lesion_transfer.transfer.phases import starting_network
from lesion_transfer.transfer.plan import FIRST_PHASE, KEEP, RESET, Phase
from lesion_transfer.transfer.probe import target_probe

log = logging.getLogger(__name__)


def run_phase(layout: Layout, name: str, stage: str) -> None:
    """Trains the phase `name` and writes models/NAME and reports/NAME.json."""
    settings = layout.settings()
    phase, options = settings.phases[name], settings.hyperparameters(name)
    device = prepare_compute(settings)
    loaded = load_training_data(layout, settings, phase.cohort)
    network, lineage = _start(layout, settings, phase, options)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    offset = sum(ancestor["epochs"] for ancestor in lineage)
    with tracked_run(name, stage=stage, params=phase_params(settings, phase, options), tags={}) as run:
        _say_where_from(run, lineage)
        with progress_bar(f"training {name}", options.epochs) as move:

            def after_epoch(row: dict[str, float]) -> None:
                mirror_epoch(run, row, offset)
                move(int(row["epoch"]), note=f"validation AUC {row['validation_auc']:.3f}")

            result = train_network(
                network,
                loaded.data,
                options,
                settings.augmentation,
                frozen=phase.frozen,
                seed=settings.seed,
                name=name,
                patch_pixels=loaded.cohort.patch_pixels,
                device=device,
                on_epoch=after_epoch,
                probe=_probe(layout, settings, phase, options),
            )
        network.load_state_dict(result.best_state)
        network.cpu()
        if phase.frozen:
            assert_frozen(before, result.best_state, name)
        info = {
            **network.description(),
            "phase": name,
            "cohort": phase.cohort,
            "channels": loaded.cohort.channels,
            "zscore": loaded.zscore.to_dict(),
            "kind": settings.datasets[settings.dataset_of(phase.cohort)].kind,
            "cohort_options": settings.cohorts[phase.cohort].model_dump(mode="json"),
            "augmentation": settings.augmentation.model_dump(mode="json"),
            "seed": settings.seed,
            "best_epoch": result.best_epoch,
            "frozen": phase.frozen,
            "extractor_sha256_before": extractor_sha256(before),
            "extractor_sha256_after": extractor_sha256(result.best_state),
            "hyperparameters": options.model_dump(mode="json"),
            "lineage": lineage,
        }
        table = predictions(network, loaded)
        if phase.cohort == settings.target:
            table = pd.concat([table, enhanced_predictions(network, loaded, settings)], ignore_index=True)
        summary = _write(layout, name, network, result, info, table)
        mirror_phase(run, layout.model(name), loaded, result, summary)


def _start(
    layout: Layout, settings: Settings, phase: Phase, options: TrainingOptions
) -> tuple[LesionNetwork, list[dict[str, Any]]]:
    """The network that the phase starts with, and its ancestors (phase, model_sha256, epochs), the roulette first."""
    if phase.start is None:
        network, sha256 = load_winner(layout)
        lineage = [{"phase": "roulette", "model_sha256": sha256, "epochs": 0}]
        attached = None
    else:
        network, info = load_model(require(layout.model(phase.start), f"lesion transfer {phase.start}"))
        own = {"phase": phase.start, "model_sha256": info["model_sha256"]}
        lineage = [*info["lineage"], {**own, "epochs": info["hyperparameters"]["epochs"]}]
        lends = phase.decision_maker not in {KEEP, RESET}
        attached = load_model(layout.model(phase.decision_maker))[0] if lends else None
    generator = torch_generator(settings.seed, phase.name, "decision maker")
    return starting_network(phase, network, attached, settings.network, generator, options.dropout), lineage


def _say_where_from(run: TrackedRun, lineage: list[dict[str, Any]]) -> None:
    """Tags the run with the run that made its start; says so where that run is not in this store."""
    start = lineage[-1]
    started_from = run.find_model(start["model_sha256"])
    if started_from is None:
        log.info("the run that trained %s is not in this MLflow store (its model came from DVC)", start["phase"])
    run.set_tags(
        {
            "lesion.started_from": start["phase"],
            "lesion.started_from_sha256": start["model_sha256"],
            "lesion.started_from_run": started_from or "not in this store",
        }
    )


def _probe(layout: Layout, settings: Settings, phase: Phase, options: TrainingOptions) -> Probe | None:
    """The target's scores with ds1_full's decision maker; ds1_full itself is its own global performance."""
    if phase.name == FIRST_PHASE:
        return None
    first, _ = load_model(require(layout.model(FIRST_PHASE), "lesion train"))
    target = load_training_data(layout, settings, settings.target)
    return target_probe(first, target.data, target.cohort.patch_pixels, options.loss)


def _write(
    layout: Layout,
    name: str,
    network: LesionNetwork,
    result: TrainingResult,
    info: dict[str, Any],
    table: pd.DataFrame,
) -> dict[str, Any]:
    """The model folder and the phase's DVC metrics, which are returned."""
    folder = layout.model(name)
    sha256 = save_model(folder, result.best_state, info)
    history = pd.DataFrame(result.history)
    history.insert(1, "replicate", 0)
    write_csv(folder / "history.csv", history.astype({"epoch": int}))
    write_csv(folder / "predictions.csv", table)
    save_gradient_flow(folder, result.gradient_flow)
    selected_on = {
        key.removeprefix("validation_"): value
        for key, value in result.best_metrics.items()
        if key.startswith("validation_") and math.isfinite(value)
    }
    summary = {
        "best_epoch": result.best_epoch,
        "validation_selected_on": selected_on,
        "model_sha256": sha256,
        "extractor_unchanged": info["extractor_sha256_before"] == info["extractor_sha256_after"],
    }
    write_json(layout.metrics(name), summary)
    return summary


def save_gradient_flow(folder: Path, flow: GradientFlow) -> None:
    """gradient_flow.npy, float32 (batches, layers, 3), and gradient_flow.json with what its axes mean."""
    with replacing(folder / "gradient_flow.npy") as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, flow.values, allow_pickle=False)
    epochs, counts = np.unique(flow.epochs, return_counts=True)
    batches = {str(epoch): int(count) for epoch, count in zip(epochs, counts, strict=True)}
    axes = {"layers": list(flow.layers), "statistics": list(STATISTICS), "batches_by_epoch": batches}
    write_json(folder / "gradient_flow.json", axes)
