"""Mean and std of a patient's sequence: over the findings' slices, or over every image of their series."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesion_transfer.cohorts.build import build_cohort
from lesion_transfer.cohorts.statistics import PatientStatistics
from lesion_transfer.datasets.finding import SequenceSlice
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.refusal import RefusalError

ROOT = Path("/somewhere/source")


def series_of(seeds, make_slice):
    return lambda: ((ROOT / f"{seed}.dcm", make_slice(seed).pixels) for seed in seeds)


def test_over_series_counts_every_image_of_each_series_once(tmp_path, make_finding, make_slice, options, hashes):
    first, other = series_of((1, 2, 3), make_slice), series_of((4, 5), make_slice)
    findings = [
        make_finding("P1", "1", slices={"t2": make_slice(1, series_uid="s", whole_series=first)}),
        make_finding("P1", "2", slices={"t2": make_slice(2, series_uid="s", whole_series=first)}),
        make_finding("P1", "3", slices={"t2": make_slice(4, series_uid="u", whole_series=other)}),
    ]
    over = options.model_copy(update={"zscore_over": "series"})
    cohort = build_cohort(findings, over, tmp_path / "c", hashes, root=ROOT)
    pixels = np.stack([make_slice(seed).pixels for seed in (1, 2, 3, 4, 5)]).astype(float)
    np.testing.assert_allclose(cohort.findings["t2_mean"], pixels.mean(), rtol=1e-12)
    np.testing.assert_allclose(cohort.findings["t2_std"], pixels.std(), rtol=1e-12)
    # What the numbers were computed from is recorded, though no patch was cut from it.
    assert list(cohort.info["source_sha256"]) == [f"{seed}.dcm" for seed in (1, 2, 3, 4, 5)]


def test_an_image_of_the_series_that_cannot_be_read_costs_its_findings(
    tmp_path, make_finding, make_slice, options, hashes
):
    def torn():
        yield ROOT / "1.dcm", make_slice(1).pixels
        raise RefusalError(Reason.UNREADABLE_FILE, "2.dcm: the pixels cannot be decoded.")

    findings = [
        make_finding("P1", slices={"t2": make_slice(1, series_uid="s", whole_series=torn)}),
        make_finding("P2", seed=3),
    ]
    over = options.model_copy(update={"zscore_over": "series", "max_excluded_share": 0.5})
    cohort = build_cohort(findings, over, tmp_path / "c", hashes)
    assert list(cohort.findings["patient_id"]) == ["P2"]
    (excluded,) = pd.read_csv(tmp_path / "c" / "excluded.csv").to_dict("records")
    assert excluded["reason"] == "unreadable_file"


def test_a_finding_that_is_left_out_counts_in_no_channel(tmp_path, make_finding, make_slice, options, hashes):
    """Its T2 can be read, in a series of its own, its DWI cannot."""

    def torn():
        raise RefusalError(Reason.UNREADABLE_FILE, "2.dcm: the pixels cannot be decoded.")
        yield

    def slices(seed, dwi):
        t2 = make_slice(seed, series_uid=f"t2 {seed}", whole_series=series_of((seed,), make_slice))
        return {"t2": t2, "dwi": make_slice(seed + 10, series_uid=f"dwi {seed}", whole_series=dwi)}

    kept = make_finding("P1", "1", slices=slices(1, series_of((11,), make_slice)))
    lost = make_finding("P1", "2", slices=slices(2, torn))
    over = options.model_copy(update={"channels": ["t2", "dwi"], "zscore_over": "series", "max_excluded_share": 1.0})
    alone = build_cohort([kept], over, tmp_path / "alone", hashes, root=ROOT)
    both = build_cohort([kept, lost], over, tmp_path / "both", hashes, root=ROOT)
    assert list(both.excluded["reason"]) == ["unreadable_file"]
    pd.testing.assert_frame_equal(both.findings, alone.findings)
    assert both.info["source_sha256"] == alone.info["source_sha256"]


def test_an_image_that_is_all_there_is_counts_as_its_series(make_slice):
    alone = make_slice(1)
    over_series, over_slices = PatientStatistics("series"), PatientStatistics("finding_slices")
    for statistics in (over_series, over_slices):
        assert statistics.add([("grey", alone)]) == []
    assert over_series.mean_and_std("grey") == over_slices.mean_and_std("grey")


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(-200, 200), st.floats(0, 60)), min_size=1, max_size=8))
def test_moments_of_the_pieces_are_those_of_the_whole(pieces):
    rng = np.random.default_rng(0)
    images = [rng.normal(mean, std, (2, n)) for n, mean, std in pieces]
    statistics = PatientStatistics("series")
    template = SequenceSlice(images[0], None, (0.0, 0.0), Path("x"))
    for number, image in enumerate(images):
        files = (lambda name, pixels: lambda: iter([(Path(name), pixels)]))(str(number), image)
        statistics.add([("t2", replace(template, series_uid=str(number), whole_series=files))])
    together = np.concatenate([image.ravel() for image in images])
    mean, std = statistics.mean_and_std("t2")
    assert mean == pytest.approx(together.mean(), rel=1e-9, abs=1e-9)
    assert std == pytest.approx(together.std(), rel=1e-9, abs=1e-9)
