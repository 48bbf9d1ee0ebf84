"""What a training sees of a cohort."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TrainingData:
    """Images and labels of one cohort, and which rows train and which validate.

    images: (n, C, H, W) float32, z-scored, with the margin that augmentation needs. labels: (n,) int64, 0, 1 or -1 for
    unknown. train_rows, validation_rows: int64 indices; rows of unknown label are passed over.
    """

    images: Tensor
    labels: Tensor
    train_rows: Tensor
    validation_rows: Tensor
