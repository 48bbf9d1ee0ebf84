"""The recipe of each phantom: anatomy, matrices, noise and classes, read from a YAML file and checked."""

import json
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.phantom.lesion import LesionOptions, Positive, Span
from lesion_transfer.options import Options

Whole = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]


def _exactly(*names: str) -> AfterValidator:
    """Refuses tables of tissues that lack one of these or have another."""

    def check(tissues: dict[str, float]) -> dict[str, float]:
        if set(tissues) != set(names):
            raise ValueError(f"the tissues must be {', '.join(names)}")
        return tissues

    return AfterValidator(check)


PELVIS = _exactly("air", "fat", "muscle", "bone", "vessel", "bladder", "wall", "lumen", "pz", "tz", "stroma")
THORAX = _exactly("air", "fat", "muscle", "heart", "vessel", "bone", "lung", "airway")
HEAD = _exactly("air", "scalp", "skull", "fluid", "grey", "white")


class ImageOptions(Options):
    """One image of a place: the value of each tissue, the step of a middling lesion, noise and texture."""

    b_value: Annotated[int, Field(ge=0)] | None = None
    tissues: Annotated[dict[str, NotNegative], PELVIS]
    lesion: float
    noise: NotNegative
    """Standard deviation, in stored values."""
    texture: NotNegative
    """How far, as a share of its value, tissue goes up and down."""


class SeriesOptions(Options):
    """One DICOM series of a prostate examination; several images (b-values) share its grid."""

    description: Name
    number: Whole
    columns: Whole
    rows: Whole
    spacing_mm: Positive
    slice_spacing_mm: Positive
    window_centre: Positive
    window_width: Positive
    images: Annotated[list[ImageOptions], Field(min_length=1)]


class KtransOptions(Options):
    """The Ktrans maps: their grid, what they show, and how many of its values make 1 per minute."""

    columns: Whole
    rows: Whole
    spacing_mm: Positive
    slice_spacing_mm: Positive
    values_per_unit: Whole
    image: ImageOptions


class ProstatexRecipe(Options):
    """A data set as PROSTATEx: oblique DICOM series of prostates, tables of findings and of images."""

    lesion: LesionOptions
    findings_per_patient: Annotated[list[NotNegative], Field(min_length=1, max_length=3)]
    """Shares of the patients with one, two and three findings."""
    tilt_tangent_of_half: Span
    texture_cell_mm: Positive
    prostate_scale: Span
    series: Annotated[list[SeriesOptions], Field(min_length=1)]
    ktrans: KtransOptions


class LungxRecipe(Options):
    """A data set as the SPIE-AAPM-NCI LUNGx challenge: CT series and two tables of nodules."""

    lesion: LesionOptions
    patch_share: Positive
    """Side of the final crop as a share of the image's: sets how many mm a patch pixel is."""
    patch_pixels: Whole
    matrix: Whole
    spacing_mm: Span
    slice_spacing_mm: Annotated[list[Positive], Field(min_length=1)]
    calibration_share: NotNegative
    two_nodules_share: NotNegative
    image_number: tuple[Whole, Whole]
    """Between which image numbers the excerpt of the scan starts."""
    window_centre: float
    window_width: Positive
    n_vessels: Annotated[int, Field(ge=0)]
    texture_cell_mm: Positive
    tissues_hu: Annotated[dict[str, float], THORAX]
    lesion_hu: float
    noise_hu: NotNegative
    texture: NotNegative


class BrainRecipe(Options):
    """A data set as the Kaggle brain images: JPG and PNG of mixed sizes and modes in yes/ and no/."""

    lesion: LesionOptions
    patch_width_share: Positive
    patch_height_share: Positive
    patch_pixels: Whole
    sizes: Annotated[list[tuple[Whole, Whole]], Field(min_length=1)]
    """Widths and heights to choose from."""
    modes: Annotated[list[Literal["L", "RGB", "RGBA", "P"]], Field(min_length=1)]
    """Pillow modes to choose from; RGBA and P are written as PNG, the others as JPEG."""
    jpeg_quality: Annotated[int, Field(ge=1, le=95)]
    duplicate_share: NotNegative
    tissues: Annotated[dict[str, NotNegative], HEAD]
    lesion_step: float
    noise: NotNegative
    texture: NotNegative
    texture_cell_px: Positive


R = TypeVar("R", bound=Options)


def load_recipe(path: Path, model: type[R]) -> R:
    """The recipe in this YAML file; DatasetError, naming file and key, where it is not one."""
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        # through JSON, whose arrays may become tuples where Python's lists, strictly, may not
        return model.model_validate_json(json.dumps(content))
    except FileNotFoundError:
        raise DatasetError(f"The phantom's recipe {path} is missing; restore it from git.") from None
    except YAMLError as error:
        raise DatasetError(f"The phantom's recipe {path} is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise DatasetError(f"The phantom's recipe {path} is wrong at {wrong}") from error
