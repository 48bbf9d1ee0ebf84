"""Fetching series so that an interruption costs nothing: what is on the disk decides what is still to come."""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lesion_transfer.getting.errors import DownloadError
from lesion_transfer.getting.idc import RemoteSeries, Transfer

SERIES_AT_ONCE = 40
ATTEMPTS = 2
SPARE_BYTES = 200_000_000
"""Left free on the disk beyond the download itself."""
_POLL_SECONDS = 0.5

Report = Callable[[int], None]


@dataclass(frozen=True)
class Arrived:
    """What of a series lies in its folder."""

    n_files: int
    n_bytes: int

    def is_whole(self, series: RemoteSeries) -> bool:
        """Whether that is the whole series, by number of files and by bytes."""
        return (self.n_files, self.n_bytes) == (series.n_files, series.n_bytes)


@dataclass(frozen=True)
class Fetched:
    """What a fetch has come to: the series that are whole now, and by SeriesInstanceUID why others are not."""

    whole: list[RemoteSeries]
    failed: dict[str, str]


def arrived(series: RemoteSeries, folder: Path) -> Arrived:
    """The DICOM files of a series that are below `folder`; what s5cmd is still writing has another name."""
    place = folder / series.folder
    sizes = [path.stat().st_size for path in place.glob("*.dcm")] if place.is_dir() else []
    return Arrived(len(sizes), sum(sizes))


def missing_series(series: Sequence[RemoteSeries], folder: Path) -> list[RemoteSeries]:
    """Those that are not there whole."""
    return [one for one in series if not arrived(one, folder).is_whole(one)]


def missing_bytes(series: Sequence[RemoteSeries], folder: Path) -> int:
    """How much is still to come."""
    return sum(max(0, one.n_bytes - arrived(one, folder).n_bytes) for one in series)


def require_space(n_bytes: int, folder: Path) -> None:
    """Raises DownloadError when the disk of `folder` (which may not exist yet) cannot take n_bytes more."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if n_bytes + SPARE_BYTES > free:
        raise DownloadError(
            f"{folder} has room for {free / 1e9:.1f} GB, and {n_bytes / 1e9:.1f} GB are to come (with "
            f"{SPARE_BYTES / 1e9:.1f} GB to spare). Free some space or choose another folder."
        )


def fetch(
    series: Sequence[RemoteSeries],
    folder: Path,
    transfer: Transfer,
    report: Report | None = None,
    at_once: int = SERIES_AT_ONCE,
) -> Fetched:
    """Brings the series that are missing into `folder` and looks at what has come, file counts and bytes.

    report: called with the bytes of all `series` that are there. A series that does not arrive whole is tried
    ATTEMPTS times and then listed; the others go on. Raises DownloadError when the disk is too small, and when two
    batches on end bring nothing (no network): what is there stays, and the next call goes on from it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".download.lock", blocking=False)
    try:
        with lock:
            return _fetch(series, folder, transfer, report, at_once)
    except Timeout:
        raise DownloadError(f"Another download into {folder} is running. Wait for its end.") from None


def _fetch(
    series: Sequence[RemoteSeries], folder: Path, transfer: Transfer, report: Report | None, at_once: int
) -> Fetched:
    todo = missing_series(series, folder)
    require_space(missing_bytes(todo, folder), folder)
    for one in todo:
        _remove_unfinished(folder / one.folder)
    there = sum(one.n_bytes for one in series) - missing_bytes(todo, folder)
    troubles: dict[str, str] = {}
    for attempt in range(ATTEMPTS):
        empty = 0
        for start in range(0, len(todo), at_once):
            batch = todo[start : start + at_once]
            came, trouble = _run(transfer, batch, folder, report, there)
            there += came
            troubles |= dict.fromkeys((one.series_uid for one in batch), trouble)
            empty = 0 if came else empty + 1
            if empty == 2 and attempt == 0:
                raise DownloadError(
                    f"Nothing arrives any more from IDC ({trouble or 'no error was given'}). Is the network there? "
                    "What has come is kept: the same command goes on from it."
                )
        todo = missing_series(todo, folder)
    failed = {one.series_uid: _why(one, folder, troubles.get(one.series_uid, "")) for one in todo}
    return Fetched([one for one in series if one.series_uid not in failed], failed)


def _remove_unfinished(place: Path) -> None:
    """Removes what a killed s5cmd leaves: it writes `NAME.dcm` as `NAME.dcm` with digits behind, then renames it."""
    for path in place.glob("*.dcm*"):
        if path.suffix[4:].isdigit():
            path.unlink()


def _run(
    transfer: Transfer, batch: Sequence[RemoteSeries], folder: Path, report: Report | None, there: int
) -> tuple[int, str]:
    """Transfers a batch; the bytes that it brought, and the trouble as a text, empty without any.

    Meanwhile `report` is called with `there`, the bytes that were on the disk before, and what has come.
    """
    before = missing_bytes(batch, folder)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(transfer, batch, folder)
        while True:
            done = bool(wait([running], timeout=_POLL_SECONDS).done)
            came = before - missing_bytes(batch, folder)
            if report is not None:
                report(there + came)
            if done:
                break
        error = running.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return came, f"{type(error).__name__}: {error}" if error is not None else ""


def _why(series: RemoteSeries, folder: Path, trouble: str) -> str:
    there = arrived(series, folder)
    sentence = (
        f"{series.patient_id}, series {series.number} ({series.description}): "
        f"{there.n_files} of {series.n_files} files, {there.n_bytes} of {series.n_bytes} bytes are in {series.folder}"
    )
    if there.n_files > series.n_files or there.n_bytes > series.n_bytes:
        sentence += "; that is more than was published: remove the folder and fetch it again"
    return f"{sentence} ({trouble})." if trouble else f"{sentence}."
