"""What params.yaml says of a data set: its kind, where it lies, and how large its phantom is."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lesion_transfer.options import Options

Kind = Literal["prostatex", "lungx", "brain", "patch_archive"]
TableSet = Literal["train", "test", "both"]
CHANNELS_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "prostatex": ("t2", "dwi", "adc", "ktrans"),
    "lungx": ("ct",),
    "brain": ("grey",),
}
"""What a cohort of a kind can ask for; a patch archive's channels are named by who asks."""
AIR_BELOW_HU = -700.0
"""Lung is about -850 HU, ground glass -600, a solid nodule 0 to 50."""


class PhantomOptions(Options):
    """Size and difficulty of generated data; read only where `source` is `phantom`."""

    n_patients: Annotated[int, Field(ge=2)]
    n_slices: Annotated[int, Field(ge=1)] = 7
    """Slices a series (brain images are single)."""
    signal: Annotated[float, Field(ge=0, le=2)] = 1.0
    """1: a perfect reader reaches an AUC of about 0.9; 0: the classes look alike."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed makes other patients."""
    n_test_patients: Annotated[int, Field(ge=0)] = 0
    """Of PROSTATEx, patients of the test tables, whose labels are not told; 0: there are no test tables."""
    first_number: Annotated[int, Field(ge=0)] = 0
    """Of PROSTATEx, the number of the first patient: two phantoms of one project must not share patients."""
    ktrans: bool = False
    """Of PROSTATEx, whether every patient has a Ktrans map."""


class DatasetOptions(Options):
    """One entry of `datasets`."""

    kind: Kind
    source: Annotated[str, Field(min_length=1)]
    """`phantom`, or the folder of the user's own copy."""
    tables: TableSet = "train"
    """Of PROSTATEx, whose findings are read: the training set's, the test set's (without labels), or both."""
    air_below_hu: Annotated[float, Field(ge=-1024, le=0)] = AIR_BELOW_HU
    """Of LUNGx: a nodule whose centre is below this, in Hounsfield units, is named as lying in air."""
    allow_identified: bool = False
    """Of DICOM: whether images are read that do not say that patient identity was removed (0012,0062)."""
    phantom: PhantomOptions | None = None

    @model_validator(mode="after")
    def _keys_are_of_the_kind(self) -> Self:
        for key, kind in (("tables", "prostatex"), ("air_below_hu", "lungx")):
            if key in self.model_fields_set and self.kind != kind:
                raise ValueError(f"{key}: a setting of kind {kind}, not of {self.kind}")
        generated = self.phantom if self.source == "phantom" else None
        if self.tables != "train" and generated is not None and generated.n_test_patients == 0:
            raise ValueError(f"tables: {self.tables}, but phantom.n_test_patients is 0: there are no test tables")
        if self.allow_identified and self.kind not in {"prostatex", "lungx"}:
            raise ValueError(f"allow_identified: only DICOM headers tell, and {self.kind} is read from other files")
        return self
