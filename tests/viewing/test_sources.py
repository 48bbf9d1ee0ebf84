"""What is found below a path, and what of it is marked."""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage

from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.prostatex_ktrans import read_ktrans
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.viewing.page import write_page
from lesion_transfer.viewing.png import convert_tree
from lesion_transfer.viewing.positions import Positions
from lesion_transfer.viewing.sources import NothingToViewError, entries_of
from lesion_transfer.viewing.view import View

NOWHERE = Positions()
RAMP = np.arange(30, dtype=np.uint16).reshape(6, 5)


def read(entry):
    return entry.read(lambda done, total: None)


def test_a_cohort_is_walked_by_finding_with_channels_as_times(tmp_path):
    folder = tmp_path / "dwi"
    folder.mkdir()
    images = np.random.default_rng(0).uniform(0, 255, (3, 2, 7, 7)).astype(np.float32)
    np.save(folder / "images.npy", images)
    (folder / "findings.csv").write_text("patient_id,finding_id,label\nA,1,True\nA,2,False\nB,1,\n")
    (folder / "cohort.json").write_text(json.dumps({"channels": ["t2", "adc"], "patch_pixels": 5, "margin_pixels": 1}))
    (entry,) = entries_of(folder, NOWHERE)
    view = View.opened(read(entry))
    assert view.caption() == "slice 1 of 3 · A/1/1 positive · t2 (1 of 2) · display range 127.5 ± 127.5"
    view = view.walked(2).in_time(1)
    np.testing.assert_array_equal(view.shown(), np.rint(images[2, 1]).astype(np.uint8))
    assert view.marks() == [(3, 3, "")]
    assert view.walked(1) == view  # neither another axis nor beyond the last finding
    assert "B/1/1 ·" in view.caption()


def test_a_patch_archive_is_marked_where_its_table_says(tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).uniform(0, 1, (3, 1, 6, 6)).astype(np.float32))
    (tmp_path / "findings.csv").write_text(
        "patient_id,finding_id,label,x,y\nA,1,True,1,4\nB,1,maybe,1,1\nC,1,False,,\n"
    )
    (entry,) = entries_of(tmp_path, NOWHERE)
    stack = read(entry)
    view = View.opened(stack)
    assert view.n == 2
    assert view.marks() == [(1, 4, "")]
    assert view.at_next_mark().marks() == [(2.5, 2.5, "")]
    assert len(stack.notes) == 1
    assert "maybe" in stack.notes[0]


def test_a_folder_of_everything_is_listed_in_a_fixed_order(tmp_path, write_dicom):
    for patient, number, name in (("P2", 4, "b"), ("P1", 10, "c"), ("P1", 4, "d")):
        write_dicom(
            tmp_path / name, PatientID=patient, SeriesNumber=number, SeriesInstanceUID=f"1.{name.encode().hex()}"
        )
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4)), np.eye(4)), tmp_path / "a.nii.gz")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((2, 3, 4))), str(tmp_path / "k.mhd"))
    Image.new("L", (4, 3)).save(tmp_path / "p.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "patches").mkdir()
    np.save(tmp_path / "patches" / "images.npy", np.zeros((1, 1, 4, 4), np.uint8))
    (tmp_path / "patches" / "findings.csv").write_text("patient_id,finding_id\nA,1\n")
    titles = [entry.title for entry in entries_of(tmp_path, NOWHERE)]
    assert titles == [
        "P1 · 4 t2_tse_tra",
        "P1 · 10 t2_tse_tra",
        "P2 · 4 t2_tse_tra",
        "a.nii.gz",
        "k.mhd",
        "patches",
        "p.png",
    ]


def test_several_frames_and_colour_are_shown_too(tmp_path, write_dicom):
    frames = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    write_dicom(tmp_path / "cine.dcm", frames, NumberOfFrames=3, Rows=4, Columns=5, SeriesDescription="cine")
    rgb = np.full((4, 5, 3), (255, 0, 0), np.uint8)
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    write_dicom(tmp_path / "photo.dcm", rgb, SeriesInstanceUID="1.2.9", SeriesDescription="photo", **colour)
    shown = {entry.title: read(entry) for entry in entries_of(tmp_path, NOWHERE)}
    np.testing.assert_array_equal(shown["P1 · 4 cine"].voxels[0], frames)
    assert View.opened(shown["P1 · 4 photo"]).shown()[0, 0] == 76
    assert read(entries_of(tmp_path / "cine.dcm", NOWHERE)[0]).voxels.shape == (1, 3, 4, 5)


def test_an_enhanced_image_is_a_volume_where_its_frames_say_so(tmp_path, write_enhanced):
    frames = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    write_enhanced(tmp_path / "enhanced.dcm", frames, gap_mm=4.0)
    # Row 2 (2 mm), column 3 (0.5 mm) of the second frame.
    (entry,) = entries_of(tmp_path, Positions.of(["-8.5,24,4.1"], None))
    stack = read(entry)
    assert entry.size == "3 frames of 4 x 5"
    np.testing.assert_array_equal(stack.voxels[0], frames)
    np.testing.assert_allclose([mark.index for mark in stack.marks], [(1.025, 2, 3)])
    assert [layout.pixel_mm for layout in stack.layouts] == [(2.0, 0.5), (4.0, 0.5), (4.0, 2.0)]
    assert stack.layouts[0].edges == ("A", "P", "R", "L")


def test_frames_of_one_place_are_slices_with_the_shape_of_their_pixels(tmp_path, write_enhanced):
    path = write_enhanced(tmp_path / "repeated.dcm", np.zeros((3, 4, 5), np.uint16), gap_mm=0.0)
    stack = read(entries_of(path, NOWHERE)[0])
    assert [(layout.n, layout.pixel_mm) for layout in stack.layouts] == [(3, (2.0, 0.5))]


def test_a_secondary_capture_is_shown_with_the_shape_of_its_pixels(tmp_path, write_dicom):
    path = write_dicom(
        tmp_path / "capture.dcm",
        RAMP,
        SOPClassUID=SecondaryCaptureImageStorage,
        ImageOrientationPatient=None,
        ImagePositionPatient=None,
        PixelSpacing=[3.0, 1.5],
    )
    (entry,) = entries_of(tmp_path, NOWHERE)
    stack = read(entry)
    np.testing.assert_array_equal(stack.voxels[0, 0], RAMP)
    assert [layout.pixel_mm for layout in stack.layouts] == [(3.0, 1.5)]
    assert read(entries_of(path, NOWHERE)[0]).layouts == stack.layouts


CALIBRATION = """Scan Number;Nodule Center x,y Position*;Nodule Center Image;Diagnosis
CT-Training-lc001;3,2;2;malignant
CT-Training-lc001; ;2;malignant
other;3,2;1;benign

* a footnote; ; ;
"""
TEST = """Scan Number;Nodule Number;Nodule Center x,y Position*;Nodule Center Image;Final Diagnosis
CT-TRAINING-LC001;1;1, 1;1;Benign nodule
CT-TRAINING-LC001;2;4, 5;1;Suspicious malignant nodule
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CALIBRATION, {(1.0, 1.0, 2.0): "nodule 1 positive"}),
        (TEST, {(0.0, 0.0, 0.0): "nodule 1 negative", (0.0, 4.0, 3.0): "nodule 2"}),
    ],
)
def test_the_published_tables_of_lungx_mark_the_image_that_they_number(tmp_path, write_dicom, text, expected):
    ct = {"PatientID": "CT-Training-lc001", "Modality": "CT"}
    for number in (1, 2, 3):  # from the head down: the second slice of the three is instance number 2 either way
        place = [0.0, 0.0, 2.0 * number]
        write_dicom(tmp_path / f"{number}", RAMP, InstanceNumber=number, ImagePositionPatient=place, **ct)
    write_dicom(tmp_path / "pet", RAMP, InstanceNumber=1, SeriesInstanceUID="1.9", **ct | {"Modality": "PT"})
    table = tmp_path / "table.csv"
    table.write_text(text)
    stacks = [read(entry) for entry in entries_of(tmp_path, Positions.of((), table))]
    assert {mark.index: mark.name for stack in stacks for mark in stack.marks} == expected


@pytest.mark.real
def test_the_real_tables_of_lungx_are_taken_as_they_are(real_data):
    counts = {
        table.name: sum(map(len, Positions.of((), table).by_number.values()))
        for table in (real_data / "lung").glob("*NoduleData*.csv")
    }
    assert counts == {"CalibrationSet_NoduleData.csv": 10, "TestSet_NoduleData_PublicRelease_wTruth.csv": 73}


def test_pictures_that_png_made_beside_their_images_are_not_shown_twice(tmp_path, write_dicom):
    write_dicom(tmp_path / "in" / "a.dcm")
    Image.new("L", (4, 3)).save(tmp_path / "in" / "photo.png")
    convert_tree(tmp_path / "in", None)
    convert_tree(tmp_path / "in", tmp_path / "out")
    assert [entry.title for entry in entries_of(tmp_path / "in", NOWHERE)] == ["P1 · 4 t2_tse_tra", "photo.png"]
    assert [entry.title for entry in entries_of(tmp_path / "out", NOWHERE)] == ["a.png"]


def test_a_hostile_picture_hides_nothing_beside_it(tmp_path, write_dicom, write_bomb):
    write_dicom(tmp_path / "a.dcm", RAMP)
    write_bomb(tmp_path / "big.png")
    image, picture = entries_of(tmp_path, NOWHERE)
    np.testing.assert_array_equal(read(image).voxels[0, 0], RAMP)
    with pytest.raises(UnreadableFileError, match=r"big\.png"):
        read(picture)


def test_volumes_are_marked_at_positions_in_the_patient(tmp_path):
    affine = np.array([[-2.0, 0, 0, 30], [0, -3.0, 0, 40], [0, 0, 4.0, -20], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 6, 7), np.int16), affine), tmp_path / "a.nii")
    lps = (affine @ [2, 4, 3, 1])[:3] * [-1, -1, 1]
    (entry,) = entries_of(tmp_path / "a.nii", Positions.of([",".join(map(str, lps)), "999,0,0"], None))
    stack = read(entry)
    assert View.opened(stack).index == 3
    assert View.opened(stack).marks() == [(2, 4, "")]
    assert stack.notes == ("The position at 999, 0, 0 mm is outside these images.",)


def test_volumes_take_the_findings_of_the_patient_in_their_path(tmp_path):
    table = tmp_path / "findings.csv"
    table.write_text("ProxID,fid,pos\nProstateX-0001,1,1 1 1\nProstateX-0002,2,1 1 1\nProstateX-0003,3,nonsense\n")
    positions = Positions.of([], table)
    for place in ("ProstateX-0002/k.mhd", "elsewhere/ProstateX-0001-Ktrans.mhd", "ProstateX-00011.mhd"):
        path = tmp_path / "in" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 3, 3))), str(path))
    marked = {
        entry.title: [mark.name for mark in read(entry).marks] for entry in entries_of(tmp_path / "in", positions)
    }
    assert marked == {
        "ProstateX-00011.mhd": [],
        "ProstateX-0002/k.mhd": ["finding 2"],
        "elsewhere/ProstateX-0001-Ktrans.mhd": ["finding 1"],
    }


def test_a_cohorts_table_marks_the_very_image_that_it_was_cut_from(tmp_path, write_dicom):
    for number in range(4):
        place = [0.0, 0.0, 3.0 * (number % 2)]
        write_dicom(
            tmp_path / f"{number}",
            ImagePositionPatient=place,
            SOPInstanceUID=f"1.9.{number}",
            InstanceNumber=number + 1,
        )
    table = tmp_path / "findings.csv"
    table.write_text(
        "finding_key,label,t2_sop_uid,t2_centre_x,t2_centre_y,grey_sop_uid\n"
        "A/1/1,True,1.9.3,2.5,1,\nA/2/1,,1.9.0,4,5,\nA/3/1,,1.9.1,,,\nA/4/1,False,8.8,1,1,\n"
    )
    (entry,) = entries_of(tmp_path, Positions.of([], table))
    marks = {mark.name: mark.index for mark in read(entry).marks}
    assert marks == {"A/1/1 positive": (1, 1, 2.5), "A/2/1": (0, 5, 4)}


def test_a_table_without_places_is_a_sentence(tmp_path):
    (tmp_path / "x.csv").write_text("patient_id,label\nA,True\n")
    with pytest.raises(DatasetError, match="of a cohort"):
        Positions.of([], tmp_path / "x.csv")


def test_raw_data_are_shown_by_the_header_beside_them(tmp_path):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((2, 3, 4))), str(tmp_path / "k.mhd"), True)
    assert read(entries_of(tmp_path / "k.zraw", NOWHERE)[0]).voxels.shape == (1, 2, 3, 4)
    (tmp_path / "k.mhd").unlink()
    with pytest.raises(UnreadableFileError, match=r"\.mhd header"):
        entries_of(tmp_path / "k.zraw", NOWHERE)


def test_a_pair_is_listed_once_and_shown_by_either_of_its_files(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.zeros((2, 3, 4), np.int16), np.eye(4)), tmp_path / "x.hdr")
    (entry,) = entries_of(tmp_path, NOWHERE)
    assert entry.title == "x.hdr"
    for name in ("x.hdr", "x.img"):
        (entry,) = entries_of(tmp_path / name, NOWHERE)
        assert read(entry).voxels.shape == (1, 4, 3, 2)


def test_pictures_are_marked_by_the_table_above_them(tmp_path):
    (tmp_path / "yes").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (9, 8), 50).save(tmp_path / "yes" / name)
    (tmp_path / "ground_truth.csv").write_text("file,label,x,y\nyes/a.png,True,3,2\nyes/b.png,True,x,2\n")
    first, second = (View.opened(read(entry)) for entry in entries_of(tmp_path, NOWHERE))
    assert first.marks() == [(3, 2, "positive")]
    assert second.marks() == []
    assert first.caption() == "slice 1 of 1 · whole range 127.5 ± 127.5"


@pytest.mark.parametrize("named", ["a.png", "yes\\a.png", "yes/a.png"])
def test_a_picture_may_be_named_as_the_data_set_reads_it(tmp_path, monkeypatch, named):
    (tmp_path / "yes").mkdir()
    Image.new("L", (9, 8), 50).save(tmp_path / "yes" / "a.png")
    (tmp_path / "ground_truth.csv").write_text(f"file,label,x,y\n{named},True,3,2\n")
    monkeypatch.chdir(tmp_path / "yes")
    for path in (tmp_path, Path("a.png")):
        (entry,) = entries_of(path, NOWHERE)
        assert View.opened(read(entry)).marks() == [(3, 2, "positive")]


def test_a_ktrans_map_is_marked_on_the_slice_that_a_cohort_takes(tmp_path):
    """Its header's Offset is the corner of the first voxel; the table is a cohort's own, without SOPInstanceUIDs."""
    image = SimpleITK.GetImageFromArray(np.zeros((4, 6, 6)))
    image.SetSpacing([1.5, 1.5, 4.0])
    image.SetOrigin([10.0, 20.0, 30.0])
    SimpleITK.WriteImage(image, str(tmp_path / "P1-Ktrans.mhd"))
    position = (14.5, 23.0, 37.0)  # slice 1.25 of voxels, column 2.5 and row 1.5, counted from the first centre
    voxel = read_ktrans(tmp_path / "P1-Ktrans.mhd").slice_of(position, "world", ())
    table = tmp_path / "findings.csv"
    header = "finding_key,patient_id,label,position_x_lps_mm,position_y_lps_mm,position_z_lps_mm,ktrans_sop_uid"
    table.write_text(f"{header}\nP1/1/1,P1,True,14.5,23,37,\n")
    (entry,) = [one for one in entries_of(tmp_path, Positions.of([], table)) if one.title.endswith(".mhd")]
    (mark,) = read(entry).marks
    assert mark.name == "P1/1/1 positive"
    assert mark.index == pytest.approx((1.25, 1.5, 2.5))
    assert voxel.centre_xy == (pytest.approx(2.5), pytest.approx(1.5))


def test_a_page_of_files_that_were_not_de_identified_names_nobody(tmp_path, write_dicom):
    write_dicom(tmp_path / "x.dcm", PatientID="DOE JOHN", SeriesDescription="of John", PatientIdentityRemoved="NO")
    (entry,) = entries_of(tmp_path, NOWHERE)
    assert "patient not de-identified" in entry.title
    assert "john" not in f"{entry.title} {read(entry)}".casefold().replace(str(tmp_path).casefold(), "")


def test_a_stack_is_named_only_where_every_image_was_de_identified(tmp_path, write_dicom):
    for number, removed in enumerate(("YES", "NO")):
        tags = {"PatientID": "DOE JOHN", "InstanceNumber": number + 1, "PatientIdentityRemoved": removed}
        write_dicom(tmp_path / f"{number}.dcm", RAMP, ImagePositionPatient=[0.0, 0.0, 3.0 * number], **tags)
    (entry,) = entries_of(tmp_path, NOWHERE)
    assert "patient not de-identified" in entry.title
    assert "DOE" not in entry.title


def test_a_page_counts_the_files_that_cannot_be_read_and_keeps_their_paths_to_itself(tmp_path, write_dicom):
    folder = tmp_path / "export" / "DOE_JOHN_19500101"
    for number in range(3):
        tags = {"InstanceNumber": number + 1, "PatientIdentityRemoved": "NO"}
        write_dicom(folder / f"{number}.dcm", RAMP, ImagePositionPatient=[0.0, 0.0, 3.0 * number], **tags)
    broken = folder / "1.dcm"
    broken.write_bytes(broken.read_bytes()[:-20])
    entries = entries_of(tmp_path / "export", NOWHERE)
    write_page(entries, tmp_path / "view.html")
    text = (tmp_path / "view.html").read_text("utf-8")
    assert "DOE_JOHN" not in text
    assert "1 of 3 images cannot be read." in text
    (problem,) = read(entries[0]).problems
    assert str(broken) in problem


def test_names_that_are_no_utf8_are_shown_with_their_bytes(tmp_path):
    folder = tmp_path / os.fsdecode(b"Pr\xfcfung")
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / os.fsdecode(b"Gr\xf6\xdfe.png"))
    entries = entries_of(tmp_path, NOWHERE)
    assert [entry.title for entry in entries] == [r"Pr\xfcfung/Gr\xf6\xdfe.png"]
    write_page(entries, tmp_path / "view.html")
    assert r"Pr\xfcfung/Gr\xf6\xdfe.png" in (tmp_path / "view.html").read_text("utf-8")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, write_dicom, make_unreadable, caplog):
    write_dicom(tmp_path / "a.dcm", RAMP)
    (tmp_path / "shut").mkdir()
    make_unreadable(tmp_path / "shut")
    assert len(entries_of(tmp_path, NOWHERE)) == 1
    assert any(f"{tmp_path / 'shut'}/: the folder cannot be read" in message for message in caplog.messages)


def test_what_is_no_image_is_a_sentence(tmp_path, write_dicom):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(NothingToViewError, match="does not exist"):
        entries_of(tmp_path / "gone", NOWHERE)
    with pytest.raises(NothingToViewError, match="nothing to look at"):
        entries_of(tmp_path, NOWHERE)
    with pytest.raises(UnreadableFileError, match="not an image"):
        entries_of(tmp_path / "notes.txt", NOWHERE)


@pytest.mark.real
def test_a_real_finding_is_marked_in_the_voxel_that_its_table_names(real_data):
    """Against the published ijk, a corner-based index: centres lie up to a whole voxel below it in each axis."""
    source = real_data / "prostatex"
    positions = Positions.of([], source / "ProstateX-Findings-Train.csv")
    entries = entries_of(source / "PROSTATEx" / "ProstateX-0002", positions)
    (t2,) = (read(entry) for entry in entries if entry.title.endswith("t2_tse_tra"))
    marks = {mark.name: mark.index for mark in t2.marks}
    assert marks.keys() == {"finding 1 positive", "finding 2 negative"}
    for name, ijk in (("finding 1 positive", (154, 217, 12)), ("finding 2 negative", (203, 216, 10))):
        below = np.array(ijk[::-1]) - marks[name]
        assert (below >= -0.05).all()
        assert (below <= 1.05).all()
