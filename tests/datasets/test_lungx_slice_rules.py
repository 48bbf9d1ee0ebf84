"""Which image a nodule's number means, and the check that its centre is tissue."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from lesion_transfer.datasets import lungx
from lesion_transfer.datasets.finding import DatasetError, Finding
from lesion_transfer.datasets.lungx_tissue import RADIUS_MM, mean_at_centre_hu
from lesion_transfer.datasets.options import DatasetOptions
from lesion_transfer.datasets.registry import reader_of

LUNG, NODULE = -850, 30
N_IMAGES = 7


class Scan:
    """CT scans of lung in which one image, counted from the head, has a nodule in column 10, row 6."""

    def __init__(self, folder, write_dicom):
        self.folder, self._write = folder, write_dicom
        self.rows = []

    def add(self, patient, nodule_from_head, *, number_in_table, first_number=1, upwards=False, flipped=False):
        """first_number, upwards: of the InstanceNumbers, and whether they rise to the head; flipped: seen from above"""
        for from_head in range(N_IMAGES):
            values = np.full((20, 24), LUNG + 1024, np.uint16)
            if from_head == nodule_from_head - 1:
                values[4:9, 8:13] = NODULE + 1024
            from_feet = N_IMAGES - 1 - from_head
            self._write(
                self.folder / patient / f"{from_head}.dcm",
                values,
                PatientID=patient,
                Modality="CT",
                StudyInstanceUID=f"1.{patient}",
                SeriesInstanceUID=f"1.{patient}.1",
                InstanceNumber=first_number + (from_feet if upwards else from_head),
                ImagePositionPatient=[0.0, 0.0, 2.5 * from_feet],
                ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, -1.0 if flipped else 1.0, 0.0],
                PixelSpacing=[0.7, 0.7],
                RescaleSlope=1,
                RescaleIntercept=-1024,
            )
        self.rows.append(f"{patient};1;11, 7;{number_in_table};Benign nodule")

    def read(self, rule, **options) -> list:
        header = "Scan Number;Nodule Number;Nodule Center x,y Position*;Nodule Center Image;Final Diagnosis"
        (self.folder / lungx.TABLES[1]).write_text("\n".join([header, *self.rows]))
        return list(lungx.read_findings(self.folder, self.folder, ["ct"], rule, **options))


@pytest.fixture
def scan(tmp_path, write_dicom) -> Scan:
    return Scan(tmp_path, write_dicom)


def test_each_nodule_that_is_air_is_named_with_the_rules_that_make_it_tissue(scan):
    scan.add("1", 3, number_in_table=3)
    scan.add("2", 3, number_in_table=3, first_number=0)
    scan.add("3", 3, number_in_table=3, upwards=True)
    scan.add("4", 3, number_in_table=5)
    scan.add("5", 3, number_in_table=6)
    concerns = {
        rule: [one.concern for one in scan.read(rule)] for rule in ("instance_number", "position", "position_from_feet")
    }
    assert concerns == {
        "instance_number": [
            "",
            "air_at_centre_tissue_by_position",
            "air_at_centre_tissue_by_position",
            "air_at_centre_tissue_by_position_from_feet",
            "air_at_centre",
        ],
        "position": [
            "",
            "",
            "",
            "air_at_centre_tissue_by_position_from_feet",
            "air_at_centre",
        ],
        "position_from_feet": [
            "air_at_centre_tissue_by_instance_number_or_position",
            "air_at_centre_tissue_by_position",
            "air_at_centre_tissue_by_position",
            "",
            "air_at_centre",
        ],
    }


@pytest.mark.parametrize("flipped", [False, True])
def test_the_head_is_the_head_whichever_way_the_rows_run(scan, flipped):
    scan.add("1", 2, number_in_table=2, flipped=flipped)
    (head,) = scan.read("position")
    (feet,) = scan.read("position_from_feet")
    assert (head.slices["ct"].file.name, feet.slices["ct"].file.name) == ("1.dcm", "5.dcm")


def test_places_beyond_the_stack_are_missing_slices(scan):
    scan.add("1", 2, number_in_table=N_IMAGES + 1)
    scan.add("2", 2, number_in_table=0)
    assert [one.reason.value for one in scan.read("position")] == ["missing_slice", "missing_slice"]


def test_an_image_that_is_there_twice_counts_once(scan, write_dicom):
    scan.add("1", 4, number_in_table=4)
    for path in sorted((scan.folder / "1").iterdir())[:3]:
        copied = path.with_name(f"again-{path.name}")
        dataset = dcmread(path)
        dataset.SOPInstanceUID = generate_uid()
        dataset.save_as(copied)
    (nodule,) = scan.read("position")
    assert nodule.slices["ct"].file.name == "3.dcm"
    assert nodule.concern == ""


def test_an_image_that_the_scan_lacks_is_not_taken_from_another_series(scan, write_dicom):
    scan.add("1", 4, number_in_table=4)
    (scan.folder / "1" / "3.dcm").unlink()
    write_dicom(
        scan.folder / "1" / "other.dcm",
        PatientID="1",
        StudyInstanceUID="1.1",
        SeriesInstanceUID="1.9",
        Modality="CT",
        InstanceNumber=4,
        ImagePositionPatient=[0.0, 0.0, 500.0],
    )
    (lost,) = scan.read("instance_number")
    assert (lost.reason.value, "the largest of 2" in lost.detail) == ("missing_slice", True)


def test_two_images_of_one_number_in_two_places_are_ambiguous(scan, write_dicom):
    scan.add("1", 4, number_in_table=4)
    dataset = dcmread(scan.folder / "1" / "3.dcm")
    dataset.SOPInstanceUID = generate_uid()
    dataset.save_as(scan.folder / "1" / "copy.dcm")
    (found,) = scan.read("instance_number")
    assert found.slices["ct"].file.name == "3.dcm"
    dataset.ImagePositionPatient = [0.0, 0.0, 200.0]
    dataset.save_as(scan.folder / "1" / "copy.dcm")
    (lost,) = scan.read("instance_number")
    assert lost.reason.value == "ambiguous_file"
    assert "3.dcm and copy.dcm" in lost.detail


def test_the_threshold_is_a_setting(scan):
    scan.add("1", 3, number_in_table=6)
    assert scan.read("instance_number", air_below_hu=-900.0)[0].concern == ""
    options = DatasetOptions(kind="lungx", source="x", air_below_hu=-900.0)
    (finding,) = reader_of(options).read_findings(scan.folder, scan.folder, ["ct"], "world")
    assert isinstance(finding, Finding)
    assert finding.concern == ""
    with pytest.raises(ValueError, match="a setting of kind lungx"):
        DatasetOptions(kind="brain", source="x", air_below_hu=-900.0)


def test_an_unknown_rule_names_the_known_ones(scan):
    with pytest.raises(DatasetError, match="instance_number, position, position_from_feet"):
        scan.read("nearest")


def test_the_mean_is_over_a_disc_in_mm():
    rows, columns = np.mgrid[:41, :51]
    values = np.zeros((41, 51))
    # Pixels of 0.5 mm across and 1 mm down: the disc is an ellipse of 4 x 2 pixels.
    inside = ((rows - 20) / RADIUS_MM) ** 2 + ((columns - 30) / (RADIUS_MM / 0.5)) ** 2 <= 1
    values[inside] = 7
    assert mean_at_centre_hu(values, (30, 20), (1.0, 0.5)) == 7
    assert mean_at_centre_hu(values, (30, 24), (1.0, 0.5)) < 7
    assert mean_at_centre_hu(values, (0, 0), (1.0, 0.5)) == 0


def test_the_whole_series_is_the_scan(scan):
    scan.add("1", 3, number_in_table=3)
    (nodule,) = scan.read("position")
    assert [file.name for file, _ in nodule.slices["ct"].whole_series()] == [f"{n}.dcm" for n in range(N_IMAGES)]
