"""Building a cohort: one row an image, exclusions counted, the same bytes for the same inputs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesion_transfer.cohorts.build import build_cohort
from lesion_transfer.cohorts.cohort import CohortError, image_sha256
from lesion_transfer.cohorts.crop import crop_patch
from lesion_transfer.cohorts.units import indivisible_units, joining_rows
from lesion_transfer.datasets.finding import Exclusion
from lesion_transfer.datasets.reasons import Reason

ROOT = Path("/somewhere/source")


def test_the_position_in_the_patient_and_the_size_of_the_image_are_kept_where_known(
    tmp_path, make_finding, options, hashes
):
    placed = make_finding("P1", seed=1, position_lps_mm=(-12.5, 3.0, 41.25))
    table = build_cohort([placed, make_finding("P2", seed=2)], options, tmp_path / "pro", hashes, root=ROOT).findings
    positions = table[["position_x_lps_mm", "position_y_lps_mm", "position_z_lps_mm"]]
    assert positions.iloc[0].tolist() == [-12.5, 3.0, 41.25]
    assert positions.iloc[1].isna().all()
    assert table[["t2_image_rows", "t2_image_columns"]].to_numpy().tolist() == [[40, 50]] * 2


def test_rows_describe_the_images_in_order(tmp_path, make_finding, options, hashes):
    findings = [
        make_finding("P1", "1", True, seed=1, zone="PZ"),
        make_finding("P1", "2", False, seed=2, group="twins"),
        make_finding("P2", "1", None, seed=3),
    ]
    cohort = build_cohort(iter(findings), options, tmp_path / "pro", hashes, root=ROOT)
    assert cohort.name == "pro"
    assert cohort.images.shape == (3, 1, 13, 13)
    assert cohort.images.dtype == np.float32
    for image, finding, digest in zip(cohort.images, findings, cohort.findings["image_sha256"], strict=True):
        np.testing.assert_array_equal(image[0], crop_patch(finding.slices["t2"], options)[0])
        assert digest == image_sha256(image)
    table = cohort.findings
    assert list(table["finding_key"]) == ["P1/1/1", "P1/2/1", "P2/1/1"]
    assert list(table["label"]) == [True, False, None]
    assert list(table["zone"]) == ["PZ", "", ""]
    assert list(table["group"]) == ["", "twins", ""]
    assert list(table["t2_file"]) == ["1.dcm", "2.dcm", "3.dcm"]
    assert list(table["t2_centre_x"]) == [25.0] * 3
    assert table["t2_distance_mm"].isna().all()


def test_mean_and_std_are_over_the_patients_distinct_slices(tmp_path, make_finding, make_slice, options, hashes):
    shared, other = make_slice(1), make_slice(2)
    findings = [
        make_finding("P1", "1", slices={"t2": shared}),
        make_finding("P1", "2", slices={"t2": replace(shared, pixels=shared.pixels.copy(), centre_xy=(20.0, 20.0))}),
        make_finding("P1", "3", slices={"t2": other}),
        make_finding("P2", "1", slices={"t2": make_slice(3)}),
    ]
    table = build_cohort(findings, options, tmp_path / "c", hashes).findings
    pixels = np.concatenate([shared.pixels.ravel(), other.pixels.ravel()]).astype(float)
    np.testing.assert_allclose(table["t2_mean"][:3], pixels.mean(), rtol=1e-12)
    np.testing.assert_allclose(table["t2_std"][:3], pixels.std(), rtol=1e-12)
    assert table["t2_mean"][3] == pytest.approx(make_slice(3).pixels.mean())


def test_several_channels_are_stacked_in_the_options_order(tmp_path, make_finding, make_slice, options, hashes):
    both = options.model_copy(update={"channels": ["dwi", "t2"]})
    finding = make_finding("P", slices={"t2": make_slice(1), "dwi": make_slice(2), "adc": make_slice(3)})
    cohort = build_cohort([finding], both, tmp_path / "c", hashes)
    np.testing.assert_array_equal(cohort.images[0, 0], crop_patch(make_slice(2), both)[0])
    np.testing.assert_array_equal(cohort.images[0, 1], crop_patch(make_slice(1), both)[0])
    assert cohort.info["channels"] == ["dwi", "t2"]
    assert str(ROOT / "3.dcm") not in cohort.info["source_sha256"]


def test_concerns_are_kept_and_counted(tmp_path, make_finding, options, hashes):
    findings = [make_finding("P1", seed=1, concern="air_at_centre"), make_finding("P2", seed=2)]
    cohort = build_cohort(findings, options, tmp_path / "c", hashes)
    assert list(cohort.findings["concern"]) == ["air_at_centre", ""]
    assert cohort.info["n_concerns"] == {"air_at_centre": 1}


def test_a_second_finding_of_a_patient_with_the_same_image_says_so_and_whether_the_labels_contradict(
    tmp_path, make_finding, options, hashes
):
    findings = [
        make_finding("P1", "1", None, seed=1),
        make_finding("P1", "2", True, seed=1),
        make_finding("P1", "3", False, seed=1, concern="air_at_centre"),
        make_finding("P1", "4", False, seed=2),
        make_finding("P2", "1", False, seed=1),
    ]
    cohort = build_cohort(findings, options, tmp_path / "c", hashes)
    assert list(cohort.findings["concern"]) == [
        "",
        "shows the same image as P1/1/1",
        "air_at_centre; shows the same image as P1/2/1, and their labels contradict each other",
        "",
        "",
    ]
    assert sum(cohort.info["n_concerns"].values()) == 2


def test_every_file_that_holds_part_of_an_image_is_recorded(tmp_path, make_finding, make_slice, options, hashes):
    map_slice = make_slice(1, companions=(ROOT / "7.dcm",))
    cohort = build_cohort([make_finding("P1", slices={"t2": map_slice})], options, tmp_path / "c", hashes, root=ROOT)
    assert cohort.info["source_sha256"] == {"1.dcm": f"{1:064x}", "7.dcm": f"{7:064x}"}


def test_equal_files_are_joined_whatever_their_folder_is_called(tmp_path, make_finding, make_slice, options):
    """A cell that begins as a formula does is written with an apostrophe; its hash has to be found nevertheless."""
    files = [ROOT / "+C" / "1.dcm", ROOT / "-C" / "1.dcm"]
    findings = [
        make_finding(f"P{n}", slices={"t2": replace(make_slice(n), file=file)}) for n, file in enumerate(files, start=1)
    ]
    rows = joining_rows(
        build_cohort(findings, options, tmp_path / "c", dict.fromkeys(map(str, files), "5" * 64), root=ROOT)
    )
    assert list(rows["file_sha256"]) == ["5" * 64] * 2
    assert indivisible_units(rows) == {"P1": 0, "P2": 0}


def test_same_inputs_give_the_same_bytes_wherever_the_data_lie(tmp_path, make_finding, make_slice, options):
    def build(root: Path, out: Path) -> dict[str, bytes]:
        findings = [
            make_finding(f"P{n}", slices={"t2": replace(make_slice(n), file=root / f"{n}.dcm")}) for n in range(9)
        ]
        outside = replace(make_slice(9), centre_xy=(99.0, 1.0), file=root / "9.dcm")
        findings.append(make_finding("P9", slices={"t2": outside}))
        build_cohort(findings, options, out, {str(root / f"{n}.dcm"): str(n) for n in range(10)}, root=root)
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}

    first = build(Path("/data/one"), tmp_path / "a" / "c")
    assert sorted(first) == ["cohort.json", "excluded.csv", "findings.csv", "images.npy"]
    assert build(Path("/elsewhere"), tmp_path / "b" / "c") == first


def test_cohort_json_holds_settings_counts_and_sorted_hashes(tmp_path, make_finding, options, hashes):
    findings = [
        make_finding("P2", seed=7),
        make_finding("P1", label=False, seed=3),
        Exclusion("P3/1/1", "P3", "1", Reason.MISSING_SERIES),
    ]
    lenient = options.model_copy(update={"max_excluded_share": 0.5})
    build_cohort(findings, lenient, tmp_path / "c", hashes, root=ROOT)
    info = json.loads((tmp_path / "c" / "cohort.json").read_text())
    assert info["source_sha256"] == {"3.dcm": f"{3:064x}", "7.dcm": f"{7:064x}"}
    assert list(info["source_sha256"]) == ["3.dcm", "7.dcm"]
    assert info["options"] == lenient.model_dump()
    assert info["pitch_mm"] == 1.0
    assert [info[name] for name in ("n_findings", "n_positive", "n_patients")] == [2, 1, 2]
    assert info["n_excluded"] == {"missing_series": 1}


def test_a_finding_that_cannot_be_cropped_is_excluded_and_the_rest_goes_on(
    tmp_path, make_finding, make_slice, options, hashes
):
    lenient = options.model_copy(update={"max_excluded_share": 1.0})
    findings = [
        make_finding("P1", "1", seed=1),
        make_finding("P1", "2", slices={"t2": replace(make_slice(2), centre_xy=(-9.0, 3.0))}),
        make_finding("P2", "1", slices={"t2": replace(make_slice(3), spacing_mm=None)}),
        make_finding("P3", "1", slices={"dwi": make_slice(4)}),
    ]
    cohort = build_cohort(findings, lenient, tmp_path / "c", hashes)
    excluded = pd.read_csv(tmp_path / "c" / "excluded.csv")
    assert list(excluded.columns[:3]) == ["patient_id", "finding_id", "reason"]
    assert list(excluded["reason"]) == ["outside_image", "no_spacing", "missing_channel"]
    assert list(excluded["finding_key"]) == ["P1/2/1", "P2/1/1", "P3/1/1"]
    assert list(cohort.findings["finding_key"]) == ["P1/1/1"]
    # A finding without a patch leaves no trace in its patient's statistics.
    assert cohort.findings["t2_mean"][0] == pytest.approx(make_slice(1).pixels.mean())


def test_too_many_exclusions_stop_the_stage_and_name_the_counts(tmp_path, make_finding, options, hashes):
    findings = [make_finding("P1", seed=1), Exclusion("P2/1/1", "P2", "1", Reason.MISSING_SERIES, "no T2")]
    with pytest.raises(CohortError, match=r"1 of 2 patients.*missing_series 1.*excluded\.csv"):
        build_cohort(findings, options, tmp_path / "c", hashes)
    assert "no T2" in (tmp_path / "c" / "excluded.csv").read_text()
    assert not (tmp_path / "c" / "images.npy").exists()


@pytest.mark.parametrize("reason", [Reason.NOT_IN_SOURCE, Reason.NOT_KEPT, Reason.UNCERTAIN_LABEL])
def test_declared_exclusions_are_counted_but_never_too_many(tmp_path, make_finding, options, hashes, reason):
    findings = [make_finding("P1", seed=1), *(Exclusion(f"Q{n}/1/1", f"Q{n}", "1", reason) for n in range(50))]
    assert build_cohort(findings, options, tmp_path / "c", hashes).info["n_excluded"] == {reason: 50}


def test_nothing_left_is_an_error(tmp_path, options, hashes):
    with pytest.raises(CohortError, match=r"No finding of prostatex is left: not_in_source 1"):
        build_cohort([Exclusion("P/1/1", "P", "1", Reason.NOT_IN_SOURCE)], options, tmp_path / "c", hashes)


def test_a_patient_that_comes_back_is_refused(tmp_path, make_finding, options, hashes):
    findings = [make_finding("P1"), make_finding("P2"), make_finding("P1", "2")]
    with pytest.raises(CohortError, match=r"P1.*one after the other"):
        build_cohort(findings, options, tmp_path / "c", hashes)


def test_a_repeated_key_is_refused(tmp_path, make_finding, options, hashes):
    with pytest.raises(CohortError, match="comes twice"):
        build_cohort([make_finding("P1"), make_finding("P1")], options, tmp_path / "c", hashes)


def test_a_file_without_a_hash_is_refused(tmp_path, make_finding, options):
    with pytest.raises(CohortError, match="manifest"):
        build_cohort([make_finding("P1")], options, tmp_path / "c", {})


def test_slices_of_earlier_patients_are_let_go(tmp_path, make_finding, options, hashes):
    import gc
    import weakref

    alive: list[int] = []
    references: list[weakref.ref] = []

    def stream():
        for n in range(6):
            finding = make_finding(f"P{n}", seed=n)
            references.append(weakref.ref(finding.slices["t2"].pixels))
            yield finding
            del finding
            gc.collect()
            alive.append(sum(reference() is not None for reference in references))

    build_cohort(stream(), options, tmp_path / "c", hashes)
    assert max(alive) <= 2


def test_progress_counts_findings_and_exclusions(tmp_path, make_finding, options, hashes):
    seen: list[int] = []
    items = [make_finding("P1"), Exclusion("P2/1/1", "P2", "1", Reason.NOT_IN_SOURCE), make_finding("P3")]
    build_cohort(items, options, tmp_path / "c", hashes, seen.append)
    assert seen == [1, 2, 3]
