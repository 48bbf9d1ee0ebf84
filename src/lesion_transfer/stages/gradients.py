"""Figures of a phase's gradient flow: for MLflow when the phase ends, for a folder whenever one asks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

import numpy as np
from matplotlib.figure import Figure

from lesion_transfer.learning.gradients import GradientFlow
from lesion_transfer.reporting.gradients import gradient_evolution_figure, gradient_flow_figure
from lesion_transfer.reporting.pictures import to_png_bytes
from lesion_transfer.stages.layout import Layout, StageError, require
from lesion_transfer.stages.progress import progress_bar

Every = Literal["auto", "batch", "epoch"] | int
MANY_EPOCHS, SPREAD = 50, 20
"""With `auto`: above so many epochs figures of so many of them."""


def gradients(layout: Layout, phase: str, every: str, out: Path) -> int:
    """Writes the figures of a finished phase into `out`, as PNG; returns how many.

    every: as gradient_flow.every in params.yaml. Raises StageError for anything else and for a phase without a model.
    """
    wanted = _every(every)
    flow = read_gradient_flow(require(layout.model(phase), f"lesion transfer {phase}"))
    out.mkdir(parents=True, exist_ok=True)
    number = 0
    with progress_bar(f"drawing {phase}") as move:
        for number, (name, figure) in enumerate(gradient_figures_of(phase, flow, wanted), start=1):
            (out / name).write_bytes(to_png_bytes(figure))
            move(number)
    return number


def gradient_figures_of(phase: str, flow: GradientFlow, every: Every) -> Iterator[tuple[str, Figure]]:
    """File names and figures: bars of single batches or epochs, and at last the heat map of all batches."""
    epochs = np.unique(flow.epochs)
    for epoch in epochs if every == "batch" else shown_epochs(len(epochs), every):
        batches = flow.values[flow.epochs == epoch]
        if every == "batch":
            for number, values in enumerate(batches, start=1):
                title = f"{phase}: gradient flow, epoch {epoch}, batch {number}"
                yield f"epoch_{epoch:04d}_batch_{number:04d}.png", gradient_flow_figure(values, flow.layers, title)
            continue
        # Over an epoch's batches: the mean of the means, the largest of the maxima, the mean share of zeros.
        values = np.stack([batches[..., 0].mean(0), batches[..., 1].max(0), batches[..., 2].mean(0)], axis=1)
        title = f"{phase}: gradient flow, epoch {epoch}"
        yield f"epoch_{epoch:04d}.png", gradient_flow_figure(values, flow.layers, title)
    title = f"{phase}: gradient flow over the training"
    yield "evolution.png", gradient_evolution_figure(flow.values, flow.layers, flow.epochs.tolist(), title)


def shown_epochs(n_epochs: int, every: Every) -> list[int]:
    """The epochs, from 1, that get a figure."""
    if every == "auto" and n_epochs > MANY_EPOCHS:
        return [int(epoch) for epoch in np.linspace(1, n_epochs, SPREAD).round()]
    step = every if isinstance(every, int) else 1
    return [*range(step, n_epochs + 1, step)] or [n_epochs]


def _every(text: str) -> Every:
    if text in ("auto", "batch", "epoch"):
        return cast("Every", text)
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise StageError(f"figures can be drawn of every batch, epoch, N epochs (a number from 1) or auto, not {text!r}")


def read_gradient_flow(folder: Path) -> GradientFlow:
    """What a phase saved of its gradients."""
    axes = json.loads(require(folder / "gradient_flow.json", "the phase's stage").read_text(encoding="utf-8"))
    values = np.load(require(folder / "gradient_flow.npy", "the phase's stage"), allow_pickle=False)
    by_epoch = {int(epoch): count for epoch, count in axes["batches_by_epoch"].items()}
    epochs = np.repeat(np.array(sorted(by_epoch), dtype=np.int32), [by_epoch[epoch] for epoch in sorted(by_epoch)])
    return GradientFlow(tuple(axes["layers"]), values, epochs)
