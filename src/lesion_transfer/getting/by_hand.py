"""What nobody can fetch for the user (tables, images behind a login): from where, and whether it is there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lesion_transfer.datasets import brain, lungx, prostatex_tables
from lesion_transfer.datasets.brain_tables import brain_table
from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.tables import find_tables

PROSTATEX_PAGE = "https://doi.org/10.7937/K9TCIA.2017.MURS5CL"
LUNGX_PAGE = "https://doi.org/10.7937/K9/TCIA.2015.UZLSU3FL"
BRAIN_PAGE = "https://www.kaggle.com/datasets/navoneel/brain-mri-images-for-brain-tumor-detection"


@dataclass(frozen=True)
class ByHand:
    """Something that the user downloads: what, whether it is below the folder, whether it must be, and from where."""

    what: str
    found: bool
    required: bool
    source: str


def by_hand(dataset: str, folder: Path) -> list[ByHand]:
    """What the user's own download has to bring of a data set, anywhere below `folder`."""
    return _LISTS[dataset](folder)


def _prostatex(folder: Path) -> list[ByHand]:
    found = _tables(folder, prostatex_tables.ALL_TABLES)
    required = prostatex_tables.required_tables("train")
    where = f"{PROSTATEX_PAGE}, under Data Access: lesion information (zip of CSV)"
    return [ByHand(name, there, name in required, where) for name, there in found.items()]


def _lungx(folder: Path) -> list[ByHand]:
    found = _tables(folder, lungx.TABLES)
    where = f"{LUNGX_PAGE}, under Data Access: nodule locations and diagnoses, saved as CSV under these names"
    # Either part can be used without the other.
    return [ByHand(name, there, not any(found.values()), where) for name, there in found.items()]


def _brain(folder: Path) -> list[ByHand]:
    images = folder.is_dir() and next(brain.image_files(folder), None) is not None
    try:
        table = folder.is_dir() and brain_table(folder).is_file()
    except DatasetError:
        table = False
    return [
        ByHand("the folders yes/ and no/ with 253 images", images, True, f"{BRAIN_PAGE} (needs a Kaggle account)"),
        ByHand(
            "ground_truth.csv: file, label, x, y",
            table,
            True,
            "you: the lesions' centres in pixels (`lesion annotate`)",
        ),
    ]


def _tables(folder: Path, names: tuple[str, ...]) -> dict[str, bool]:
    found = find_tables(folder, names) if folder.is_dir() else {}
    return {name: name in found for name in names}


_LISTS: dict[str, Callable[[Path], list[ByHand]]] = {"prostatex": _prostatex, "lungx": _lungx, "brain": _brain}
DATASETS = tuple(_LISTS)
