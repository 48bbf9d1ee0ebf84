"""Stage `check`: a cohort proved against its source, what it is made of, and pictures to look at."""

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.cohorts.cohort import Cohort, load_cohort
from lesion_transfer.cohorts.dot_summary import dot_summary, failure_sentences
from lesion_transfer.cohorts.examine import Examination, examine
from lesion_transfer.cohorts.fingerprint import fingerprint
from lesion_transfer.cohorts.near_duplicates import near_duplicate_groups
from lesion_transfer.cohorts.patch_faults import PatchFault, faults_in_words, patch_faults
from lesion_transfer.cohorts.units import joining_rows
from lesion_transfer.datasets.registry import source_images
from lesion_transfer.files import replacing, write_json, write_text
from lesion_transfer.reporting.montage import alignment_montage, montage_png, red_dot_montage
from lesion_transfer.settings import Settings
from lesion_transfer.stages.cohort import open_findings
from lesion_transfer.stages.layout import Layout, StageError, entry, require
from lesion_transfer.stages.progress import progress_bar

log = logging.getLogger(__name__)


def check(layout: Layout, name: str) -> None:
    """Writes reports/checks/NAME.json, pictures in reports/checks/NAME/ and, when all is well, data/checked/NAME.txt.

    Raises StageError when a dot drawn at a lesion does not land where it belongs, when the stored patches are not
    those that the source gives, or when too many of them show nothing; the report and the pictures are written all
    the same.
    """
    settings = layout.settings()
    options = entry(settings.cohorts, name, "cohort")
    cohort = load_cohort(require(layout.cohort(name), f"lesion cohort {name}"))
    findings, _, _ = open_findings(layout, settings, name)
    images = source_images(settings.datasets[options.dataset].kind)
    layout.checked(name).unlink(missing_ok=True)
    with progress_bar(f"checking {name}") as move:
        found = examine(cohort, findings, options, images, move)
    faults = patch_faults(cohort.patches, cohort.findings["finding_key"].tolist(), cohort.channels)
    if faults:
        log.warning("%s: patches that show nothing: %s", name, faults_in_words(faults))
    content = _content(settings, cohort, found, faults)
    shutil.rmtree(layout.check_pictures(name), ignore_errors=True)
    _draw(layout, settings, cohort, found)
    write_json(layout.check(name), content)
    failures = [
        *failure_sentences(content["red_dots"]),
        *_too_many_faults(faults, len(cohort.images), settings.checks.max_faulty_share),
    ]
    if failures:
        raise StageError(
            f"{name} does not show what it should: {'; '.join(failures)}. All of it is in {layout.check(name)}, "
            f"pictures in {layout.check_pictures(name)}; checks.max_dot_error_px is {settings.checks.max_dot_error_px}"
            f", checks.max_faulty_share {settings.checks.max_faulty_share}."
        )
    write_text(
        layout.checked(name),
        f"dots drawn at the lesions landed in the centre of every patch of images {cohort.images_sha256}\n",
    )


def _too_many_faults(faults: Sequence[PatchFault], n_patches: int, limit: float) -> list[str]:
    """Of each channel of which more than this share of its patches show nothing, a sentence for people."""
    return [
        f"{n} of {n_patches} patches of channel {channel} show nothing: "
        f"{faults_in_words([one for one in faults if one.channel == channel])} (look at the values of the source; in a "
        "patch archive a single extreme pixel makes the others black)"
        for channel, n in Counter(one.channel for one in faults).items()
        if n / n_patches > limit
    ]


def _content(settings: Settings, cohort: Cohort, found: Examination, faults: Sequence[PatchFault]) -> dict[str, Any]:
    """reports/checks/COHORT.json."""
    rows = joining_rows(cohort)
    near = near_duplicate_groups(rows["phash"], settings.split.near_duplicate_bits)
    groups = rows[near != ""].groupby(near[near != ""])["patient_id"]
    return {
        "cohort": cohort.name,
        "dataset": settings.dataset_of(cohort.name),
        "phantom": settings.is_phantom(cohort.name),
        "images_sha256": cohort.images_sha256,
        "red_dots": dot_summary(found, settings.checks),
        "faulty_patches": {
            fault: [f"{one.finding_key} {one.channel}" for one in faults if one.fault == fault]
            for fault in ("nan", "black", "constant")
        },
        "near_duplicates": {
            "bits": settings.split.near_duplicate_bits,
            "n_slices_with_hash": int((rows["phash"] != "").sum()),
            "patients_joined": sorted(sorted(set(patients)) for _, patients in groups if patients.nunique() > 1),
        },
        "fingerprint": fingerprint(cohort, cohort.excluded, found.table),
    }


def _draw(layout: Layout, settings: Settings, cohort: Cohort, found: Examination) -> None:
    """red_dots.png and alignment.png: the findings with the largest errors, then others spread over the cohort."""
    error = found.table.groupby("row")[["centre_error_px", "off_centre_error_px"]].max().max(axis=1)
    chosen = _chosen(error, settings.checks.pictured_findings)
    keys = cohort.findings["finding_key"]
    patches, dots = cohort.patches[chosen], found.dots[chosen][:, :, cohort.inner, cohort.inner]
    titles = [f"{keys[row]}\n{error[row]:.2f} px" if np.isfinite(error[row]) else str(keys[row]) for row in chosen]
    overviews = [found.overviews[row] for row in chosen]
    names = [str(keys[row]) for row in chosen]
    side_mm = settings.cohorts[cohort.name].crop_mm
    montages = {
        "red_dots.png": red_dot_montage(patches, dots, cohort.channels, titles, side_mm=side_mm),
        "alignment.png": alignment_montage(patches, cohort.channels, names, overviews, side_mm),
    }
    for name, montage in montages.items():
        with replacing(layout.check_pictures(cohort.name) / name) as temporary:
            temporary.write_bytes(montage_png(montage))


def _chosen(error: pd.Series, n: int) -> list[int]:
    """Up to n rows in order: a third of them those with the largest errors, the others evenly spread."""
    rows = error.index.to_numpy()
    if len(rows) <= n:
        return [int(row) for row in rows]
    worst = error.fillna(np.inf).sort_values(ascending=False, kind="stable").index[: max(1, n // 3)]
    others = np.setdiff1d(rows, worst)
    spread = others[np.linspace(0, len(others) - 1, n - len(worst)).round().astype(int)]
    return sorted({int(row) for row in (*worst, *spread)})
