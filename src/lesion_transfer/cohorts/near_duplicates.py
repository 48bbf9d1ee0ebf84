"""Near-duplicate images: a perceptual hash of each whole slice, and the groups of slices whose hashes nearly agree."""

import hashlib

import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 24
"""A hash has HASH_SIDE**2 = 576 bits, as many as it takes to tell patients of alike anatomy apart by their texture."""
SMALLEST_CONTENT_PX = 24
"""Below this many rows or columns of anything but black, silhouettes of different lesions hash alike."""
_BLACK = 10.0
_HASH = f"[0-9a-f]{{{HASH_SIDE**2 // 4}}}"
_ROWS_AT_ONCE = 1024


def perceptual_hash(pixels: np.ndarray) -> str:
    """The DCT hash (imagehash.phash) of a slice (rows, columns) of display values in [0, 255]: 144 hex digits.

    Survives another resolution, contrast or compression. Empty where the slice shows too little to be told apart.
    """
    shown = np.asarray(pixels) > _BLACK
    content = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    if any(not len(lines) or lines[-1] - lines[0] + 1 < SMALLEST_CONTENT_PX for lines in content):
        return ""
    image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return str(imagehash.phash(image, hash_size=HASH_SIDE))


def near_duplicate_groups(hashes: pd.Series, max_bits: int | None) -> pd.Series:
    """(n,) the name of each row's group of near-duplicates, "" where its image has none; same index as `hashes`.

    Two images are near-duplicates when their hashes differ in at most max_bits of 576 bits; being one carries over
    (A-B, B-C: A-C). None: nothing is grouped; nor is a text that is no hash of this kind. Names depend on the set of
    hashes, not on their order.
    """
    texts = hashes.where(hashes.fillna("").astype(str).str.fullmatch(_HASH), "")
    known = (texts != "").to_numpy()
    names = np.full(len(hashes), "", dtype=object)
    if max_bits is not None and known.any():
        distinct, codes = np.unique(texts[known].to_numpy(dtype=str), return_inverse=True)
        left, right = _near_pairs(distinct, max_bits)
        graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(distinct),) * 2)
        _, components = connected_components(graph, directed=False)
        _, firsts = np.unique(components, return_index=True)
        of_row = components[codes]
        together = np.bincount(of_row)[of_row] > 1
        names[known] = np.where(together, [_name(distinct[firsts[component]]) for component in of_row], "")
    return pd.Series(names, index=hashes.index, dtype=object)


def _name(smallest_hash: str) -> str:
    return f"near-{hashlib.sha256(smallest_hash.encode()).hexdigest()[:12]}"


def _near_pairs(distinct: np.ndarray, max_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the pairs of hashes that differ in at most max_bits bits, each pair once."""
    packed = np.frombuffer(bytes.fromhex("".join(distinct)), dtype=np.uint8).reshape(len(distinct), -1)
    signs = np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
    left, right = [], []
    for start in range(0, len(signs), _ROWS_AT_ONCE):
        differing = (signs.shape[1] - signs[start : start + _ROWS_AT_ONCE] @ signs.T) / 2
        rows, columns = np.nonzero(differing <= max_bits)
        later = columns > rows + start
        left.append(rows[later] + start)
        right.append(columns[later])
    return np.concatenate(left), np.concatenate(right)
