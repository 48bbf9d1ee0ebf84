"""The published tables of LUNGx, with their footer rows and the blanks that came with them."""

from collections.abc import Iterable

from lesion_transfer.datasets.phantom.lungx_plan import PlannedNodule, PlannedScan

CALIBRATION = "CalibrationSet_NoduleData.csv"
TEST = "TestSet_NoduleData_PublicRelease_wTruth.csv"

_FOOTNOTES = (
    "",
    '"*specified in pixels, where position (1,1) corresponds to the upper-leftmost pixel in an image; '
    'x increases with column to the right, and y increases with row going down"',
    "",
    "All images are in DICOM format with a matrix size of 512x512 pixels.",
)


def _text(header: str, rows: Iterable[tuple[object, ...]]) -> str:
    blanks = ";" * header.count(";")
    lines = [header, *(";".join(map(str, row)) for row in rows), *(note + blanks for note in _FOOTNOTES)]
    return "\n".join(lines) + "\n"


def _is_calibration(scan: PlannedScan) -> bool:
    return scan.patient_id.startswith("CT-Training")


def _diagnosis(nodule: PlannedNodule, row: int) -> str:
    if nodule.suspicious:
        return "Suspicious malignant nodule"
    if not nodule.lesion.label:
        return "Benign nodule"
    # about half of the published positives end in a blank
    return "Primary lung cancer" + " " * (row % 2)


def calibration_table(scans: list[PlannedScan]) -> str:
    """The text of the calibration table: one nodule a scan, no nodule number, malignant first."""
    rows = [
        (
            scan.patient_id,
            f"{nodule.x},{nodule.y}",
            nodule.image_number,
            "malignant" if nodule.lesion.label else "benign",
        )
        for scan in sorted(scans, key=lambda scan: (not scan.nodules[0].lesion.label, scan.patient_id))
        for nodule in scan.nodules
        if _is_calibration(scan)
    ]
    return _text("Scan Number;Nodule Center x,y Position*;Nodule Center Image;Diagnosis", rows)


def truth_table(scans: list[PlannedScan]) -> str:
    """The text of the test table with its truth: x and y with a blank between, nodules numbered from 1."""
    nodules = [
        (scan, n, nodule) for scan in scans if not _is_calibration(scan) for n, nodule in enumerate(scan.nodules)
    ]
    rows = [
        (scan.patient_id, n + 1, f"{nodule.x}, {nodule.y}", nodule.image_number, _diagnosis(nodule, row))
        for row, (scan, n, nodule) in enumerate(nodules)
    ]
    return _text("Scan Number;Nodule Number;Nodule Center x,y Position*;Nodule Center Image;Final Diagnosis", rows)
