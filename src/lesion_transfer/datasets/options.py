"""What params.yaml says of a data set: its kind, where it lies, and how large its phantom is."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lesion_transfer.options import Options

Kind = Literal["prostatex", "lungx", "brain", "patch_archive"]
TableSet = Literal["train", "test", "both"]


class PhantomOptions(Options):
    """Size and difficulty of generated data; read only where `source` is `phantom`."""

    n_patients: Annotated[int, Field(ge=2)]
    n_slices: Annotated[int, Field(ge=1)] = 7
    """Slices a series (brain images are single)."""
    signal: Annotated[float, Field(ge=0, le=2)] = 1.0
    """1: a perfect reader reaches an AUC of about 0.9; 0: the classes look alike."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed makes other patients."""


class DatasetOptions(Options):
    """One entry of `datasets`."""

    kind: Kind
    source: Annotated[str, Field(min_length=1)]
    """`phantom`, or the folder of the user's own copy."""
    tables: TableSet = "train"
    """Of PROSTATEx, whose findings are read: the training set's, the test set's (without labels), or both."""
    phantom: PhantomOptions | None = None

    @model_validator(mode="after")
    def _tables_are_prostatex(self) -> Self:
        if self.tables != "train" and self.kind != "prostatex":
            raise ValueError(f"tables: only prostatex has tables to choose from, not {self.kind}")
        return self
