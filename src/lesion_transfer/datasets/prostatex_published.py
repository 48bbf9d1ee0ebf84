"""What the published image rows of PROSTATEx say by themselves: which channel each is, and in which plane it lies."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lesion_transfer.datasets.prostatex_names import name_rule
from lesion_transfer.datasets.tables import TableRow, read_table

Plane = Literal["sagittal", "coronal", "transverse"]
_PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "transverse")

RESOLVED_BY = ("ProxID", "fid", "pos", "WorldMatrix", "DCMSerDescr", "DCMSerNum")
UNKNOWN = "unknown_name"
NOT_TRANSVERSE = "not_transverse"
_TIME = re.compile(r"TT=[\d.]+s$")


@dataclass(frozen=True)
class ResolvedRow:
    """An image row: the rule that it falls under, and the channel it can serve as; None: it is none.

    finding: ProxID, fid and pos, as written. rule: the name of a NameRule, `not_transverse` for a sequence in another
    plane, `unknown_name` where no rule fits.
    """

    finding: tuple[str, str, str]
    series_number: str
    description: str
    plane: Plane
    rule: str
    channel: str | None


def plane_of(world_matrix: str) -> Plane:
    """The plane of a series by its WorldMatrix (4 x 4, comma-separated, LPS): the axis its normal runs most along."""
    matrix = np.array([float(cell) for cell in world_matrix.split(",")]).reshape(4, 4)
    return _PLANES[int(np.argmax(np.abs(np.cross(matrix[:3, 0], matrix[:3, 1]))))]


def resolve(row: TableRow) -> ResolvedRow:
    """Which rule resolves an image row, by name and orientation alone."""
    description = row["DCMSerDescr"]
    plane, rule = plane_of(row["WorldMatrix"]), name_rule(description)
    if rule is None:
        name, channel = UNKNOWN, None
    elif rule.sequence is not None and plane != "transverse":
        name, channel = NOT_TRANSVERSE, None
    else:
        name, channel = rule.name, rule.sequence
    return ResolvedRow((row["ProxID"], row["fid"], row["pos"]), row["DCMSerNum"], description, plane, name, channel)


def resolve_table(images_table: Path) -> list[ResolvedRow]:
    """Every row of `ProstateX-Images-*.csv`, resolved."""
    return [resolve(row) for row in read_table(images_table, [*RESOLVED_BY])]


def rows_by_rule(rows: Iterable[ResolvedRow]) -> dict[str, int]:
    """How many rows each rule resolves, by the rule's name."""
    return dict(sorted(Counter(row.rule for row in rows).items()))


def unresolved(rows: Sequence[ResolvedRow]) -> dict[str, int]:
    """The descriptions (without a dynamic image's time) of the rows that are no channel, and how many have each."""
    return dict(sorted(Counter(_TIME.sub("TT=...", row.description) for row in rows if row.channel is None).items()))
