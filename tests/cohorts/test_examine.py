"""Dots drawn at the lesion prove the crop: right ones pass, and every kind of wrong crop is found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lesion_transfer.cohorts import build, examine
from lesion_transfer.cohorts.build import build_cohort
from lesion_transfer.cohorts.cohort import CohortError, load_cohort
from lesion_transfer.cohorts.crop import crop_patch
from lesion_transfer.cohorts.dot_summary import dot_summary, failure_sentences
from lesion_transfer.cohorts.options import CheckOptions, CohortOptions
from lesion_transfer.datasets.finding import Finding, SequenceSlice
from lesion_transfer.datasets.source_image import PIXEL, POSITION, SourceImages
from lesion_transfer.imaging.dicom_files import read_display_values
from lesion_transfer.imaging.geometry import SliceGeometry

TURN = (0.96, 0.28, 0.0, -0.28, 0.96, 0.0)  # a slice turned in its plane
LIMIT = CheckOptions()


def options(**changes: Any) -> CohortOptions:
    values = {"dataset": "d", "channels": ["t2", "adc"], "crop_mm": 13.0, "patch_pixels": 33, "margin_pixels": 4}
    return CohortOptions(**{**values, **changes})


def dicom_slice(path: Path, write_dicom, spacing_mm, shape, position_lps_mm, seed) -> SequenceSlice:
    """A slice of random tissue, read as a data set's reader reads it."""
    first = (-20.0 + seed, -18.0, 5.0)
    pixels = np.random.default_rng(seed).integers(20, 2000, shape).astype(np.uint16)
    where = {"ImagePositionPatient": first, "ImageOrientationPatient": TURN, "PixelSpacing": spacing_mm}
    write_dicom(path, pixels, **{name: list(values) for name, values in where.items()})
    geometry = SliceGeometry(first, TURN[:3], TURN[3:], spacing_mm)
    x, y, distance_mm = geometry.project(position_lps_mm)
    return SequenceSlice(read_display_values(path), spacing_mm, (x, y), path, "1.2", f"1.2.{seed}", abs(distance_mm))


@pytest.fixture
def findings(tmp_path, write_dicom) -> list[Finding]:
    """Three lesions in two sequences of other resolution, placed by their position in the patient."""
    found = []
    for number, position in enumerate([(-8.3, 4.1, 5.4), (-12.0, 2.2, 4.9), (-9.7, 6.6, 5.1)]):
        slices = {
            "t2": dicom_slice(tmp_path / f"t2_{number}.dcm", write_dicom, (0.5, 0.45), (110, 120), position, number),
            "adc": dicom_slice(tmp_path / f"adc_{number}.dcm", write_dicom, (1.0, 1.2), (60, 50), position, 9 + number),
        }
        key = f"P{number}/1/1"
        found.append(Finding(key, f"P{number}", "1", True, slices, position_lps_mm=position))
    return found


def built(findings, folder: Path, chosen: CohortOptions):
    files = [source.file for finding in findings for source in finding.slices.values()]
    return build_cohort(findings, chosen, folder, {str(file): "0" for file in files})


def checked(findings, cohort, chosen: CohortOptions, again=None) -> dict[str, Any]:
    return dot_summary(examine.examine(cohort, again or findings, chosen, SourceImages()), LIMIT)


def test_dots_land_in_the_centre_of_every_channel(findings, tmp_path):
    cohort = built(findings, tmp_path / "c", options())
    summary = checked(findings, cohort, options())
    assert failure_sentences(summary) == []
    assert summary["placed_by"] == {POSITION: 6}
    assert (summary["n_dots"], summary["n_patches"], summary["not_measurable"]) == (6, 3, [])
    assert summary["stored_difference_max"] == 0
    for name in ("centre_error_px", "off_centre_error_px"):
        assert summary[name]["n"] == 6
        assert summary[name]["max"] < 0.1
    assert summary["between_channels_px"]["max"] < 0.1
    assert summary["slice_distance_mm"]["max"] == pytest.approx(0.4, abs=1e-3)


def test_the_limit_is_the_one_declared(findings, tmp_path):
    found = examine.examine(built(findings, tmp_path / "c", options()), findings, options(), SourceImages())
    strict = dot_summary(found, CheckOptions(max_dot_error_px=1e-6))
    assert strict["limit_px"] == 1e-6
    assert len(strict["failures"]["dot farther from its place than limit_px"]) == 6
    assert "6 (P0/1/1 t2, P0/1/1 adc, P1/1/1 t2, P1/1/1 adc, P2/1/1 t2, ...)" in failure_sentences(strict)[0]


def test_a_slice_that_is_farther_from_the_lesion_than_recorded_is_found(findings, tmp_path):
    wrong = replace(findings[2].slices["t2"], distance_mm=3.1)
    mistaken = [*findings[:2], replace(findings[2], slices={**findings[2].slices, "t2": wrong})]
    summary = checked(mistaken, built(mistaken, tmp_path / "c", options()), options())
    assert summary["failures"]["slice is not as far from the lesion as recorded"] == ["P2/1/1 t2"]


def test_the_dots_are_those_of_the_table_and_of_the_patches(findings, tmp_path):
    cohort = built(findings, tmp_path / "c", options())
    found = examine.examine(cohort, findings, options(), SourceImages())
    assert found.dots.shape == cohort.images.shape
    np.testing.assert_allclose(found.dots[:, :, 20, 20], 1, atol=0.15)
    assert np.abs(found.dots[:, :, :4]).max() < 0.02
    assert list(found.table["row"]) == [0, 0, 1, 1, 2, 2]
    assert set(found.table["size_px"]) == {"110 x 120", "60 x 50"}
    assert set(found.table["kind"]) == {"MR"}


def test_each_sequence_of_mode_separate_is_checked(findings, tmp_path):
    separate = options(mode="separate")
    summary = checked(findings, built(findings, tmp_path / "c", separate), separate)
    assert failure_sentences(summary) == []
    assert (summary["n_dots"], summary["n_patches"]) == (6, 6)
    assert summary["centre_error_px"]["max"] < 0.1


def test_a_wrong_projection_of_the_position_is_found(findings, tmp_path):
    """The reader takes the lesion to be 1.5 columns off in one slice of one finding."""
    x, y = findings[1].slices["adc"].centre_xy
    wrong = replace(findings[1].slices["adc"], centre_xy=(x + 1.5, y))
    mistaken = [findings[0], replace(findings[1], slices={**findings[1].slices, "adc": wrong}), findings[2]]
    summary = checked(mistaken, built(mistaken, tmp_path / "c", options()), options())
    assert summary["failures"]["dot farther from its place than limit_px"] == ["P1/1/1 adc"]
    assert summary["failures"]["channels of a patch farther apart than limit_px"] == ["P1/1/1"]
    assert summary["centre_error_px"]["max"] == pytest.approx(1.5 * 1.2 / (13 / 33), abs=0.1)
    assert "P1/1/1 adc" in failure_sentences(summary)[0]


def shifted(source, chosen):
    patch, share = crop_patch(source, chosen)
    return np.roll(patch, 2, axis=1), share


def flipped(source, chosen):
    patch, share = crop_patch(source, chosen)
    return np.ascontiguousarray(patch[:, ::-1]), share


def turned(source, chosen):
    patch, share = crop_patch(source, chosen)
    return np.ascontiguousarray(np.rot90(patch)), share


def transposed(source, chosen):
    patch, share = crop_patch(source, chosen)
    return np.ascontiguousarray(patch.T), share


def too_wide(source, chosen):
    return crop_patch(source, chosen.model_copy(update={"crop_mm": chosen.crop_mm * 1.15}))


def rounded_centre(source, chosen):
    x, y = source.centre_xy
    return crop_patch(replace(source, centre_xy=(float(np.floor(x)), float(np.floor(y)))), chosen)


@pytest.mark.parametrize("wrong", [shifted, flipped, turned, transposed, too_wide, rounded_centre])
def test_a_wrong_crop_is_found(findings, tmp_path, monkeypatch, wrong):
    """The same fault in the code that made the cohort and in the code that checks it: there is one code."""
    monkeypatch.setattr(build, "crop_patch", wrong)
    monkeypatch.setattr(examine, "crop_patch", wrong)
    summary = checked(findings, built(findings, tmp_path / "c", options()), options())
    assert summary["failures"]["dot farther from its place than limit_px"]
    assert summary["stored_difference_max"] == 0


def test_stored_patches_that_are_not_the_sources_are_found(findings, tmp_path):
    cohort = built(findings, tmp_path / "c", options())
    images = np.array(cohort.images)
    images[2, 1] = np.roll(images[2, 1], 1, axis=0)
    np.save(tmp_path / "c" / "images.npy", images)
    summary = checked(findings, load_cohort(tmp_path / "c"), options())
    assert summary["failures"]["stored patch is not the patch cropped again"] == ["P2/1/1 adc"]
    assert summary["failures"]["dot farther from its place than limit_px"] == []


def test_a_reader_that_turns_its_images_is_found(findings, tmp_path):
    turned_slice = replace(findings[0].slices["t2"], pixels=findings[0].slices["t2"].pixels[:, ::-1])
    mistaken = [replace(findings[0], slices={**findings[0].slices, "t2": turned_slice}), *findings[1:]]
    summary = checked(mistaken, built(mistaken, tmp_path / "c", options()), options())
    assert summary["failures"]["pixels of the reader are not those of the file"] == ["P0/1/1 t2"]


def test_a_cohort_of_other_findings_is_refused(findings, tmp_path):
    cohort = built(findings, tmp_path / "c", options())
    with pytest.raises(CohortError, match=r"P1/1/1 is no longer in the source"):
        checked(findings, cohort, options(), again=[findings[0], findings[2]])


def picture(number: int, centre_xy: tuple[float, float], shape: tuple[int, int] = (90, 70)) -> Finding:
    pixels = np.random.default_rng(number).uniform(0, 255, shape).astype(np.float32)
    source = SequenceSlice(pixels, None, centre_xy, Path(f"/nowhere/{number}.jpg"))
    return Finding(f"B{number}/1/1", f"B{number}", "1", True, {"grey": source})


def test_pictures_without_spacing_are_checked_at_the_tables_pixel(tmp_path):
    chosen = options(channels=["grey"], crop_mm=None, crop_fraction=[0.3, 0.25])
    findings = [picture(0, (30.25, 44.5)), picture(1, (50.0, 30.75)), picture(2, (33.0, 52.0), (120, 64))]
    summary = checked(findings, built(findings, tmp_path / "c", chosen), chosen)
    assert failure_sentences(summary) == []
    assert summary["placed_by"] == {PIXEL: 3}
    assert summary["off_centre_error_px"]["n"] == 3
    assert summary["off_centre_error_px"]["max"] < 0.1
    assert summary["between_channels_px"]["max"] is None


def test_a_lesion_at_the_edge_is_named_as_not_measurable(tmp_path):
    chosen = options(channels=["grey"], crop_mm=None, crop_fraction=[0.3, 0.25])
    findings = [picture(0, (1.0, 44.5)), picture(1, (50.0, 30.75))]
    summary = checked(findings, built(findings, tmp_path / "c", chosen), chosen)
    assert summary["not_measurable"] == ["B0/1/1 grey"]
    assert failure_sentences(summary) == []
    assert summary["centre_error_px"]["n"] == 1
