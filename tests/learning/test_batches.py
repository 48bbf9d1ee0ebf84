"""What an epoch is fed with: live, from a bank, from a bank of features."""

import pytest
import torch

from lesion_transfer.learning.augmentation import apply_affine, sample_affine
from lesion_transfer.learning.batches import Bank, EpochPlan, LiveAugmented, build_bank, split_batches
from lesion_transfer.learning.network import build_network, place
from lesion_transfer.learning.options import AugmentationOptions, NetworkOptions
from lesion_transfer.learning.scoring import outputs
from lesion_transfer.learning.streams import torch_generator

AUGMENTATION = AugmentationOptions()
LABELS = torch.tensor([0, 0, 1, -1, 0, 1])
ROWS = torch.tensor([0, 1, 2, 4])
IMAGES = torch.randn(6, 1, 85, 85, generator=torch_generator(0, "images"))


def plan(seed: int = 0, batch_size: int = 4) -> EpochPlan:
    return EpochPlan(LABELS, ROWS, 2.0, batch_size, seed, "phase")


@pytest.mark.parametrize(("n", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (1, [1]), (5, [5]), (4, [4])])
def test_a_last_batch_of_one_joins_the_one_before(n: int, sizes: list[int]) -> None:
    batches = split_batches(torch.arange(n), 4)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), torch.arange(n))


def test_a_live_epoch_is_balanced_and_depends_on_seed_and_number_alone() -> None:
    source = LiveAugmented(IMAGES, plan(), AUGMENTATION, 65)
    list(source.epoch(1))
    second = list(source.epoch(2))
    again = list(LiveAugmented(IMAGES, plan(), AUGMENTATION, 65).epoch(2))
    assert [inputs.shape for inputs, _ in second] == [(4, 1, 65, 65)] * 3
    assert torch.cat([labels for _, labels in second]).sum() == 6
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(second, again, strict=True))
    others = (LiveAugmented(IMAGES, plan(1), AUGMENTATION, 65).epoch(2), source.epoch(1))
    assert not any(torch.equal(next(iter(other))[0], second[0][0]) for other in others)


def test_a_bank_holds_the_copies_of_its_rows_and_an_epoch_shows_only_them() -> None:
    contents = build_bank(IMAGES, ROWS, 3, AUGMENTATION, torch_generator(0, "bank"), 65)
    drawn = sample_affine(12, AUGMENTATION, torch_generator(0, "bank"))
    assert contents.shape == (4, 3, 1, 65, 65)
    for i, row in enumerate(ROWS.tolist()):
        expected = apply_affine(IMAGES[[row] * 3], drawn[slice(3 * i, 3 * i + 3)], 65)
        assert torch.allclose(contents[i], expected, atol=1e-6)
    flat = contents.flatten(0, 1).flatten(1)
    for inputs, labels in Bank(contents, plan()).epoch(1):
        for image, label in zip(inputs, labels, strict=True):
            (place_in_bank,) = torch.where((flat == image.flatten()).all(dim=1))
            assert LABELS[ROWS[place_in_bank // 3]] == label


def test_every_copy_of_every_row_of_a_bank_has_its_turn() -> None:
    bank = Bank(torch.zeros(4, 3, 1), plan())
    drawn = [torch.stack(draw[:2]) for epoch in range(1, 31) for draw in bank.draws(epoch)]
    assert set(map(tuple, torch.cat(drawn, dim=1).T.tolist())) == {(row, copy) for row in range(4) for copy in range(3)}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_cached_features_equal_the_live_computation_on_the_same_bank(dtype: torch.dtype, tolerance: float) -> None:
    network = build_network(NetworkOptions(filters=[4, 4, 4]), 1, 0.5, torch_generator(0, "network"))
    place(network, "cpu", dtype)
    network.train()
    extractor, images = network.feature_extractor, IMAGES.to(dtype)
    pixels = build_bank(images, ROWS, 2, AUGMENTATION, torch_generator(0, "bank"), 65)
    features = build_bank(
        images, ROWS, 2, AUGMENTATION, torch_generator(0, "bank"), 65, lambda part: outputs(extractor, part)
    )
    network.eval()
    live = [(extractor(inputs).detach(), labels) for inputs, labels in Bank(pixels, plan()).epoch(1)]
    cached = list(Bank(features, plan()).epoch(1))
    for (expected, labels), (found, found_labels) in zip(live, cached, strict=True):
        assert torch.equal(labels, found_labels)
        assert found.shape == (4, 256)
        assert (expected - found).abs().max() <= tolerance
