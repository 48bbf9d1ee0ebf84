"""Fetching with a stand-in for the network: interruptions, partial files, a full disk, failures."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from lesion_transfer.getting import fetch as module
from lesion_transfer.getting.errors import DownloadError
from lesion_transfer.getting.fetch import arrived, fetch, missing_series
from lesion_transfer.getting.idc import RemoteSeries


def remote(number: int, n_files: int = 3) -> RemoteSeries:
    return RemoteSeries("c", "P1", "1.1", f"1.1.{number}", number, "t2", "MR", n_files, 10 * n_files, "CC BY 3.0")


SERIES = [remote(number) for number in range(1, 8)]


class StandIn:
    """Writes 10 bytes a file like a transfer that passes over whole files; `short` series get one file too few."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.short: set[str] = set()
        self.calls_before_it_breaks = 1_000
        self.error: BaseException | None = None

    def __call__(self, series, folder: Path) -> None:
        for one in series:
            if self.calls_before_it_breaks == 0:
                if self.error is not None:
                    raise self.error
                return
            self.calls_before_it_breaks -= 1
            place = folder / one.folder
            place.mkdir(parents=True, exist_ok=True)
            for n in range(one.n_files - (one.series_uid in self.short)):
                file = place / f"{n}.dcm"
                if not file.exists() or file.stat().st_size != 10:
                    file.write_bytes(b"0123456789")
                    self.sent.append(f"{one.series_uid}/{n}")


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


def test_everything_arrives_and_progress_ends_at_all_bytes(stand_in, tmp_path):
    told: list[int] = []
    done = fetch(SERIES, tmp_path, stand_in, told.append, at_once=2)
    assert (done.whole, done.failed) == (SERIES, {})
    assert not missing_series(SERIES, tmp_path)
    assert told == sorted(told)
    assert told[-1] == 7 * 30


def test_a_second_call_sends_nothing(stand_in, tmp_path):
    fetch(SERIES, tmp_path, stand_in)
    stand_in.sent.clear()
    told: list[int] = []
    assert fetch(SERIES, tmp_path, stand_in, told.append).whole == SERIES
    assert stand_in.sent == []


def test_an_interruption_keeps_what_came_and_the_next_call_brings_the_rest_only(stand_in, tmp_path):
    stand_in.calls_before_it_breaks, stand_in.error = 3, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        fetch(SERIES, tmp_path, stand_in, at_once=2)
    assert missing_series(SERIES, tmp_path) == SERIES[3:]
    stand_in.calls_before_it_breaks = 1_000
    stand_in.sent.clear()
    told: list[int] = []
    assert fetch(SERIES, tmp_path, stand_in, told.append, at_once=2).failed == {}
    assert {name.split("/")[0] for name in stand_in.sent} == {one.series_uid for one in SERIES[3:]}
    assert min(told) >= 3 * 30


def test_partial_and_missing_files_are_sent_again_alone(stand_in, tmp_path):
    fetch(SERIES, tmp_path, stand_in)
    stand_in.sent.clear()
    (tmp_path / SERIES[1].folder / "2.dcm").write_bytes(b"0123")
    (tmp_path / SERIES[4].folder / "0.dcm").unlink()
    assert fetch(SERIES, tmp_path, stand_in).failed == {}
    assert stand_in.sent == ["1.1.2/2", "1.1.5/0"]


def test_what_a_killed_transfer_left_half_written_is_removed_and_nothing_else(stand_in, tmp_path):
    place = tmp_path / SERIES[0].folder
    place.mkdir(parents=True)
    (place / "0.dcm3444261307").write_bytes(b"0123")
    (place / "notes.txt").write_text("mine")
    assert arrived(SERIES[0], tmp_path).n_files == 0
    fetch(SERIES, tmp_path, stand_in)
    assert sorted(path.name for path in place.iterdir()) == ["0.dcm", "1.dcm", "2.dcm", "notes.txt"]


def test_a_series_that_stays_short_is_listed_with_counts_and_the_others_arrive(stand_in, tmp_path):
    stand_in.short = {"1.1.4"}
    done = fetch(SERIES, tmp_path, stand_in, at_once=2)
    assert list(done.failed) == ["1.1.4"]
    assert "P1, series 4 (t2): 2 of 3 files, 20 of 30 bytes" in done.failed["1.1.4"]
    assert len(done.whole) == 6


def test_a_series_with_too_much_is_not_called_whole(stand_in, tmp_path):
    fetch(SERIES, tmp_path, stand_in)
    (tmp_path / SERIES[2].folder / "extra.dcm").write_bytes(b"x")
    done = fetch(SERIES, tmp_path, stand_in)
    assert "more than was published" in done.failed["1.1.3"]


def test_an_error_of_the_transfer_is_told_with_the_series(stand_in, tmp_path):
    stand_in.calls_before_it_breaks, stand_in.error = 6, OSError("connection reset")
    done = fetch(SERIES, tmp_path, stand_in)
    assert "connection reset" in done.failed["1.1.7"]


def test_without_network_it_stops_with_a_sentence_instead_of_trying_every_series(stand_in, tmp_path):
    stand_in.calls_before_it_breaks = 2
    with pytest.raises(DownloadError, match="the same command goes on"):
        fetch(SERIES, tmp_path, stand_in, at_once=1)
    assert not missing_series(SERIES[:2], tmp_path)


def test_a_disk_that_is_too_small_is_said_before_anything_is_sent(stand_in, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=module.SPARE_BYTES + 7 * 30 - 1)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match="has room for"):
        fetch(SERIES, tmp_path, stand_in)
    assert stand_in.sent == []


def test_the_disk_has_to_hold_only_what_is_missing(stand_in, tmp_path, monkeypatch):
    fetch(SERIES[:6], tmp_path, stand_in)
    usage = shutil.disk_usage(tmp_path)._replace(free=module.SPARE_BYTES + 30)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    assert fetch(SERIES, tmp_path, stand_in).failed == {}


def test_two_downloads_into_one_folder_do_not_meet(stand_in, tmp_path):
    with FileLock(tmp_path / ".download.lock"), pytest.raises(DownloadError, match="Another download"):
        fetch(SERIES, tmp_path, stand_in)
