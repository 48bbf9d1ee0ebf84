"""PROSTATEx from small DICOM files: series, studies, slices, and what becomes of findings that cannot be used."""

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from lesion_transfer.datasets import prostatex
from lesion_transfer.datasets.finding import DatasetError, Exclusion, Finding
from lesion_transfer.datasets.options import DatasetOptions
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.datasets.registry import reader_of

FINDINGS = "ProstateX-Findings-Train.csv"
IMAGES = "ProstateX-Images-Train.csv"
CHANNELS = ["t2", "dwi", "adc"]
N_SLICES = 4
GAP_MM = 3.0


class Source:
    """A folder with tables and series of 4 slices, 3 mm apart, numbered from the top down as on real scanners."""

    def __init__(self, folder: Path, write_dicom) -> None:
        self.folder = folder
        self._write = write_dicom
        self.findings: list[str] = []
        self.images: list[str] = []

    def series(
        self, number, description, *, patient="P1", study="1.1", value=100, b_value=None, places=N_SLICES, **tags
    ):
        for place in range(places):
            pixels = np.full((20, 16), value + place, np.uint16)
            tags.setdefault("ImageOrientationPatient", [1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
            self._write(
                self.folder / "images" / f"{patient}-{study}-{number}-{value}-{place}",
                pixels,
                PatientID=patient,
                StudyInstanceUID=study,
                SeriesInstanceUID=f"{study}.{number}",
                SeriesNumber=number,
                SeriesDescription=description,
                InstanceNumber=places - place,
                b_value=b_value,
                **{"ImagePositionPatient": [0.0, 0.0, GAP_MM * place], **tags},
            )

    def patient(self, patient="P1", study="1.1"):
        self.series(4, "t2_tse_tra", patient=patient, study=study, value=100)
        self.series(6, "ep2d_diff_tra_DYNDIST", patient=patient, study=study, value=200, b_value=b"50")
        self.series(6, "ep2d_diff_tra_DYNDIST", patient=patient, study=study, value=300, b_value=b"800 ")
        self.series(7, "ep2d_diff_tra_DYNDIST_ADC", patient=patient, study=study, value=400, b_value=b"800 ")

    def finding(self, position="10 12 6", *, patient="P1", fid="1", label="TRUE", k=2):
        self.findings.append(f"{patient},{fid},{position},PZ,{label}")
        for number, description in ((4, "t2_tse_tra"), (6, "ep2d_diff_tra_DYNDIST"), (7, "ep2d_diff_tra_DYNDIST_ADC")):
            self.images.append(f"{patient},x,{fid},{position},5 6 {k},{description},{number}")

    def read(self, channels=CHANNELS, rule="world", **options) -> list[Finding | Exclusion]:
        (self.folder / FINDINGS).write_text("\n".join(["ProxID,fid,pos,zone,ClinSig", *self.findings]))
        (self.folder / IMAGES).write_text("\n".join(["ProxID,Name,fid,pos,ijk,DCMSerDescr,DCMSerNum", *self.images]))
        return list(prostatex.read_findings(self.folder, self.folder, channels, rule, **options))


def stored(one_slice) -> int:
    """The value of a slice's pixels as written: without a window, 12 bits are the range."""
    return round(float(one_slice.pixels[0, 0]) * 4095 / 255)


@pytest.fixture
def source(tmp_path, write_dicom) -> Source:
    return Source(tmp_path, write_dicom)


def test_the_plane_nearest_to_the_position_is_taken(source):
    source.patient()
    source.finding("10 12 5.6")
    (finding,) = source.read()
    assert (finding.finding_key, finding.label, finding.zone) == ("P1/1/1", True, "PZ")
    assert {name: stored(one) for name, one in finding.slices.items()} == {"t2": 102, "dwi": 302, "adc": 402}
    t2 = finding.slices["t2"]
    assert t2.centre_xy == pytest.approx((5, 6))
    assert t2.distance_mm == pytest.approx(0.4)
    assert t2.spacing_mm == (2.0, 2.0)
    assert t2.pixels.shape == (20, 16)
    assert t2.series_uid == "1.1.4"


def test_instance_number_rule_takes_k_plus_one_with_the_same_centre(source):
    source.patient()
    source.finding("10 12 5.6", k=0)
    (finding,) = source.read(["t2", "adc"], "instance_number")
    # Instance number 1 is the slice farthest from the origin, 3.4 mm from the lesion.
    assert {name: stored(one) for name, one in finding.slices.items()} == {"t2": 103, "adc": 403}
    assert finding.slices["t2"].centre_xy == pytest.approx((5, 6))
    assert finding.slices["t2"].distance_mm == pytest.approx(3.4)


def test_instance_number_beyond_the_series_is_excluded(source):
    source.patient()
    source.finding(k=17)
    (exclusion,) = source.read(["t2"], "instance_number")
    assert exclusion.reason == "missing_slice"


def test_a_computed_b_value_comes_first_and_maps_never(source):
    source.patient()
    source.series(8, "ep2d_diff_tra_DYNDISTCALC_BVAL", value=500, b_value=b"1400")
    source.series(9, "ep2d_diff_tra_DYNDIST_FA", value=600, b_value=b"2000")
    source.finding()
    (finding,) = source.read(["dwi"])
    assert stored(finding.slices["dwi"]) == 502


def test_diffusion_without_a_b_value_is_not_guessed(source):
    source.series(6, "ep2d_diff_tra_DYNDIST")
    source.finding()
    (exclusion,) = source.read(["dwi"])
    assert exclusion.reason == "missing_series"
    assert "ep2d_diff_tra_DYNDIST" in exclusion.detail


def test_the_highest_series_number_replaces_earlier_ones(source):
    source.patient()
    source.series(10, "t2_tse_tra", value=700)
    source.finding()
    (finding,) = source.read(["t2"])
    assert stored(finding.slices["t2"]) == 702


def test_of_repeated_series_the_last_that_reaches_the_finding_is_taken(source):
    source.patient()
    source.series(10, "t2_tse_tra", value=700, places=2)
    source.finding("10 12 9")  # on the fourth slice; series 10 ends with the second
    source.finding("10 12 3", fid="2")
    source.finding("10 12 90", fid="3")
    far, near, beyond = source.read(["t2"])
    assert (stored(far.slices["t2"]), stored(near.slices["t2"])) == (103, 701)
    assert beyond.reason == "outside_volume"


def test_a_gap_in_the_computed_b_value_is_not_filled_with_a_measured_one(source):
    source.patient()
    source.series(8, "ep2d_diff_tra_DYNDISTCALC_BVAL", value=500, b_value=b"1400")
    (source.folder / "images" / "P1-1.1-8-500-2").unlink()
    source.finding("10 12 6")
    (exclusion,) = source.read(["dwi"])
    assert exclusion.reason == Reason.MISSING_SLICE


def test_of_two_studies_of_equal_names_each_finding_is_read_from_the_one_that_shows_it(source):
    for study, value, height in (("1.0", 100, 60.0), ("1.1", 200, 0.0)):
        for place in range(N_SLICES):
            source._write(
                source.folder / "images" / f"{study}-{place}",
                np.full((20, 16), value + place, np.uint16),
                StudyInstanceUID=study,
                SeriesInstanceUID=f"{study}.4",
                SeriesNumber=4,
                InstanceNumber=N_SLICES - place,
                ImagePositionPatient=[0.0, 0.0, height + GAP_MM * place],
            )
    source.finding("10 12 63")
    source.finding("10 12 6", fid="2")
    assert [stored(one.slices["t2"]) for one in source.read(["t2"])] == [101, 202]


def test_only_transverse_series_count(source):
    source.series(4, "t2_tse_tra", ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 0.0, -1.0])
    source.finding()
    (exclusion,) = source.read(["t2"])
    assert exclusion.reason == "missing_series"


@pytest.mark.parametrize(
    ("orientation", "said"),
    [
        ([-1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "stored mirrored or turned"),
        ([1.0, 0.0, 0.0, 0.0, -1.0, 0.0], "stored mirrored or turned"),
        ([0.0, 1.0, 0.0, -1.0, 0.0, 0.0], "stored mirrored or turned"),
        ([0.9, 0.4359, 0.0, -0.4359, 0.9, 0.0], "turned by 26 degrees against those of the finding's first channel"),
    ],
)
def test_a_channel_whose_patch_would_be_mirrored_or_turned_is_set_aside(source, orientation, said):
    """The same place in the patient, so that neither the position nor a dot at the lesion tells."""
    source.series(4, "t2_tse_tra", value=100)
    corner = [10.0 - 8 * (orientation[0] + orientation[3]), 12.0 - 8 * (orientation[1] + orientation[4])]
    for place in range(N_SLICES):
        source.series(
            7,
            "ep2d_diff_tra_DYNDIST_ADC",
            value=400 + 10 * place,
            places=1,
            ImageOrientationPatient=orientation,
            ImagePositionPatient=[*corner, GAP_MM * place],
        )
    source.finding()
    (found,) = source.read(["t2", "adc"])
    assert list(found.slices) == ["t2"]
    assert found.lacking["adc"].reason == "turned_image"
    assert said in found.lacking["adc"].detail


def test_the_study_that_the_images_table_describes_is_taken(source):
    source.patient(study="1.1")
    source.series(4, "t2_tse_tra", study="1.0", value=800)
    source.series(9, "t2_tse_tra", study="1.9", value=900)
    source.finding()
    (finding,) = source.read(["t2"])
    assert finding.slices["t2"].series_uid == "1.1.4"


def test_of_like_studies_the_one_where_the_voxel_agrees_is_taken(source):
    # Both have a series 4; only in one does the position fall into the table's column 5.
    source.series(4, "t2_tse_tra", study="1.0", value=800, PixelSpacing=[0.7, 0.7])
    source.series(4, "t2_tse_tra", study="1.1", value=100)
    source.finding()
    (finding,) = source.read(["t2"])
    assert finding.slices["t2"].series_uid == "1.1.4"


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        ("10 12 10.6", "outside_volume"),
        ("10 12 -1.7", "outside_volume"),
        ("-1.2 12 6", "outside_volume"),
        ("10 39.5 6", "outside_volume"),
        ("10 12", "bad_position"),
        ("10 12 nan", "bad_position"),
        ("ten 12 6", "bad_position"),
    ],
)
def test_positions_off_the_images_are_excluded_with_a_reason(source, position, reason):
    source.patient()
    source.finding(position)
    (exclusion,) = source.read(["t2"])
    assert (exclusion.reason, exclusion.patient_id) == (reason, "P1")
    assert exclusion.detail.endswith(".")


@pytest.mark.parametrize("position", ["10 12 10.4", "10 12 -1.4", "-0.9 12 6"])
def test_positions_within_half_a_slice_and_half_a_pixel_are_kept(source, position):
    source.patient()
    source.finding(position)
    assert isinstance(source.read(["t2"])[0], Finding)


def test_a_gap_in_the_series_is_a_missing_slice(source):
    source.series(4, "t2_tse_tra", places=6)
    (source.folder / "images" / "P1-1.1-4-100-2").unlink()
    source.finding("10 12 6")
    (exclusion,) = source.read(["t2"])
    assert exclusion.reason == "missing_slice"


def test_pixels_that_cannot_be_read_exclude_one_finding(source):
    source.patient()
    path = source.folder / "images" / "P1-1.1-4-100-2"
    path.write_bytes(path.read_bytes()[:-100])
    source.finding("10 12 6")
    source.finding("10 12 3", fid="2")
    broken, fine = source.read(["t2"])
    assert broken.reason == "unreadable_file"
    assert broken.detail.startswith(f"images/{path.name}: ")  # relative: the same bytes wherever the data lie
    assert isinstance(fine, Finding)


def test_a_patient_whose_files_are_all_damaged_is_not_missing(source):
    """`not_in_source` is no fault of the copy at hand and never counts; this is one."""
    source.patient("P1")
    source.patient("P2", study="2.1")
    folder = source.folder / "images" / "P2"
    folder.mkdir()
    for path in sorted((source.folder / "images").glob("P2-*")):
        (folder / path.name).write_bytes(path.read_bytes()[:300])
        path.unlink()
    source.finding("10 12 6", patient="P1")
    source.finding("10 12 6", patient="P2")
    fine, damaged = source.read(["t2"])
    assert isinstance(fine, Finding)
    assert damaged.reason == "unreadable_file"
    assert damaged.detail.startswith("None of the patient's images can be read: images/P2/P2-")


def test_a_patient_whose_folder_cannot_be_read_is_not_missing(source, make_unreadable, caplog):
    source.patient("P1")
    folder = source.folder / "images" / "P2"
    folder.mkdir()
    make_unreadable(folder)
    for patient in ("P1", "P2", "P3"):
        source.finding("10 12 6", patient=patient)
    fine, shut, absent = source.read(["t2"])
    assert isinstance(fine, Finding)
    assert shut.reason == "unreadable_file"
    assert shut.detail.startswith("None of the patient's images can be read: images/P2/: the folder cannot be read")
    assert absent.reason == "not_in_source"
    assert any(f"{folder}/: the folder cannot be read" in message for message in caplog.messages)


def test_images_whose_names_are_no_utf8_are_set_aside(source):
    """No table can hold such a name: the cohort could not say what it was cut from."""
    source.patient("P1")
    source.patient("P2", study="2.1")
    folder = source.folder / "images" / os.fsdecode(b"Pr\xfcfung")
    folder.mkdir()
    for path in sorted((source.folder / "images").glob("P2-*")):
        path.rename(folder / path.name)
    source.finding("10 12 6", patient="P1")
    source.finding("10 12 6", patient="P2")
    fine, misnamed = source.read(["t2"])
    assert isinstance(fine, Finding)
    assert misnamed.reason == "unreadable_file"
    assert misnamed.detail.startswith(r"images/Pr\xfcfung/P2-")
    assert "the name is not UTF-8" in misnamed.detail


def test_keys_stay_unique_where_fids_repeat_and_patients_stay_together(source):
    source.patient("P1")
    source.patient("P2", study="2.1")
    source.finding("10 12 6", patient="P2")
    source.finding("10 12 6", patient="P1")
    source.finding("10 12 3", patient="P2", label="FALSE")
    source.finding("10 12 3", patient="P3")
    found = source.read(["t2"])
    assert [one.finding_key for one in found] == ["P2/1/1", "P2/1/2", "P1/1/1", "P3/1/1"]
    assert [one.label for one in found[:3]] == [True, False, True]
    assert found[3].reason == "not_in_source"


def test_a_patient_in_two_spellings_is_one_patient_with_the_first_of_them(source):
    source.patient("Pa")
    source.patient("P2", study="2.1")
    source.finding("10 12 6", patient="Pa", k=0)
    source.finding("10 12 6", patient="P2", k=0)
    source.finding("10 12 3", patient="pA", k=3)
    found = source.read(["t2"], "instance_number")
    assert [(one.finding_key, one.patient_id) for one in found] == [
        ("Pa/1/1", "Pa"),
        ("Pa/1/2", "Pa"),
        ("P2/1/1", "P2"),
    ]
    # The rows of the images table are the finding's whichever way they are spelt.
    assert [stored(one.slices["t2"]) for one in found] == [103, 100, 103]


def test_a_spelling_is_the_same_in_both_tables(source):
    source.patient("Pa")
    source.finding(patient="Pa")
    source.read()
    (source.folder / "ProstateX-Findings-Test.csv").write_text("ProxID,fid,pos,zone\nPA,1,10 12 3,TZ\n")
    (source.folder / "ProstateX-Images-Test.csv").write_text("ProxID,fid,pos,ijk,DCMSerDescr,DCMSerNum\n")
    found = prostatex.read_findings(source.folder, source.folder, ["t2"], "world", chosen="both")
    assert [one.finding_key for one in found] == ["Pa/1/1", "Pa/1/2"]


def test_an_image_of_two_patients_is_read_for_both_and_tells_that_they_are_one(source):
    for patient in ("P1", "P2"):
        for place in range(N_SLICES):
            source.series(
                4,
                "t2_tse_tra",
                patient=patient,
                value=100 + place,
                places=1,
                SOPInstanceUID=f"1.2.{place + 1}",
                ImagePositionPatient=[0.0, 0.0, GAP_MM * place],
            )
        source.finding(patient=patient)
    first, second = source.read(["t2"])
    assert first.slices["t2"].sop_uid == second.slices["t2"].sop_uid == "1.2.3"


def test_enhanced_images_are_refused_as_their_rescale_is_not_read(source):
    def group(**tags):
        item = Dataset()
        item.update(tags)
        return Sequence([item])

    source.series(
        4,
        "t2_tse_tra",
        SharedFunctionalGroupsSequence=group(
            PixelValueTransformationSequence=group(RescaleSlope=2, RescaleIntercept=0)
        ),
    )
    source.finding()
    (exclusion,) = source.read(["t2"])
    assert (exclusion.reason, "functional groups" in exclusion.detail) == (Reason.UNREADABLE_FILE, True)


def test_rows_that_cannot_be_named_or_labelled_are_excluded(source):
    source.patient()
    source.finding(fid="../../1")
    source.finding(label="perhaps")
    source.finding(label="")
    found = source.read(["t2"])
    assert [getattr(one, "reason", None) for one in found] == ["bad_row", "bad_label", "absent_label"]
    assert all("/../" not in one.finding_key for one in found)


def test_a_slice_is_read_once_a_patient(source, monkeypatch):
    from lesion_transfer.datasets import dicom_source

    read = []
    real = dicom_source.read_display_values
    monkeypatch.setattr(dicom_source, "read_display_values", lambda path, *rest: read.append(path) or real(path, *rest))
    source.patient()
    source.finding("10 12 6")
    source.finding("8 9 6.2", fid="2")
    first, second = source.read(["t2"])
    assert first.slices["t2"].pixels is second.slices["t2"].pixels
    assert len(read) == 1


def test_the_test_part_has_no_labels(source):
    source.patient()
    source.finding()
    source.read()
    (source.folder / "ProstateX-Findings-Test.csv").write_text("ProxID,fid,pos,zone\nP1,3,10 12 6,TZ\n")
    (source.folder / "ProstateX-Images-Test.csv").write_text((source.folder / IMAGES).read_text())
    (finding,) = prostatex.read_findings(source.folder, source.folder, CHANNELS, "world", chosen="test")
    assert (finding.finding_key, finding.label, finding.zone) == ("P1/3/1", None, "TZ")


def test_both_tables_are_read_train_first_with_keys_counted_over_both(source):
    source.patient()
    source.patient("P2", study="2.1")
    source.finding()
    source.read()
    (source.folder / "ProstateX-Findings-Test.csv").write_text(
        "ProxID,fid,pos,zone\nP2,1,10 12 6,TZ\nP1,1,10 12 3,TZ\n"
    )
    (source.folder / "ProstateX-Images-Test.csv").write_text("ProxID,fid,pos,ijk,DCMSerDescr,DCMSerNum\n")
    found = list(prostatex.read_findings(source.folder, source.folder, ["t2"], "world", chosen="both"))
    assert [(one.finding_key, one.label) for one in found] == [("P1/1/1", True), ("P1/1/2", None), ("P2/1/1", None)]


@pytest.mark.parametrize(("chosen", "missing"), [("test", "Findings-Test"), ("both", "Images-Test"), ("train", None)])
def test_the_chosen_tables_have_to_be_there(source, chosen, missing):
    source.finding()
    source.read()
    reader = reader_of(DatasetOptions(kind="prostatex", source="x", tables=chosen))
    if missing is None:
        assert len(reader.published_tables(source.folder)) == 2
        return
    with pytest.raises(DatasetError, match=missing):
        reader.published_tables(source.folder)


def test_a_finding_without_one_of_its_channels_says_why_and_keeps_the_others(source):
    source.series(4, "t2_tse_tra")
    source.finding()
    (finding,) = source.read(["t2", "adc"])
    assert set(finding.slices) == {"t2"}
    assert finding.lacking["adc"].reason == Reason.MISSING_SERIES
    # What to look for is in the table.
    assert "names series 7 (ep2d_diff_tra_DYNDIST_ADC)" in finding.lacking["adc"].detail


def test_the_plane_is_that_of_the_header_whatever_the_name(source):
    source.series(4, "t2_tse_cor", value=100)
    source.series(9, "t2_tse_tra", value=200, ImageOrientationPatient=[0.0, 1.0, 0.0, 0.0, 0.0, -1.0])
    source.finding()
    (finding,) = source.read(["t2"])
    assert stored(finding.slices["t2"]) == 102


def test_a_b_value_may_stand_in_the_name_of_the_series_alone(source):
    for number, b_value in ((5, 500), (6, 1400), (7, 100)):
        source.series(number, f"ep2d-advdiff-3Scan-high bvalue {b_value}", value=100 * number)
    source.finding()
    (finding,) = source.read(["dwi"])
    assert stored(finding.slices["dwi"]) == 602


def test_a_t2_that_was_placed_like_the_diffusion_is_a_t2(source):
    source.patient()
    source.series(11, "t2_tse_tra_exacte_copy_diffusie", value=800)
    source.finding()
    (finding,) = source.read(["t2", "dwi"])
    assert {name: stored(one) for name, one in finding.slices.items()} == {"t2": 802, "dwi": 302}


def test_the_whole_series_is_the_images_of_the_b_value_that_was_chosen(source):
    source.patient()
    source.finding()
    (finding,) = source.read(["dwi"])
    images = list(finding.slices["dwi"].whole_series())
    assert sorted(round(float(pixels[0, 0]) * 4095 / 255) for _, pixels in images) == [300, 301, 302, 303]


def test_tables_are_found_below_the_source(source):
    source.finding()
    source.read()
    (source.folder / "deep" / "er").mkdir(parents=True)
    (source.folder / FINDINGS).rename(source.folder / "deep" / "er" / FINDINGS)
    assert [path.name for path in prostatex.published_tables(source.folder)] == [FINDINGS, IMAGES]


def test_missing_and_contradicting_tables_stop_with_a_sentence(source):
    with pytest.raises(DatasetError, match=f"{FINDINGS} and {IMAGES} not found"):
        prostatex.published_tables(source.folder)
    source.finding()
    source.read()
    (source.folder / "copy").mkdir()
    (source.folder / "copy" / IMAGES).write_text((source.folder / IMAGES).read_text())
    assert len(prostatex.published_tables(source.folder)) == 2
    (source.folder / "copy" / FINDINGS).write_text("other\n")
    with pytest.raises(DatasetError, match="differ"):
        prostatex.published_tables(source.folder)
    with pytest.raises(DatasetError, match="is no folder"):
        prostatex.published_tables(source.folder / "nowhere")


@pytest.mark.parametrize(
    ("channels", "rule", "said"),
    [(["t2", "flair"], "world", "t2, dwi, adc"), ([], "world", "t2, dwi, adc"), (["t2"], "nearest", "instance_number")],
)
def test_unknown_channels_and_rules_name_the_known_ones(source, channels, rule, said):
    source.finding()
    with pytest.raises(DatasetError, match=said):
        source.read(channels, rule)


def test_a_table_without_a_column_stops_with_its_name(source):
    source.finding()
    source.read()
    (source.folder / FINDINGS).write_text("ProxID,fid,zone,ClinSig\nP1,1,PZ,TRUE\n")
    with pytest.raises(DatasetError, match="no column pos"):
        list(prostatex.read_findings(source.folder, source.folder, ["t2"], "world"))


def test_image_files_are_the_dicom_files(source):
    source.series(4, "t2_tse_tra", places=2)
    source.read()
    assert [path.name for path in prostatex.image_files(source.folder)] == ["P1-1.1-4-100-0", "P1-1.1-4-100-1"]


def test_frames_and_captures_are_set_aside_with_a_reason(source, tmp_path, write_enhanced):
    source.series(4, "t2_tse_tra", ImagePositionPatient=None, SOPClassUID=SecondaryCaptureImageStorage)
    write_enhanced(tmp_path / "images" / "enhanced", np.zeros((4, 20, 16), np.uint16), StudyInstanceUID="1.1")
    source.finding()
    (exclusion,) = source.read(["t2"])
    assert exclusion.reason == Reason.MISSING_SERIES
    assert exclusion.detail.endswith(
        "Of its images 1 hold several frames and 4 do not say where they lie in the patient: these are not used."
    )


def test_a_usable_series_is_found_beside_frames_and_captures(source, tmp_path, write_enhanced):
    source.patient()
    source.series(3, "t2_tse_tra", value=900, ImageOrientationPatient=None)
    write_enhanced(tmp_path / "images" / "enhanced", np.zeros((4, 20, 16), np.uint16), StudyInstanceUID="1.1")
    source.finding()
    (finding,) = source.read(["t2"])
    assert stored(finding.slices["t2"]) == 102
