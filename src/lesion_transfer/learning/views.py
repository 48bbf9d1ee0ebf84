"""How one training looks at its data: batches to learn from, rows to be scored on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lesion_transfer.learning.augmentation import centre_crop
from lesion_transfer.learning.balance import NO_LABEL, epoch_rows, labelled
from lesion_transfer.learning.batches import Bank, BatchSource, Encode, EpochPlan, LiveAugmented, build_bank
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.options import AugmentationOptions, TrainingOptions
from lesion_transfer.learning.scoring import ScoredRows
from lesion_transfer.learning.streams import torch_generator


@dataclass(frozen=True)
class DataViews:
    """Views of `data`; with `encode` (a frozen extractor) everything comes as features, computed once where fixed.

    images: data.images on the device and in the floating-point type of the training.
    """

    images: Tensor
    data: TrainingData
    options: TrainingOptions
    augmentation: AugmentationOptions
    seed: int
    name: str
    patch_pixels: int
    encode: Encode | None
    epoch_factor: float | None = None
    """Of what is learnt from, where it is not the options' augmentation factor."""

    def batches(self) -> BatchSource:
        """Live or bank, as the options say; `auto` is a bank where the extractor is frozen, for its features stay.

        Raises TrainingError where no row has a label, or one patch is all that an epoch shows.
        """
        mode, rows = self.options.augmentation_mode, labelled(self.data.labels, self.data.train_rows)
        if not len(rows):
            raise TrainingError(NO_LABEL)
        plan = EpochPlan(
            self.data.labels,
            rows,
            self.options.augmentation_factor if self.epoch_factor is None else self.epoch_factor,
            self.options.batch_size,
            self.seed,
            self.name,
            self.options.balance,
        )
        if plan.patches_an_epoch == 1:
            raise TrainingError(
                "An epoch shows a single patch, and one patch has no batch statistics: label more of the training "
                "rows, or raise augmentation_factor."
            )
        if mode == "bank" or (mode == "auto" and self.encode is not None):
            return Bank(
                self._copies(rows, self.options.bank_copies, torch_generator(self.seed, self.name, "bank")), plan
            )
        return LiveAugmented(self.images, plan, self.augmentation, self.patch_pixels, self.encode)

    def train_rows(self) -> ScoredRows:
        """The labelled training rows as they are."""
        return self._plain(self.data.train_rows)

    def validation_rows(self) -> ScoredRows:
        """The labelled validation rows as they are, or the thesis's way: fixed augmented copies that balance."""
        rows = labelled(self.data.labels, self.data.validation_rows)
        if self.options.validation == "plain" or len(rows) == 0:
            return self._plain(rows)
        generator = torch_generator(self.seed, self.name, "validation")
        drawn = epoch_rows(self.data.labels, rows, self.options.augmentation_factor, generator)
        return ScoredRows(self._copies(drawn, 1, generator).squeeze(1), self.data.labels[drawn])

    def _plain(self, rows: Tensor) -> ScoredRows:
        rows = labelled(self.data.labels, rows)
        inputs = centre_crop(self.images[rows.to(self.images.device)], self.patch_pixels)
        return ScoredRows(inputs if self.encode is None else self.encode(inputs), self.data.labels[rows])

    def _copies(self, rows: Tensor, copies: int, generator: torch.Generator) -> Tensor:
        return build_bank(self.images, rows, copies, self.augmentation, generator, self.patch_pixels, self.encode)
