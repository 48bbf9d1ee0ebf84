"""Stage `acquire`: a data set as published -> its tables and a manifest of every file; a phantom is written first."""

import logging
import shutil
from pathlib import Path

import pandas as pd

from lesion_transfer.datasets.phantom.write import write_phantom
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.registry import reader_of
from lesion_transfer.files import file_sha256, write_csv
from lesion_transfer.imaging.walk import name_problem
from lesion_transfer.randomness import stream_seed
from lesion_transfer.stages.layout import Layout, StageError, entry
from lesion_transfer.stages.progress import progress_bar

log = logging.getLogger(__name__)


def acquire(layout: Layout, name: str) -> None:
    """Writes data/raw/NAME: manifest.csv (path, bytes, sha256; paths relative to the source), tables/ and images/.

    The user's own files stay where they are and are never written to; images/ is then empty. A file that cannot be read
    or named is left out of the manifest with a warning; the cohorts set its findings aside as unreadable_file.
    """
    settings = layout.settings()
    dataset = entry(settings.datasets, name, "data set")
    source = layout.source(settings, name)
    if dataset.source != "phantom" and not source.is_dir():
        raise StageError(
            f"datasets.{name}.source: {source} is not a folder; give the one that holds your copy of the data set"
        )
    layout.manifest(name).unlink(missing_ok=True)
    for written in (layout.tables(name), layout.generated(name)):  # and nothing else that may lie there
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir(parents=True)
    if dataset.source == "phantom":
        assert dataset.phantom is not None  # settings refuse a phantom without its size
        seed = stream_seed(dataset.phantom.seed, "phantom", name)
        with progress_bar(f"writing phantom {name}") as move:
            write_phantom(
                dataset.kind, layout.recipe(dataset.kind), layout.generated(name), dataset.phantom, seed, move
            )
    reader = reader_of(dataset)
    tables = reader.published_tables(source)
    for table in tables:
        if problem := name_problem(table, table.parent):
            raise StageError(f"{source}: the table {problem}")
        shutil.copyfile(table, layout.tables(name) / table.name)
    write_csv(layout.manifest(name), _manifest(source, sorted({*tables, *reader.image_files(source)})))


def _manifest(source: Path, files: list[Path]) -> pd.DataFrame:
    rows, aside = [], []
    with progress_bar(f"hashing {source.name}", len(files)) as move:
        for count, file in enumerate(files, start=1):
            name, problem = file.relative_to(source).as_posix(), name_problem(file, source)
            try:
                if not problem:
                    rows.append((name, file.stat().st_size, file_sha256(file)))
            except OSError as error:
                problem = f"{name}: the file cannot be read ({error.strerror}); make it readable."
            if problem:
                aside.append(problem)
            move(count)
    if aside:
        log.warning(
            "%d of %d files below %s are set aside (%s). The first: %s",
            *(len(aside), len(files), source, Reason.UNREADABLE_FILE, aside[0]),
        )
    return pd.DataFrame(rows, columns=["path", "bytes", "sha256"])
