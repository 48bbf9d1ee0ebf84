"""Stage `cohort`: the findings of a data set -> patches of one size with everything known of them."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_transfer.cohorts.build import build_cohort
from lesion_transfer.cohorts.options import CohortOptions
from lesion_transfer.datasets.finding import Exclusion, Finding
from lesion_transfer.datasets.patch_archive import display_scale
from lesion_transfer.datasets.registry import reader_of
from lesion_transfer.files import plain_cell
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, entry, require
from lesion_transfer.stages.progress import progress_bar

log = logging.getLogger(__name__)
SHOWN_CONCERNS = 5


def cohort(layout: Layout, name: str) -> None:
    """Writes data/cohorts/NAME: images.npy, findings.csv, excluded.csv, cohort.json."""
    settings = layout.settings()
    options = entry(settings.cohorts, name, "cohort")
    findings, hashes, source = open_findings(layout, settings, name)
    shutil.rmtree(layout.cohort(name), ignore_errors=True)
    with progress_bar(f"cutting {name}") as move:
        built = build_cohort(
            findings, options, layout.cohort(name), hashes, move, source, _archive_scale(settings, options, source)
        )
    concerns = list(built.findings[built.findings["concern"] != ""].groupby("concern"))
    for concern, rows in concerns[:SHOWN_CONCERNS]:
        log.warning("%s: %s: %s", name, concern, ", ".join(rows["finding_key"].unique()))
    if len(concerns) > SHOWN_CONCERNS:
        more = len(concerns) - SHOWN_CONCERNS
        log.warning("%s: %d more concerns, in %s", name, more, layout.cohort(name) / "findings.csv")


def _archive_scale(settings: Settings, options: CohortOptions, source: Path) -> dict[str, Any] | None:
    """How the numbers of a patch archive became display values, for `lesion predict` to do it again; else None."""
    if settings.datasets[options.dataset].kind != "patch_archive":
        return None
    return display_scale(source).to_dict()


def open_findings(
    layout: Layout, settings: Settings, name: str
) -> tuple[Iterator[Finding | Exclusion], Mapping[str, str], Path]:
    """The findings of a cohort's data set, read one by one from its source; the files' hashes; the source's folder."""
    options = settings.cohorts[name]
    dataset = options.dataset
    manifest = pd.read_csv(
        require(layout.manifest(dataset), f"lesion acquire {dataset}"), dtype=str, keep_default_na=False
    )
    source = layout.source(settings, dataset)
    require(source, f"lesion acquire {dataset}")
    hashes = {
        str(source / plain_cell(path)): sha256
        for path, sha256 in zip(manifest["path"], manifest["sha256"], strict=True)
    }
    findings = reader_of(settings.datasets[dataset]).read_findings(
        source, layout.tables(dataset), options.channels, options.slice_rule
    )
    return findings, hashes, source
