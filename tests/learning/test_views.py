"""How one training looks at its data."""

import pytest
import torch

from lesion_transfer.learning.batches import Bank
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.options import AugmentationOptions, TrainingOptions
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.views import DataViews

OPTIONS = TrainingOptions(
    lr=1e-3,
    batch_size=8,
    dropout=0.0,
    epochs=1,
    augmentation_factor=1.0,
    augmentation_mode="bank",
    bank_copies=1,
    loss="cross_entropy",
    optimized_metric="auc",
    plateau_factor=1.0,
    plateau_patience=2,
    validation="augmented_balanced",
    precision="float32",
)


def test_what_validates_is_not_augmented_as_what_is_learnt_from() -> None:
    """Two rows of one image: all that tells them apart is what is drawn for each."""
    images = torch.randn(1, 1, 29, 29, generator=torch_generator(0, "images")).expand(2, 1, 29, 29)
    data = TrainingData(images, torch.tensor([1, 1]), torch.tensor([0]), torch.tensor([1]))
    options = OPTIONS.model_copy(update={"augmentation_factor": 2.0})
    views = DataViews(images, data, options, AugmentationOptions(), 0, "phase", 15, None)
    bank = views.batches()
    assert isinstance(bank, Bank)
    [learnt_from], validating = bank.contents[0], views.validation_rows().inputs[0]
    assert learnt_from.shape == validating.shape
    assert not torch.equal(learnt_from, validating)


@pytest.mark.parametrize(("labels", "single"), [([1, -1, -1], True), ([1, 0, -1], False), ([1, 1, -1], False)])
def test_an_epoch_of_one_patch_is_refused(labels: list[int], single: bool) -> None:
    images = torch.randn(3, 1, 29, 29, generator=torch_generator(0, "images"))
    data = TrainingData(images, torch.tensor(labels), torch.arange(3), torch.arange(0))
    views = DataViews(images, data, OPTIONS, AugmentationOptions(), 0, "phase", 15, None)
    if single:
        with pytest.raises(TrainingError, match="single patch"):
            views.batches()
    else:
        assert sum(len(rows) for rows, _ in views.batches().epoch(1)) == 2
