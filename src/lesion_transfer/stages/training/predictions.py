"""A model's predictions of a cohort as the table of INTERFACES, plain and over augmented copies."""

import numpy as np
import pandas as pd
import torch

from lesion_transfer.evaluation.predictions import COLUMNS
from lesion_transfer.learning.enhanced import augmented_probabilities
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.scoring import predict_probabilities
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.settings import Settings
from lesion_transfer.stages.training.training_data import LoadedCohort


def predictions(network: LesionNetwork, loaded: LoadedCohort) -> pd.DataFrame:
    """Every finding of the cohort, not augmented (copy 0).

    Where each sequence is an image of its own (mode separate), a finding's probability is the mean over its images.
    """
    probabilities = predict_probabilities(network, loaded.data.images, loaded.cohort.patch_pixels)
    return _table(loaded, np.arange(len(probabilities)), probabilities[:, None], first_copy=0)


def enhanced_predictions(network: LesionNetwork, loaded: LoadedCohort, settings: Settings) -> pd.DataFrame:
    """Copies 1.. of every validation and test finding; every phase reads the same copies."""
    rows = torch.cat([loaded.rows("validation"), loaded.rows("test")]).sort().values
    probabilities = augmented_probabilities(
        network,
        loaded.data.images,
        rows,
        settings.evaluation.enhanced_copies,
        settings.augmentation,
        torch_generator(settings.seed, "enhanced prediction", loaded.cohort.name),
        loaded.cohort.patch_pixels,
    )
    return _table(loaded, rows.numpy(), probabilities, first_copy=1)


def _table(loaded: LoadedCohort, rows: np.ndarray, probabilities: np.ndarray, first_copy: int) -> pd.DataFrame:
    """The predictions table of the images `rows` (m,), whose copies have probabilities (m, copies)."""
    copies = probabilities.shape[1]
    table = loaded.cohort.findings[["finding_key", "patient_id", "finding_id", "label"]].copy()
    table["cohort"] = loaded.cohort.name
    table["subset"] = loaded.assigned["subset"]
    table["fold"] = loaded.assigned["fold"].astype("Int64")
    table["replicate"] = loaded.assigned["replicate"]
    table = table.loc[np.repeat(rows, copies)].reset_index(drop=True)
    table["copy"] = np.tile(np.arange(first_copy, first_copy + copies), len(rows))
    table["probability"] = probabilities.ravel()
    key = ["finding_key", "copy"]
    table["probability"] = table.groupby(key)["probability"].transform("mean")
    return table.drop_duplicates(key, ignore_index=True)[list(COLUMNS)]
