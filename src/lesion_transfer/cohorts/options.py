"""What params.yaml says of a cohort and of the split."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lesion_transfer.options import Options

SEPARATE_CHANNEL = "image"
"""The one channel of a cohort of mode separate, whose column `sequence` says what it holds."""

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class CohortOptions(Options):
    """One entry of `cohorts`: which slices of a data set, how much tissue around the lesion, on which grid."""

    dataset: Annotated[str, Field(min_length=1)]
    channels: Annotated[list[str], Field(min_length=1)]
    mode: Literal["stacked", "single", "separate"] = "stacked"
    """stacked: the channels of a lesion are one image; single: there is one; separate: each is an image of its own."""
    crop_mm: Positive | None = None
    """Side of the square that the final patch covers, in mm."""
    crop_fraction: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2, max_length=2)] | None = None
    """Height and width that the final patch covers, as shares of the image's rows and columns."""
    patch_pixels: Annotated[int, Field(ge=3)] = 65
    """Side of the final patch, pixels; odd, so that the lesion is the centre of a pixel."""
    margin_pixels: Annotated[int, Field(ge=0)] = 16
    """Stored on every side beyond the final patch, so that a rotated crop invents no pixel."""
    slice_rule: Literal["world", "instance_number", "position", "position_from_feet"] = "world"
    """world: the slice whose plane is nearest to the lesion's position; instance_number: the table's number, the
    thesis's k + 1; position, position_from_feet: where a table numbers images (LUNGx), the place in the stack."""
    zscore: Literal["patient", "dataset"] = "patient"
    zscore_over: Literal["finding_slices", "series"] = "finding_slices"
    """Over which images of a patient's sequence the patient's mean and std are taken (the thesis's algorithm 2 has kept
    only the findings' slices by then)."""
    zscore_rows: Literal["training", "all_rows"] = "training"
    """Over which rows a data set's mean and std are taken; all_rows is the thesis's way, a leak."""
    max_excluded_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """The stage fails when more of the patients present in the source than this have a finding that is unusable."""

    @model_validator(mode="after")
    def _one_crop(self) -> Self:
        if (self.crop_mm is None) == (self.crop_fraction is None):
            raise ValueError("give either crop_mm or crop_fraction")
        if self.patch_pixels % 2 == 0:
            raise ValueError("patch_pixels must be odd, so that the lesion is the centre of a pixel")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("channels has a name twice")
        if self.mode == "single" and len(self.channels) != 1:
            raise ValueError("mode single has one channel; give one, or the mode stacked or separate")
        return self

    @property
    def image_channels(self) -> list[str]:
        """The channels of an image: the lesion's; in mode separate the one that holds each of them in turn."""
        return [SEPARATE_CHANNEL] if self.mode == "separate" else list(self.channels)


class SplitOptions(Options):
    """How patients are assigned, once a data set; only the target has a test subset."""

    test_share: Share
    validation_share: Share
    source_validation_share: Share
    """Of the data sets other than the target's, which have no test subset."""
    folds: Annotated[int, Field(ge=2)]
    replicates: Annotated[int, Field(ge=1)]
    near_duplicate_bits: Annotated[int, Field(ge=0, le=576)] | None = 24
    """Patients whose slices' perceptual hashes differ in at most so many of 576 bits stay together; null: not asked."""
    shared_patient_ids: bool = True
    """Whether equal patient ids in two data sets are one person, whom no split may separate."""

    @model_validator(mode="after")
    def _some_train(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share must add up to less than 1, to leave some to train")
        return self


class CheckOptions(Options):
    """When the checks of a cohort stop the pipeline, and how much their pictures show."""

    max_dot_error_px: Annotated[float, Field(gt=0)] = 1.0
    """How far from its place, in pixels of the patch, a dot drawn at the lesion before all processing may land."""
    max_faulty_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The stage fails when more of a channel's patches than this show nothing (black, of one value, not numbers)."""
    pictured_findings: Annotated[int, Field(ge=1, le=200)] = 24
    """Findings in each montage: the worst first, then spread over the cohort."""
