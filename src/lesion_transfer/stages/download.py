"""Tool `download`: shows what would be fetched, asks, fetches, and says what the user has to fetch."""

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from lesion_transfer.files import write_csv
from lesion_transfer.getting import by_hand
from lesion_transfer.getting.errors import DownloadError
from lesion_transfer.getting.fetch import Fetched, arrived, fetch, missing_bytes, missing_series, require_space
from lesion_transfer.getting.idc import IdcTransfer, Transfer, index_version, listed_series
from lesion_transfer.getting.selection import PUBLISHED, Needed, needed_series

COLUMNS = (
    "channel",
    "patient_id",
    "study_uid",
    "series_uid",
    "series_number",
    "description",
    "files",
    "bytes",
    "licence",
    "whole",
)


@dataclass(frozen=True)
class DownloadPlan:
    """What a download of a data set into a folder comprises; `needed` is empty where IDC has nothing of it."""

    dataset: str
    folder: Path
    needed: list[Needed]

    @property
    def record(self) -> Path:
        """The list of series that is left beside the images."""
        return self.folder / f"download-{self.dataset}.csv"


def plan_download(
    dataset: str, folder: Path, channels: Sequence[str] = (), patients: Sequence[str] = ()
) -> DownloadPlan:
    """The plan by the index alone, without network; DownloadError for a name that is not known."""
    if dataset not in by_hand.DATASETS:
        raise DownloadError(f"There is no data set {dataset!r} to download; there are {', '.join(by_hand.DATASETS)}.")
    if dataset not in PUBLISHED:
        return DownloadPlan(dataset, folder, [])
    listed = listed_series(PUBLISHED[dataset].collection)
    return DownloadPlan(dataset, folder, needed_series(dataset, listed, channels, patients))


def plan_rows(plan: DownloadPlan) -> list[dict[str, object]]:
    """A row a series, with the columns COLUMNS; `whole` says whether it lies in the folder already."""
    return [
        {
            "channel": one.channel,
            "patient_id": one.series.patient_id,
            "study_uid": one.series.study_uid,
            "series_uid": one.series.series_uid,
            "series_number": one.series.number,
            "description": one.series.description,
            "files": one.series.n_files,
            "bytes": one.series.n_bytes,
            "licence": one.series.licence,
            "whole": arrived(one.series, plan.folder).is_whole(one.series),
        }
        for one in plan.needed
    ]


def write_plan(plan: DownloadPlan) -> None:
    """The rows as CSV on standard output."""
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plan_rows(plan))


def show_plan(plan: DownloadPlan, console: Console) -> None:
    """Series, files and bytes by channel and name, the sum, and what of it is still to come."""
    rows = pd.DataFrame(plan_rows(plan), columns=list(COLUMNS))
    table = Table("channel")
    table.add_column("series description", overflow="fold")
    for name in ("patients", "series", "files", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for (channel, description), group in rows.groupby(["channel", "description"], sort=True):
        table.add_row(str(channel), str(description), *_counts(group))
    table.add_section()
    table.add_row("all", "", *_counts(rows))
    console.print(table)
    licences = ", ".join(sorted(set(rows["licence"])))
    to_come = missing_bytes([one.series for one in plan.needed], plan.folder)
    console.print(
        f"{decimal(int(rows['bytes'].sum()) - to_come)} of it were fetched into {plan.folder}; "
        f"{decimal(to_come)} are to come. "
        f"By the index of IDC release {index_version().split('.')[0]}; licence {licences}.",
        soft_wrap=True,
        highlight=False,
    )


def _counts(rows: pd.DataFrame) -> list[str]:
    return [
        str(rows["patient_id"].nunique()),
        str(len(rows)),
        str(rows["files"].sum()),
        decimal(int(rows["bytes"].sum())),
    ]


def run_download(plan: DownloadPlan, transfer: Callable[[], Transfer] = IdcTransfer) -> Fetched:
    """Fetches what is missing of a plan and writes the plan's record; see `fetch`.

    transfer: makes the Transfer, called only when something is missing.
    """
    series = [one.series for one in plan.needed]
    todo = missing_series(series, plan.folder)
    require_space(missing_bytes(todo, plan.folder), plan.folder)
    _write_record(plan)
    if not todo:
        return Fetched(series, {})
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        n_bytes = sum(one.n_bytes for one in series)
        task = progress.add_task(plan.dataset, total=n_bytes, completed=n_bytes - missing_bytes(series, plan.folder))
        try:
            return fetch(series, plan.folder, transfer(), lambda there: progress.update(task, completed=there))
        finally:
            _write_record(plan)


def _write_record(plan: DownloadPlan) -> None:
    plan.folder.mkdir(parents=True, exist_ok=True)
    write_csv(plan.record, pd.DataFrame(plan_rows(plan), columns=list(COLUMNS)))


def show_by_hand(plan: DownloadPlan, console: Console) -> bool:
    """Lists what only the user can fetch, from where, and whether it is there; True when nothing required is not."""
    things = by_hand.by_hand(plan.dataset, plan.folder)
    lines = [f"Your own download, to be put anywhere below {plan.folder}:"]
    for source in dict.fromkeys(thing.source for thing in things):
        lines.append(f"  from {source}")
        for thing in (one for one in things if one.source == source):
            state = "found" if thing.found else "MISSING" if thing.required else "not there, optional"
            lines.append(f"    {thing.what}: {state}")
    complete = all(thing.found or not thing.required for thing in things)
    if complete:
        lines.append(f"Then set the data set's `source` in params.yaml to {plan.folder.absolute()}")
    console.print(*lines, sep="\n", soft_wrap=True, markup=False, highlight=False)
    return complete
