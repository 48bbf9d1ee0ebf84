"""Which module reads which kind of data set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lesion_transfer.datasets import brain, lungx, patch_archive, prostatex
from lesion_transfer.datasets.finding import Exclusion, Finding
from lesion_transfer.datasets.options import DatasetOptions, Kind, TableSet
from lesion_transfer.datasets.source_image import SourceImages


class DatasetReader(Protocol):
    """What every data set module offers; see docs/architecture.md."""

    def published_tables(self, source: Path) -> list[Path]:
        """The tables of the data set below source; DatasetError naming what is missing."""
        ...

    def image_files(self, source: Path) -> Iterator[Path]:
        """Every image file below source, sorted."""
        ...

    def read_findings(
        self, source: Path, tables: Path, channels: Sequence[str], slice_rule: str
    ) -> Iterator[Finding | Exclusion]:
        """The findings, those of one patient one after the other; `tables` holds copies of the published tables."""
        ...


READERS: dict[Kind, DatasetReader] = {
    "prostatex": prostatex,
    "lungx": lungx,
    "brain": brain,
    "patch_archive": patch_archive,
}
"""As they are without any setting."""


def reader_of(options: DatasetOptions) -> DatasetReader:
    """The reader of a data set, set up as its entry in params.yaml says."""
    if options.kind == "prostatex":
        return _Prostatex(options.tables, options.allow_identified)
    if options.kind == "lungx":
        return _Lungx(options.air_below_hu, options.allow_identified)
    return READERS[options.kind]


def source_images(kind: Kind) -> SourceImages:
    """The files of a data set of this kind, shown as its reader shows them."""
    return SourceImages(lungx.LUNG_WINDOW if kind == "lungx" else None)


@dataclass(frozen=True)
class _Prostatex:
    """PROSTATEx with the findings of the chosen tables."""

    chosen: TableSet
    allow_identified: bool

    def published_tables(self, source: Path) -> list[Path]:
        return prostatex.published_tables(source, chosen=self.chosen)

    def image_files(self, source: Path) -> Iterator[Path]:
        return prostatex.image_files(source)

    def read_findings(
        self, source: Path, tables: Path, channels: Sequence[str], slice_rule: str
    ) -> Iterator[Finding | Exclusion]:
        return prostatex.read_findings(
            source, tables, channels, slice_rule, chosen=self.chosen, allow_identified=self.allow_identified
        )


@dataclass(frozen=True)
class _Lungx:
    """LUNGx with a declared threshold between air and tissue."""

    air_below_hu: float
    allow_identified: bool

    def published_tables(self, source: Path) -> list[Path]:
        return lungx.published_tables(source)

    def image_files(self, source: Path) -> Iterator[Path]:
        return lungx.image_files(source)

    def read_findings(
        self, source: Path, tables: Path, channels: Sequence[str], slice_rule: str
    ) -> Iterator[Finding | Exclusion]:
        return lungx.read_findings(
            source,
            tables,
            channels,
            slice_rule,
            air_below_hu=self.air_below_hu,
            allow_identified=self.allow_identified,
        )
