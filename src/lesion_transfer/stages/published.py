"""`lesion series DATASET`: what the published image tables say by themselves, for a terminal."""

from collections.abc import Iterator

from rich.table import Table

from lesion_transfer.datasets.prostatex_published import resolve_table, rows_by_rule, unresolved
from lesion_transfer.stages.layout import Layout, StageError, entry, require


def published_series(layout: Layout, dataset: str) -> Iterator[Table | str]:
    """For each images table of PROSTATEx: its rows by the rule that resolves them, and the series that are no channel.

    Raises StageError where the data set names no series, or its tables are not there yet.
    """
    kind = entry(layout.settings().datasets, dataset, "data set").kind
    if kind != "prostatex":
        raise StageError(f"the tables of {kind} name no series; only those of prostatex do")
    tables = require(layout.tables(dataset), f"lesion acquire {dataset}")
    for path in sorted(tables.glob("ProstateX-Images-T*.csv")):
        rows = resolve_table(path)
        channel_of = {row.rule: row.channel for row in rows}
        by_rule = Table("rule", "channel", "rows", title=f"{path.name}: {len(rows)} image rows", title_justify="left")
        for rule, n in rows_by_rule(rows).items():
            by_rule.add_row(rule, channel_of[rule] or "", str(n))
        yield by_rule
        left = Table("series that are no channel", "rows")
        for description, n in unresolved(rows).items():
            left.add_row(description, str(n))
        yield left if left.rows else "Every row's series is a channel.\n"
