"""A cohort and its assigned rows -> what a training reads: z-scored tensors with training and validation rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lesion_transfer.cohorts.cohort import Cohort, load_cohort
from lesion_transfer.cohorts.normalise import ZScore, fit_zscore
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.cohorts.splits import read_splits
from lesion_transfer.learning.augmented_dots import AugmentedDots, augmented_dots
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError, require

AUGMENTED_DOT_LIMIT_PX = 0.5
"""How far from where the drawn parameters say a dot may land that goes through the augmentation."""


@dataclass(frozen=True)
class LoadedCohort:
    """A cohort ready to train: `assigned` has a row an image (subset, fold), `data` the tensors in the same order."""

    cohort: Cohort
    assigned: pd.DataFrame
    zscore: ZScore
    data: TrainingData
    check: Path | None = None
    """What the check stage said of the cohort (JSON); its pictures are in the folder of the same name beside it."""
    augmented: AugmentedDots | None = None
    """Where dots in patches of this form landed that went through the training's augmentation."""

    def rows(self, subset: str) -> torch.Tensor:
        """Row numbers (int64) of a subset."""
        return rows_of(self.assigned, subset)


def rows_of(assigned: pd.DataFrame, subset: str) -> torch.Tensor:
    """Row numbers (int64) of the rows of a subset."""
    return torch.from_numpy((assigned["subset"] == subset).to_numpy().nonzero()[0])


def read_assigned(layout: Layout, name: str, replicate: int = 0) -> pd.DataFrame:
    """data/assigned/COHORT.csv of one replicate: a row an image, in the order of the cohort's images."""
    path = require(layout.assigned(name), "lesion assign")
    assigned = read_splits(path)
    return assigned[assigned["replicate"] == replicate].reset_index(drop=True)


def load_training_data(layout: Layout, settings: Settings, name: str, replicate: int = 0) -> LoadedCohort:
    """The cohort `name` with the rows of one replicate; raises StageError as `with_rows` does."""
    return with_rows(layout, settings, name, read_assigned(layout, name, replicate))


def with_rows(layout: Layout, settings: Settings, name: str, assigned: pd.DataFrame) -> LoadedCohort:
    """The cohort `name` normalised with statistics of the training rows of `assigned`, which has a row an image.

    Raises StageError where files are missing, disagree, the stored margin is too small for the augmentation, or the
    augmentation moves patches otherwise than it says.
    """
    options = settings.cohorts[name]
    cohort = load_cohort(require(layout.cohort(name), f"lesion cohort {name}"))
    if list(assigned["finding_key"]) != list(cohort.findings["finding_key"]):
        raise StageError(f"{layout.assigned(name)} is not of the cohort {name} as it is; run `lesion assign`")
    check_margin(cohort, settings)
    zscore, data = normalised(cohort, assigned["subset"].to_numpy(), options)
    return LoadedCohort(
        cohort,
        assigned,
        zscore,
        data,
        check=layout.check(name),
        augmented=check_augmentation(cohort, settings),
    )


def normalised(cohort: Cohort, subsets: np.ndarray, options: CohortOptions) -> tuple[ZScore, TrainingData]:
    """The cohort's tensors, normalised with statistics of its training rows; subsets: (n,) that of each image."""
    train_rows, validation_rows = (np.flatnonzero(subsets == name) for name in ("train", "validation"))
    zscore = fit_zscore(cohort, train_rows, options)
    labels = cohort.findings["label"].map({True: 1, False: 0}).fillna(-1).astype(np.int64)
    data = TrainingData(
        images=torch.from_numpy(zscore.apply(cohort)),
        labels=torch.from_numpy(labels.to_numpy(copy=True)),
        train_rows=torch.from_numpy(train_rows),
        validation_rows=torch.from_numpy(validation_rows),
    )
    return zscore, data


def check_margin(cohort: Cohort, settings: Settings) -> None:
    """StageError where the cohort as it was cut has less around its patches than the augmentation reaches."""
    needed = settings.augmentation.required_margin(cohort.patch_pixels)
    if needed > cohort.margin_pixels:
        raise StageError(
            f"{cohort.folder} stores {cohort.margin_pixels} pixels around its patches, but the augmentation reaches "
            f"{needed}; run `lesion cohort {cohort.name}` with a larger margin_pixels, or narrow the augmentation"
        )


def check_augmentation(cohort: Cohort, settings: Settings) -> AugmentedDots:
    """Dots in patches of the cohort's form through the augmentation; StageError where they go astray.

    The check stage proves that the lesion is in the centre of every stored patch; this, that what leaves the
    augmentation is that patch moved by what was drawn, in all channels alike.
    """
    generator = torch_generator(settings.seed, "augmented dots", cohort.name)
    dots = augmented_dots(
        len(cohort.channels), cohort.patch_pixels, cohort.margin_pixels, settings.augmentation, generator
    )
    if max(dots.error_px, dots.between_channels_px) > AUGMENTED_DOT_LIMIT_PX:
        raise StageError(
            f"{cohort.name}: dots that go through the augmentation land up to {dots.error_px:.2f} pixels from where "
            f"the drawn parameters say, and up to {dots.between_channels_px:.2f} apart between channels; "
            f"{AUGMENTED_DOT_LIMIT_PX} is allowed. The augmentation cannot be trusted here; run `make test`."
        )
    return dots
