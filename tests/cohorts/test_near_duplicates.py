"""Near-duplicates: a copy in another size, contrast or compression is found; other images are not joined."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from lesion_transfer.cohorts.near_duplicates import HASH_SIDE, near_duplicate_groups, perceptual_hash
from lesion_transfer.cohorts.options import SplitOptions
from lesion_transfer.imaging.raster import read_grey

MAX_BITS = SplitOptions.model_fields["near_duplicate_bits"].default


def picture(seed: int, shape: tuple[int, int] = (200, 180)) -> np.ndarray:
    """Smooth structures with texture, display values."""
    noise = np.random.default_rng(seed).normal(size=shape)
    mixed = gaussian_filter(noise, 12) * 12 + gaussian_filter(noise, 3) * 3 + 0.3 * noise
    return np.interp(mixed, (mixed.min(), mixed.max()), (0, 255)).astype(np.float32)


def resized(pixels: np.ndarray, share: float) -> np.ndarray:
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((int(image.width * share), int(image.height * share)), Image.Resampling.BICUBIC))


def compressed(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer), dtype=np.float32)


def differing_bits(first: np.ndarray, second: np.ndarray) -> int:
    one, other = (int(perceptual_hash(pixels), 16) for pixels in (first, second))
    return (one ^ other).bit_count()


@pytest.mark.parametrize(
    "change",
    [lambda p: p, lambda p: 20 + 0.8 * p, lambda p: resized(p, 0.7), lambda p: resized(p, 1.6), compressed],
    ids=["same", "contrast", "smaller", "larger", "jpeg"],
)
def test_a_changed_copy_is_a_near_duplicate(change):
    for seed in range(5):
        assert differing_bits(picture(seed), change(picture(seed))) <= MAX_BITS


def test_other_pictures_are_far_apart():
    hashes = pd.Series([perceptual_hash(picture(seed)) for seed in range(60)])
    assert (near_duplicate_groups(hashes, 4 * MAX_BITS) == "").all()
    assert {len(text) * 4 for text in hashes} == {HASH_SIDE**2}


def test_an_image_that_shows_hardly_anything_has_no_hash():
    silhouette = np.zeros((64, 64), np.float32)
    assert perceptual_hash(silhouette) == ""
    silhouette[20:43, 10:60] = 200
    assert perceptual_hash(silhouette) == ""
    silhouette[20:44, 10:60] = 200
    assert perceptual_hash(silhouette) != ""


def with_bits(*flipped: int) -> str:
    """A hash with these bits set."""
    return f"{sum(1 << int(bit) for bit in flipped):0144x}"


def test_groups_are_connected_components_at_exactly_the_limit():
    hashes = pd.Series(
        [with_bits(), with_bits(0, 1), with_bits(0, 1, 2, 3), with_bits(*range(300, 500)), "", "abc", None],
        index=list("abcdefg"),
    )
    groups = near_duplicate_groups(hashes, 2)
    assert groups["a"] == groups["b"] == groups["c"] != ""
    assert list(groups["d":"g"]) == ["", "", "", ""]
    assert (near_duplicate_groups(hashes, 1) == "").all()
    assert (near_duplicate_groups(hashes, None) == "").all()


def test_group_names_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    base = [with_bits(*rng.choice(576, 200, replace=False)) for _ in range(6)]
    hashes = pd.Series([*base, *base[:3], f"{int(base[4], 16) ^ 7:0144x}"])
    groups = near_duplicate_groups(hashes, 3)
    assert (groups != "").sum() == 8
    assert groups[0] == groups[6]
    assert groups[4] == groups[9] != groups[0]
    shuffled = hashes.sample(frac=1, random_state=1)
    pd.testing.assert_series_equal(near_duplicate_groups(shuffled, 3).sort_index(), groups)


def test_many_hashes_give_the_groups_of_a_plain_double_loop():
    rng = np.random.default_rng(1)
    numbers = [int(with_bits(*rng.choice(576, 250, replace=False)), 16) for _ in range(1100)]
    numbers += [number ^ 0b11 for number in numbers[1000:1050]]
    groups = near_duplicate_groups(pd.Series([f"{number:0144x}" for number in numbers]), 2)
    pairs = {(n, 1100 + n - 1000) for n in range(1000, 1050)}
    found = groups[groups != ""].groupby(groups).groups.values()
    assert {tuple(sorted(rows)) for rows in found} == pairs


@pytest.mark.real
def test_brain_duplicates_are_found_and_no_two_patients_joined(real_data: Path):
    folder = real_data / "brain"
    table = pd.read_csv(folder / "ground_truth.csv", dtype=str, keep_default_na=False)
    grey = [read_grey(folder / name) for name in table["file"]]
    groups = near_duplicate_groups(pd.Series([perceptual_hash(pixels) for pixels in grey]), MAX_BITS)
    patients = table["patient_group"].where(table["patient_group"] != "", table["file"])
    assert patients[groups != ""].groupby(groups[groups != ""]).nunique().max() == 1
    bytes_of = pd.Series([pixels.tobytes() for pixels in grey])
    for _, rows in bytes_of[bytes_of.duplicated(keep=False)].groupby(bytes_of):
        assert groups[rows.index].nunique() == 1
        assert groups[rows.index[0]] != ""
    together = sum(
        groups[first] == groups[second] != ""
        for _, rows in patients.groupby(patients)
        for first in rows.index
        for second in rows.index
        if first < second
    )
    assert together >= 58, "of 95 pairs of images of one patient; the others are other slices"


@pytest.mark.real
@pytest.mark.parametrize("archive", ["t2", "adc", "bval", "ktrans", "../../lung/lidc_nodules"])
def test_patches_do_not_collide(real_data: Path, archive: str):
    folder = real_data / "prostatex" / "patches" / archive
    images = np.load(folder / "images.npy")[:, 0].astype(np.float32)
    images *= 255 if images.max() <= 1 else 1
    hashes = pd.Series([perceptual_hash(image) for image in images])
    assert (near_duplicate_groups(hashes, MAX_BITS) == "").all()
