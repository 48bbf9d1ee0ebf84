"""What the report shows of the test findings: from the predictions tables, and of some of them from the network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from lesion_transfer.evaluation.bootstrap import patient_draws
from lesion_transfer.evaluation.curve_bands import BAND_DRAWS
from lesion_transfer.evaluation.metrics import labels_and_probabilities
from lesion_transfer.evaluation.predictions import labelled, select
from lesion_transfer.evaluation.summary import STREAM
from lesion_transfer.learning.augmentation import centre_crop
from lesion_transfer.learning.checkpoint import load_model
from lesion_transfer.learning.occlusion import occlusion_map
from lesion_transfer.randomness import named_generator
from lesion_transfer.reporting.content import Section
from lesion_transfer.reporting.discrimination import ScoredFindings
from lesion_transfer.reporting.lesion_pictures import LesionPicture
from lesion_transfer.reporting.sections import (
    baselines_section,
    lesions_section,
    other_questions_section,
    probabilities_section,
    subgroups_section,
)
from lesion_transfer.settings import Settings
from lesion_transfer.stages.evaluate import read_phase
from lesion_transfer.stages.layout import Layout, read_json
from lesion_transfer.stages.training.training_data import load_training_data

SHOWN_LESIONS = 5


def findings_sections(layout: Layout, settings: Settings, evaluation: Mapping[str, Any]) -> tuple[Section, ...]:
    """The sections between the comparison and the pipeline."""
    phases = {side: evaluation[side]["phase"] for side in ("before", "after")}
    test = {side: labelled(select(read_phase(layout, phase), subset="test")) for side, phase in phases.items()}
    return (
        baselines_section(read_json(layout.baselines, "lesion baselines"), evaluation),
        other_questions_section(evaluation),
        probabilities_section(evaluation, {side: _scored(table, settings.seed) for side, table in test.items()}),
        subgroups_section(evaluation),
        _lesions(layout, settings, test["after"], phases["after"]),
    )


def _scored(table: pd.DataFrame, seed: int) -> ScoredFindings:
    labels, probabilities = labels_and_probabilities(table)
    draws = patient_draws(table["patient_id"].to_numpy(), named_generator(seed, *STREAM), BAND_DRAWS)
    return ScoredFindings(labels, probabilities, draws)


def _lesions(layout: Layout, settings: Settings, test: pd.DataFrame, phase: str) -> Section:
    """The surest wrong and right answers (p from 0.5 on called positive), each with its occlusion map."""
    network, _ = load_model(layout.model(phase))
    loaded = load_training_data(layout, settings, settings.target)
    patches = centre_crop(loaded.data.images, loaded.cohort.patch_pixels)
    row_of = {key: row for row, key in reversed(list(enumerate(loaded.cohort.findings["finding_key"])))}
    labels, probabilities = labels_and_probabilities(test)
    wrong = (probabilities >= 0.5) != labels
    sureness = np.abs(probabilities - 0.5)

    def surest(which: np.ndarray) -> list[LesionPicture]:
        chosen = [index for index in np.argsort(-sureness, kind="stable") if which[index]][:SHOWN_LESIONS]
        return [shown(int(index)) for index in chosen]

    def shown(index: int) -> LesionPicture:
        key = str(test["finding_key"].iloc[index])
        image = np.asarray(loaded.cohort.patches[row_of[key], 0])
        occlusion = occlusion_map(network, patches[row_of[key]])
        return LesionPicture(key, bool(labels[index]), float(probabilities[index]), image, occlusion)

    torch.set_num_threads(settings.threads)
    return lesions_section(surest(wrong), surest(~wrong), phase)
