"""What benchmarks/training.py trains: one case, its data, and our engine's calls for it."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lesion_transfer.learning.batches import EpochPlan
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.grid import grid
from lesion_transfer.learning.member import Member
from lesion_transfer.learning.network import LesionNetwork, build_network
from lesion_transfer.learning.options import AugmentationOptions, GradientLimits, NetworkOptions, TrainingOptions
from lesion_transfer.learning.stacked import Hooks, train_stacked
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import train

FOLDS, RATES = 5, (1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Case:
    """Sizes: as shipped the thesis's network and batch, with fewer findings and patches an epoch."""

    filters: tuple[int, int, int] = (32, 64, 128)
    dense: tuple[int, ...] = (256, 64, 16)
    patch_pixels: int = 65
    margin_pixels: int = 10
    batch_size: int = 128
    n_train: int = 100
    n_validation: int = 33
    factor: int = 4
    epochs: int = 1000
    grid_epochs: int = 100
    roulette_n: int = 200

    @classmethod
    def quick(cls) -> "Case":
        """Tiny."""
        return cls((2, 2, 2), (8, 4), 36, 4, 8, 16, 8, 1, 3, 2, 4)

    @property
    def train(self) -> slice:
        return slice(0, self.n_train)

    @property
    def validation(self) -> slice:
        return slice(self.n_train, self.n_train + self.n_validation)

    @property
    def patches_an_epoch(self) -> int:
        """Of each class as many as the larger one times the factor; a quarter is positive."""
        return 2 * self.factor * sum(n % 4 != 0 for n in range(self.n_train))

    @property
    def augmentation(self) -> AugmentationOptions:
        return AugmentationOptions()

    @property
    def network(self) -> NetworkOptions:
        return NetworkOptions(filters=list(self.filters), dense=list(self.dense))

    def plan(self, labels: Tensor) -> EpochPlan:
        """Of an epoch of live augmentation."""
        rows = torch.arange(self.n_train)
        return EpochPlan(labels, rows, float(self.factor), self.batch_size, seed=1, name="benchmark")

    def data(self) -> TrainingData:
        images, labels = images_and_labels(self)
        rows = torch.arange(len(labels))
        return TrainingData(images, labels, rows[self.train], rows[self.validation])


def images_and_labels(case: Case) -> tuple[Tensor, Tensor]:
    """Noise (n, 1, H, W); every fourth is positive and brighter in its middle."""
    n, size = case.n_train + case.n_validation, case.patch_pixels + 2 * case.margin_pixels
    images = torch.randn(n, 1, size, size, generator=torch_generator(0, "images"))
    labels = (torch.arange(n) % 4 == 0).long()
    middle = slice(size // 2 - 4, size // 2 + 5)
    images[labels == 1, :, middle, middle] += 1
    return images, labels


def start(case: Case, number: int) -> LesionNetwork:
    """Untrained network of this number."""
    return build_network(case.network, 1, 0.3, torch_generator(number, "start"), case.patch_pixels)


def options(case: Case, epochs: int, lr: float = 1e-4) -> TrainingOptions:
    """The thesis's, at a rate at which something moves; a bank has `factor` copies of each finding."""
    return TrainingOptions(
        lr=lr,
        batch_size=case.batch_size,
        dropout=0.3,
        epochs=epochs,
        augmentation_factor=float(case.factor),
        augmentation_mode="auto",
        bank_copies=case.factor,
        loss="cross_entropy",
        optimized_metric="auc_and_balanced_accuracy",
        plateau_factor=0.01,
        plateau_patience=2,
        validation="plain",
        precision="float32",
    )


def grid_members(case: Case, folds: int = FOLDS, rates: Sequence[float] = RATES) -> list[Member]:
    """The trainings of a cross-validated grid."""
    member = Member("benchmark", start(case, 0), case.data(), options(case, case.grid_epochs), seed=1)
    return [point.member for point in grid(member, torch.arange(case.n_train) % folds, rates)]


def one_by_one(case: Case, members: Sequence[Member], device: torch.device) -> None:
    """A frozen phase of each member, one after the other."""
    for member in members:
        train(
            copy.deepcopy(member.network),
            member.data,
            member.options,
            case.augmentation,
            frozen=True,
            seed=member.seed,
            name=member.name,
            patch_pixels=case.patch_pixels,
            device=device,
        )


def side_by_side(
    case: Case, members: Sequence[Member], device: torch.device, tell: Callable[[], None] | None = None
) -> None:
    """The same, all at once; `tell` is called after each epoch."""
    last = Hooks() if tell is None else Hooks(on_epoch=lambda _: tell())
    train_stacked(
        members,
        [*(Hooks() for _ in members[1:]), last],
        case.augmentation,
        patch_pixels=case.patch_pixels,
        device=device,
        limits=GradientLimits(),
    )
