"""How long a cohort takes from real-size DICOM, and how much of that is reading: 330 findings of 204 patients.

    python benchmarks/cohort_reading.py WORK            # writes the phantom into WORK/source once: 1.6 GB

Figures are taken with the files out of the page cache (cold) and in it (warm). Plain reading is the floor: the same
files opened, the same bytes read, nothing done with them. The plain reference is what a script of one page would do:
pydicom reads every header and the pixels of the same files, and nothing is done with them either. Files opened are
counted by Python's own audit events and bytes by the kernel (/proc/self/io), so that the program under test does not
count itself. Linux only.
"""

import json
import os
import platform
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pydicom
import typer
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from lesion_transfer.cohorts.build import build_cohort
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets import dicom_source, prostatex
from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.write import write_phantom
from lesion_transfer.imaging import dicom_index
from lesion_transfer.imaging.dicom_scan import READ_BYTES
from lesion_transfer.imaging.walk import files_below

RECIPE = Path(__file__).parents[1] / "phantom" / "prostatex.yaml"
N_PATIENTS, N_SLICES = 204, 19
WITH_ONE_TWO_THREE_FINDINGS = (108, 66, 30)
"""Patients: 330 findings, as many as PROSTATEx's training set has."""
OPTIONS = CohortOptions(dataset="prostatex", channels=["t2", "dwi", "adc"], crop_mm=32.5)


@dataclass
class Opened:
    """How often each DICOM file was opened while `counting`."""

    counting: bool = False
    times: Counter[str] = field(default_factory=Counter)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook (sys.addaudithook)."""
        if self.counting and event == "open" and str(arguments[0]).endswith(".dcm"):
            self.times[str(arguments[0])] += 1


OPENED = Opened()


@dataclass(frozen=True)
class Measured:
    """What one piece of work took; opens and n_bytes are this process's alone."""

    seconds: float
    cpu_seconds: float
    """Of this process and its children: hardly longer where others compute at the same time."""
    files: int
    opens: int
    n_bytes: int


@contextmanager
def measuring() -> Iterator[list[Measured]]:
    """Gives a list that holds one Measured after the block."""
    result: list[Measured] = []
    OPENED.times.clear()
    OPENED.counting = True
    read, cpu, start = _bytes_read(), _cpu_seconds(), time.perf_counter()
    yield result
    seconds, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
    OPENED.counting = False
    result.append(Measured(seconds, cpu, len(OPENED.times), OPENED.times.total(), _bytes_read() - read))


def _bytes_read() -> int:
    """What this process has read by system calls (rchar)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def write_source(work: Path, n_patients: int) -> Path:
    """The phantom, written once."""
    source = work / "source"
    if not (source / "ProstateX-Images-Train.csv").is_file():
        recipe = YAML(typ="safe").load(RECIPE)
        recipe["findings_per_patient"] = [n / N_PATIENTS for n in WITH_ONE_TWO_THREE_FINDINGS]
        YAML().dump(recipe, work / "recipe.yaml")
        options = PhantomOptions(n_patients=n_patients, n_slices=N_SLICES)
        write_phantom("prostatex", work / "recipe.yaml", source, options, 7)
    return source


def forget(files: list[Path]) -> None:
    """Puts files out of the page cache."""
    os.sync()
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def plain_reading(files: list[Path], whole: set[Path]) -> None:
    """The floor: the beginning of every file, and the whole of those whose pixels are needed."""
    for path in files:
        with path.open("rb") as file:
            file.read(READ_BYTES)
    for path in whole:
        path.read_bytes()


def read_by_pydicom(files: list[Path], whole: set[Path]) -> None:
    """The reference: every header, and the pixels of those files whose pixels are needed, as pydicom gives them."""
    for path in files:
        dataset = pydicom.dcmread(path, stop_before_pixels=path not in whole)
        dataset.get("ImagePositionPatient")
        if path in whole:
            _ = dataset.pixel_array


def cohort(source: Path, out: Path, hashes: dict[str, str]) -> int:
    """Findings and exclusions of the cohort, built as the stage does."""
    shutil.rmtree(out, ignore_errors=True)
    findings = prostatex.read_findings(source, source, OPTIONS.channels, OPTIONS.slice_rule)
    return len(build_cohort(findings, OPTIONS, out, hashes, root=source).findings)


@contextmanager
def noting_pixel_reads() -> Iterator[Counter[Path]]:
    """Which files' pixels are decoded, and how often."""
    decoded: Counter[Path] = Counter()
    original = dicom_source.read_display_values

    def noted(path: Path, *rest: Any) -> Any:
        decoded[path] += 1
        return original(path, *rest)

    dicom_source.read_display_values = noted
    try:
        yield decoded
    finally:
        dicom_source.read_display_values = original


def main(
    work: Path,
    patients: Annotated[int, typer.Option(help="fewer for a try")] = N_PATIENTS,
) -> None:
    """Writes WORK/cohort_reading.json and prints it as a table."""
    work.mkdir(parents=True, exist_ok=True)
    source = write_source(work, patients)
    files = [path for path in files_below(source) if path.suffix == ".dcm"]
    hashes = dict.fromkeys(map(str, files), "0" * 64)  # the manifest's hashes belong to another stage
    sys.addaudithook(OPENED.hook)
    console = Console()
    rows: list[dict[str, Any]] = []

    def measure(name: str, cache: str, run: Callable[[], object]) -> None:
        if cache == "cold":
            forget(files)
        with measuring() as measured:
            run()
        rows.append({"work": name, "cache": cache, **asdict(measured[0])})
        console.print(rows[-1], soft_wrap=True)

    one_process = 10**9
    found: list[int] = []
    with noting_pixel_reads() as decoded:
        measure("cohort", "cold", lambda: found.append(cohort(source, work / "cohort", hashes)))
    n_findings, times_decoded = found[0], dict(decoded)
    for cache in ("cold", "warm"):
        measure("plain reading of the same bytes", cache, lambda: plain_reading(files, set(times_decoded)))
    for cache in ("cold", "warm"):
        measure("the same files read by pydicom", cache, lambda: read_by_pydicom(files, set(times_decoded)))
    measure("headers, one process", "warm", lambda: index(source, one_process))
    measure("headers, a pool of processes", "warm", lambda: index(source, 0))
    measure("cohort", "warm", lambda: cohort(source, work / "cohort", hashes))
    total = sum(path.stat().st_size for path in files)
    facts = {
        "findings": n_findings,
        "patients": patients,
        "files": len(files),
        "bytes": total,
        "files_a_finding": len(files) / n_findings,
        "pixels_decoded": len(times_decoded),
        "most_often_decoded": max(times_decoded.values()),
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "rows": rows,
    }
    (work / "cohort_reading.json").write_text(json.dumps(facts, indent=2) + "\n")
    show(facts, console)


def show(facts: dict[str, Any], console: Console) -> None:
    """The rows as a table, then the counts."""
    table = Table("", "cache", "seconds", "CPU seconds", "CPU ms a finding", "files", "opens a file", "MB read")
    for row in facts["rows"]:
        numbers = (row["seconds"], row["cpu_seconds"], row["cpu_seconds"] / facts["findings"] * 1000)
        opens = f"{row['opens'] / row['files']:.2f}" if row["files"] else ""
        counts = (str(row["files"]), opens, f"{row['n_bytes'] / 1e6:.0f}")
        table.add_row(row["work"], row["cache"], *(f"{number:.1f}" for number in numbers), *counts)
    console.print(table)
    seconds = {(row["work"], row["cache"]): row["seconds"] for row in facts["rows"]}
    for cache in ("cold", "warm"):
        for other in ("the same files read by pydicom", "plain reading of the same bytes"):
            ratio = seconds[other, cache] / seconds["cohort", cache]
            console.print(f"{other} takes {ratio:.2f} times as long as the cohort ({cache})")
    console.print({key: value for key, value in facts.items() if key != "rows"})


def index(source: Path, threshold: int) -> None:
    """The header index, with a pool of processes from `threshold` files on."""
    with_threshold(threshold, lambda: dicom_index.index_folder(source))


def with_threshold(threshold: int, run: Callable[[], object]) -> object:
    """Runs with another PARALLEL_FROM_FILES."""
    before = dicom_index.PARALLEL_FROM_FILES
    dicom_index.PARALLEL_FROM_FILES = threshold
    try:
        return run()
    finally:
        dicom_index.PARALLEL_FROM_FILES = before


if __name__ == "__main__":
    typer.run(main)
