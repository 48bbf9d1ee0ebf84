"""Tool `lesion metrics`: every metric and figure of any predictions.csv again, from the table alone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lesion_transfer.evaluation.bootstrap import N_DRAWS, patient_draws
from lesion_transfer.evaluation.curve_bands import BAND_DRAWS
from lesion_transfer.evaluation.enhanced import both_predictions
from lesion_transfer.evaluation.metrics import labels_and_probabilities
from lesion_transfer.evaluation.predictions import by_model, labelled, read_predictions
from lesion_transfer.evaluation.probabilities import confusion
from lesion_transfer.evaluation.summary import STREAM, summarise
from lesion_transfer.randomness import named_generator
from lesion_transfer.reporting.discrimination import (
    ScoredFindings,
    calibration_figure,
    confusion_figure,
    discrimination_figure,
)
from lesion_transfer.reporting.pictures import save_png


def metrics(path: Path, seed: int, threshold: float = 0.5, n_draws: int = N_DRAWS) -> list[dict[str, Any]]:
    """One entry a model's rows (cohort, subset, replicate; in some tables baseline, fold), plain and enhanced."""
    return summarise(read_predictions(path), seed, threshold, n_draws=n_draws)


def metric_figures(path: Path, folder: Path, seed: int, threshold: float = 0.5) -> Iterator[Path]:
    """Draws each model's rows (as `metrics`) into `folder`, plain beside enhanced; the files as they are written.

    [BASELINE_]COHORT_SUBSET_rNNN[_fN]_curves.png (ROC, precision-recall), _calibration.png (and decision curve),
    _confusion.png; a group without labels has none, one of a single class no curves.
    """
    table = read_predictions(path)
    for model in by_model(table):
        scored = {}
        for name, predictions in both_predictions(model.rows).items():
            known = labelled(predictions)
            if len(known):
                labels, probabilities = labels_and_probabilities(known)
                generator = named_generator(seed, *STREAM)
                draws = patient_draws(known["patient_id"].to_numpy(), generator, BAND_DRAWS)
                scored[name] = ScoredFindings(labels, probabilities, draws)
        if not scored:
            continue
        fold = "" if model.fold is None else f"f{model.fold}"
        named = (model.baseline, model.cohort, model.subset, f"r{model.replicate:03d}", fold)
        stem = "_".join(re.sub(r"[^\w.-]+", "-", part) for part in named if part)  # names come from the table
        subset = "validation (selected on)" if model.subset == "validation" else model.subset
        title = " ".join(part for part in (model.baseline, model.cohort, subset) if part)
        matrices = {name: confusion(one.labels, one.probabilities, threshold) for name, one in scored.items()}
        figures = {"calibration": calibration_figure(scored, title), "confusion": confusion_figure(matrices, title)}
        if all(one.has_both_classes for one in scored.values()):
            figures["curves"] = discrimination_figure(scored, title)
        for name, figure in sorted(figures.items()):
            file = folder / f"{stem}_{name}.png"
            save_png(figure, file)
            yield file
