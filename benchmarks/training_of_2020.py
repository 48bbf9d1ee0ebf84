"""The plain reference of benchmarks/training.py: how such a network was trained in 2020, one step after the other.

One .npy a patch, augmented beforehand with SciPy, read by a DataLoader; NCHW float32; Adam; `.item()` for the gradient
statistics of every layer and batch; one model after another. It shares no code with the package.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from sklearn import metrics
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


@dataclass(frozen=True)
class Sizes:
    """Of the network, its patches and its batches."""

    filters: tuple[int, int, int]
    dense: tuple[int, ...]
    channels: int
    patch_pixels: int
    batch_size: int
    dropout: float


class PatchFiles(Dataset):
    """A folder of patches, `NUMBER_LABEL.npy` each."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.npy"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        file = self.files[number]
        return torch.from_numpy(np.load(file)), int(file.stem.split("_")[1])


def write_patches(folder: Path, images: np.ndarray, labels: np.ndarray, copies: int, sizes: Sizes, seed: int) -> None:
    """`copies` of each negative, rotated, flipped and shifted, and as many positives; 0: every image as it is, once.

    images: (n, C, H, W) with margin. labels: (n,) 0 or 1.
    """
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    n_of_class = max(1, copies) * int((labels == 0).sum())
    number = 0
    for label in (0, 1):
        of_class = np.flatnonzero(labels == label)
        chosen = np.resize(of_class, n_of_class) if copies else of_class
        for row in chosen:
            image = images[row]
            if copies:
                image = _augmented(image, generator)
            np.save(folder / f"{number:06d}_{label}.npy", _centre(image, sizes.patch_pixels))
            number += 1


def network(sizes: Sizes) -> nn.Sequential:
    """The thesis's network (5.2.3), its extractor first (as "extractor"), then the decision maker."""
    layers: list[nn.Module] = []
    channels, pixels = sizes.channels, sizes.patch_pixels
    for filters in sizes.filters:
        for kernel in (3, 3, 1):
            layers += [nn.Conv2d(channels, filters, kernel), nn.BatchNorm2d(filters), nn.ELU()]
            channels = filters
        layers += [nn.Dropout(sizes.dropout), nn.MaxPool2d(2)]
        pixels = (pixels - 4) // 2
    layers += [nn.Flatten(), nn.Linear(channels * pixels**2, sizes.dense[0]), nn.ELU(), nn.Dropout(sizes.dropout)]
    decision: list[nn.Module] = []
    for width, units in zip(sizes.dense, sizes.dense[1:], strict=False):
        decision += [nn.Linear(width, units), nn.ELU()]
    decision.append(nn.Linear(sizes.dense[-1], 2))
    return nn.Sequential(nn.Sequential(*layers), nn.Sequential(*decision))


class Training:
    """One model and what trains it; `frozen`: only the decision maker learns, the whole network computes."""

    def __init__(self, folder: Path, validation: Path, sizes: Sizes, frozen: bool, device: torch.device) -> None:
        self.model = network(sizes).to(device)
        self.model[0].requires_grad_(not frozen)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=1e-4)
        self.loader = DataLoader(PatchFiles(folder), batch_size=sizes.batch_size, shuffle=True)
        self.validation = DataLoader(PatchFiles(validation), batch_size=sizes.batch_size)
        self.device = device
        self.gradients: list[list[float]] = []

    def steps(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch, step by step; gives each batch's logits and labels."""
        self.model.train()
        for images, labels in self.loader:
            images, labels = images.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            logits = self.model(images)
            loss = nn.functional.cross_entropy(logits, labels)
            loss.backward()
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad and name.endswith("weight"):
                    size = parameter.grad.abs()
                    self.gradients.append([size.mean().item(), size.max().item(), (size == 0).float().mean().item()])
            self.optimizer.step()
            loss.item()
            yield logits.detach(), labels

    def epoch(self) -> float:
        """One epoch and its scores; returns the validation AUC."""
        seen = list(self.steps())
        scores(torch.cat([logits for logits, _ in seen]), torch.cat([labels for _, labels in seen]))
        return validate(self.model, self.validation, self.device)


def validate(model: nn.Module, loader: DataLoader, device: torch.device) -> float:
    """The AUC of a model on a folder of patches."""
    model.eval()
    with torch.no_grad():
        seen = [(model(images.to(device)), labels) for images, labels in loader]
    return scores(torch.cat([logits for logits, _ in seen]), torch.cat([labels for _, labels in seen]))


def scores(logits: Tensor, labels: Tensor) -> float:
    """Computes the epoch's scores and returns the AUC."""
    truth = labels.cpu().numpy()
    probability = logits.softmax(1)[:, 1].cpu().numpy()
    predicted = (probability >= 0.5).astype(int)
    metrics.accuracy_score(truth, predicted)
    metrics.balanced_accuracy_score(truth, predicted)
    metrics.precision_score(truth, predicted, zero_division=0)
    metrics.recall_score(truth, predicted, zero_division=0)
    metrics.f1_score(truth, predicted, zero_division=0)
    return float(metrics.roc_auc_score(truth, probability))


def roulette(validation: Path, sizes: Sizes, n: int, device: torch.device) -> float:
    """The best AUC of n untrained models."""
    loader = DataLoader(PatchFiles(validation), batch_size=sizes.batch_size)
    return max(validate(network(sizes).to(device), loader, device) for _ in range(n))


def _augmented(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One (C, H, W) image rotated by up to 20 degrees, flipped or not, shifted by up to a pixel."""
    turned = ndimage.rotate(image, generator.uniform(-20, 20), axes=(1, 2), reshape=False, mode="nearest")
    if generator.random() < 0.5:
        turned = turned[:, :, ::-1]
    return ndimage.shift(turned, (0, 0, int(generator.integers(-1, 2))), order=0, mode="nearest")


def _centre(image: np.ndarray, size: int) -> np.ndarray:
    top, left = (image.shape[1] - size) // 2, (image.shape[2] - size) // 2
    return np.ascontiguousarray(image[:, top : top + size, left : left + size], dtype=np.float32)
