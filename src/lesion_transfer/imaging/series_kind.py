"""What kind of series an image belongs to, by coded attributes alone: free text may name a patient."""

import re
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.tag import BaseTag, Tag

from lesion_transfer.imaging.dicom_files import open_dicom

_KEYWORDS = ("Modality", "ImageType", "ScanningSequence", "MRAcquisitionType", "MagneticFieldStrength")
_TAGS: list[BaseTag] = [Tag(tag_for_keyword(keyword) or 0) for keyword in _KEYWORDS]
_CODE = re.compile(r"[A-Z0-9_]{1,16}")
_MEANINGFUL = frozenset({"ADC", "DIFFUSION", "TRACEW", "CALC_BVALUE", "AXIAL", "LOCALIZER", "MIP", "MPR", "SUBTRACT"})


def series_kind(path: Path) -> str:
    """For instance `MR SE 2D 3 T` or `MR ADC DIFFUSION`; `unknown` where the header says nothing of it.

    From Modality, the words of ImageType that name a kind, ScanningSequence, MRAcquisitionType, MagneticFieldStrength.
    Raises what `open_dicom` raises.
    """
    dataset = open_dicom(path, only=_TAGS)
    kinds = sorted(_MEANINGFUL & {word.upper() for word in _words(dataset, "ImageType")})
    strength = dataset.get("MagneticFieldStrength")
    tesla = [f"{float(strength):.1f} T".replace(".0 ", " ")] if strength else []
    words = [
        *_words(dataset, "Modality"),
        *kinds,
        *_words(dataset, "ScanningSequence"),
        *_words(dataset, "MRAcquisitionType"),
        *tesla,
    ]
    return " ".join(words) or "unknown"


def _words(dataset: Dataset, keyword: str) -> list[str]:
    value = dataset.get(keyword)
    if value in (None, ""):
        return []
    words = [str(value)] if isinstance(value, str) else [str(part) for part in value]
    return [word for word in words if _CODE.fullmatch(word)]
