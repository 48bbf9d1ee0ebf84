"""The published tables of PROSTATEx, for patients who do not exist."""

import csv
import io

from lesion_transfer.datasets.phantom.canvas import Triple
from lesion_transfer.datasets.phantom.dicom import decimal, decimals
from lesion_transfer.datasets.phantom.geometry import Grid
from lesion_transfer.datasets.phantom.prostatex_plan import PlannedFinding, PlannedPatient, PlannedSeries

FINDINGS, TEST_FINDINGS = "ProstateX-Findings-Train.csv", "ProstateX-Findings-Test.csv"
IMAGES, TEST_IMAGES = "ProstateX-Images-Train.csv", "ProstateX-Images-Test.csv"
KTRANS, TEST_KTRANS = "ProstateX-Images-KTrans-Train.csv", "ProstateX-Images-KTrans-Test.csv"


def _plain(value: float) -> str:
    """At most six decimals and no trailing zeros, as the published spacings are written (2, 0.5)."""
    return decimal(value, 6).rstrip("0").rstrip(".")


def _position(patient: PlannedPatient, place: Triple) -> str:
    return " ".join(decimals(patient.frame.lps(place), 6))


def _voxel(finding: PlannedFinding, grid: Grid) -> tuple[str, str]:
    """WorldMatrix and ijk."""
    matrix = ",".join(
        decimal(cell) if row < 3 else str(int(cell)) for row, cells in enumerate(grid.world_matrix()) for cell in cells
    )
    return matrix, " ".join(map(str, grid.corner_ijk(finding.place)))


def _image_row(
    patient: PlannedPatient, finding: PlannedFinding, series: PlannedSeries, time: int, top_level: str
) -> list[str]:
    grid = series.grid
    return [
        patient.patient_id,
        f"{series.options.description}{time}",
        str(finding.finding_id),
        _position(patient, finding.place),
        *_voxel(finding, grid),
        top_level,
        _plain(grid.spacing_mm[2]),
        ",".join(map(_plain, grid.spacing_mm)),
        "x".join(map(str, (*grid.shape, 1))),
        series.options.description,
        str(series.number),
    ]


def _text(header: str, rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return buffer.getvalue()


def findings_table(patients: list[PlannedPatient], *, labelled: bool) -> str:
    """The text of the findings table: a row a finding; that of the test set has no labels."""
    return _text(
        "ProxID,fid,pos,zone" + (",ClinSig" if labelled else ""),
        [
            [p.patient_id, str(f.finding_id), _position(p, f.place), f.zone]
            + ([str(f.lesion.label).upper()] if labelled else [])
            for p in patients
            for f in p.findings
        ],
    )


def images_table(patients: list[PlannedPatient], *, labelled: bool) -> str:
    """The text of the images table: a row for each finding, series and image of the series."""
    rows = [
        _image_row(patient, finding, series, time, "1" if labelled else "")
        for patient in patients
        for series in sorted(patient.series, key=lambda series: (series.options.description, series.number))
        for time in range(len(series.options.images))
        for finding in patient.findings
    ]
    return _text(
        "ProxID,Name,fid,pos,WorldMatrix,ijk,TopLevel,SpacingBetweenSlices,VoxelSpacing,Dim,DCMSerDescr,DCMSerNum", rows
    )


def ktrans_table(patients: list[PlannedPatient]) -> str:
    """The text of the Ktrans table: a row a finding."""
    return _text(
        "ProxID,fid,pos,WorldMatrix,ijk",
        [
            [p.patient_id, str(f.finding_id), _position(p, f.place), *_voxel(f, p.ktrans)]
            for p in patients
            for f in p.findings
        ],
    )
