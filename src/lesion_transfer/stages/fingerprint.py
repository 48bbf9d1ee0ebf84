"""`lesion fingerprint`: what a data set's cohorts are made of, as the check stage found it, for a terminal."""

from collections.abc import Iterator

from rich.table import Table

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.reporting.fingerprint import fingerprint_rows
from lesion_transfer.stages.layout import Layout, StageError, entry, read_json


def fingerprint_tables(layout: Layout, dataset: str) -> Iterator[Table]:
    """A table for each cohort of the data set; StageError where one was not checked yet, or is another by now."""
    settings = layout.settings()
    entry(settings.datasets, dataset, "data set")
    names = [name for name, options in settings.cohorts.items() if options.dataset == dataset]
    if not names:
        raise StageError(f"no cohort of params.yaml is cut from {dataset}; add one to see what it is made of")
    for name in names:
        command = f"lesion check {name}"
        content = read_json(layout.check(name), command)
        # reports are in git: they are there, of the authors' cohorts, before any cohort is
        if layout.cohort(name).exists() and load_cohort(layout.cohort(name)).images_sha256 != content["images_sha256"]:
            raise StageError(f"cohort {name} has other images than when it was checked; run `{command}`")
        table = Table(title=f"{dataset}: cohort {name}", title_justify="left", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for row in fingerprint_rows(content["fingerprint"]):
            table.add_row(*row)
        yield table
