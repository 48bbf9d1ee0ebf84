"""A model's predictions of a cohort as the table of INTERFACES, plain and over augmented copies."""

import pandas as pd
import torch

from lesion_transfer.evaluation.predictions import predictions_of_images
from lesion_transfer.learning.enhanced import augmented_probabilities
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.scoring import predict_probabilities
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.settings import Settings
from lesion_transfer.stages.training.training_data import LoadedCohort


def predictions(network: LesionNetwork, loaded: LoadedCohort) -> pd.DataFrame:
    """Every finding of the cohort, not augmented (copy 0)."""
    probabilities = predict_probabilities(network, loaded.data.images, loaded.cohort.patch_pixels)
    return predictions_of_images(_images(loaded), probabilities[:, None])


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
    return predictions_of_images(_images(loaded).loc[rows.numpy()], probabilities, first_copy=1)


def _images(loaded: LoadedCohort) -> pd.DataFrame:
    """A row an image, in their order: the columns of the predictions table that are no prediction."""
    table = loaded.cohort.findings[["finding_key", "patient_id", "finding_id", "label"]].copy()
    table["cohort"] = loaded.cohort.name
    table["subset"] = loaded.assigned["subset"]
    table["fold"] = loaded.assigned["fold"].astype("Int64")
    table["replicate"] = loaded.assigned["replicate"]
    return table
