"""What an epoch is fed with: augmented images drawn anew, or a fixed bank of augmented copies or of their features.

A source's epoch depends on seed, name and the epoch's number alone, so any epoch can be drawn again by itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from lesion_transfer.learning.augmentation import apply_affine, sample_affine
from lesion_transfer.learning.balance import epoch_rows, undersampled_rows
from lesion_transfer.learning.options import AugmentationOptions
from lesion_transfer.learning.streams import torch_generator

Batch = tuple[Tensor, Tensor]
"""Inputs (B, C, P, P) or features (B, F), and labels (B,) int64."""
Encode = Callable[[Tensor], Tensor]
"""Images (B, C, P, P) -> what is trained on: the images themselves or a frozen extractor's features (B, F)."""

BANK_CHUNK = 256


@dataclass(frozen=True)
class EpochPlan:
    """Which rows an epoch shows, in which batches; `labels` (n,) int64, `rows` (m,) int64 indices, on the CPU."""

    labels: Tensor
    rows: Tensor
    factor: float
    batch_size: int
    seed: int
    name: str
    balance: Literal["augmentation", "undersampling"] = "augmentation"

    def batches(self, generator: torch.Generator) -> list[Tensor]:
        """Balanced, shuffled rows in batches of `batch_size`."""
        draw = epoch_rows if self.balance == "augmentation" else undersampled_rows
        return split_batches(draw(self.labels, self.rows, self.factor, generator), self.batch_size)

    @property
    def patches_an_epoch(self) -> int:
        """The same in every epoch."""
        return sum(len(batch) for batch in self.batches(self.generator(1)))

    @property
    def batches_an_epoch(self) -> int:
        """The same in every epoch."""
        return len(self.batches(self.generator(1)))

    def generator(self, epoch: int) -> torch.Generator:
        """The stream of everything drawn for this epoch except dropout."""
        return torch_generator(self.seed, self.name, "epoch", str(epoch))


class BatchSource(Protocol):
    """Where batches come from."""

    @property
    def plan(self) -> EpochPlan:
        """Which rows an epoch shows, in which batches."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, counted from 1."""


def split_batches(rows: Tensor, batch_size: int) -> list[Tensor]:
    """Rows (N,) in batches; a last batch of one joins the one before it, for one sample has no batch statistics."""
    batches = list(rows.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


class LiveAugmented:
    """Images augmented anew for every use. `images`: (n, C, H, W) with margin, on the device of the training."""

    def __init__(
        self,
        images: Tensor,
        plan: EpochPlan,
        augmentation: AugmentationOptions,
        size: int,
        encode: Encode | None = None,
    ) -> None:
        self._images, self.plan, self._augmentation, self._size = images, plan, augmentation, size
        self._encode = encode

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, counted from 1."""
        generator = self.plan.generator(number)
        for rows in self.plan.batches(generator):
            parameters = sample_affine(len(rows), self._augmentation, generator)
            inputs = apply_affine(self._images[_sent(rows, self._images)], parameters, self._size)
            if self._encode is not None:
                inputs = self._encode(inputs)
            yield inputs, _sent(self.plan.labels[rows], self._images)


class Bank:
    """A fixed bank of copies; an epoch draws (row, copy). `contents`: (m, copies, ...) for the m rows of the plan."""

    def __init__(self, contents: Tensor, plan: EpochPlan) -> None:
        self.contents, self.plan = contents, plan
        self._place = torch.full_like(plan.labels, -1)
        self._place[plan.rows] = torch.arange(len(plan.rows))

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch, counted from 1."""
        for draw in self.draws(number):
            places, copies, labels = (_sent(part, self.contents) for part in draw)
            yield self.contents[places, copies], labels

    def draws(self, number: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of each batch of an epoch, on the CPU, (B,) int64: the rows of `contents`, their copies, their labels."""
        generator = self.plan.generator(number)
        for rows in self.plan.batches(generator):
            copies = torch.randint(self.contents.shape[1], (len(rows),), generator=generator)
            yield self._place[rows], copies, self.plan.labels[rows]


def _sent(tensor: Tensor, to: Tensor) -> Tensor:
    """On the device of `to`; the host does not wait until a GPU has got it."""
    return tensor.to(to.device, non_blocking=True)


def build_bank(
    images: Tensor,
    rows: Tensor,
    copies: int,
    augmentation: AugmentationOptions,
    generator: torch.Generator,
    size: int,
    encode: Encode | None = None,
) -> Tensor:
    """(m, copies, C, size, size) augmented copies of images[rows], or (m, copies, F) features of them.

    images: (n, C, H, W) with margin; rows: (m,). The parameters are drawn first, all together, so that the same bank
    comes out as images and as features.
    """
    parameters = sample_affine(len(rows) * copies, augmentation, generator)
    sources = rows.repeat_interleave(copies)
    parts = []
    for start in range(0, len(sources), BANK_CHUNK):
        part = slice(start, start + BANK_CHUNK)
        augmented = apply_affine(images[sources[part].to(images.device)], parameters[part], size)
        parts.append(augmented if encode is None else encode(augmented))
    return torch.cat(parts).unflatten(0, (len(rows), copies))
