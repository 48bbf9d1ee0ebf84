"""Writes the PROSTATEx phantom: DICOM series in the folder layouts of the wild, and the published tables."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.dicom import decimal, decimals, phantom_dataset, phantom_uid, stored, write_slice
from lesion_transfer.datasets.phantom.prostatex_plan import (
    PlannedPatient,
    PlannedSeries,
    paint_image,
    paint_ktrans,
    plan_patients,
    plan_test_patients,
)
from lesion_transfer.datasets.phantom.prostatex_tables import (
    FINDINGS,
    IMAGES,
    KTRANS,
    TEST_FINDINGS,
    TEST_IMAGES,
    TEST_KTRANS,
    findings_table,
    images_table,
    ktrans_table,
)
from lesion_transfer.datasets.phantom.recipes import ImageOptions, ProstatexRecipe
from lesion_transfer.files import replacing, write_text

_LARGEST = 4095
"""Of 12 stored bits."""

_STUDY = "MR prostate phantom MCAPRODETW"


def _five_digits(*names: object) -> str:
    """The five digits that TCIA's downloaders put at the end of a folder's name."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).hexdigest()
    return f"{int(digest, 16) % 100_000:05d}"


def _series_folder(
    root: Path, layout: int, patient_id: str, study: str, series_uid: str, series: PlannedSeries
) -> Path:
    """One of three layouts seen in the wild: by UID, by description, by description with a decimal series number."""
    if layout == 0:
        return root / patient_id / study / series_uid
    plain = "".join(c for c in series.options.description if c.isalnum())
    number = str(series.number) if layout == 1 else f"{series.number}.000000"
    folder = f"01-01-1900-NA-{_STUDY}-{_five_digits(study)}"
    return root / patient_id / folder / f"{number}-{plain}-{_five_digits(series_uid)}"


def _write_series(
    recipe: ProstatexRecipe, root: Path, layout: int, patient: PlannedPatient, series: PlannedSeries, seed: int
) -> None:
    n_slices = series.grid.shape[2]
    names = ("prostatex", seed, patient.patient_id)
    study_uid, series_uid = phantom_uid(*names), phantom_uid(*names, series.number)
    folder = _series_folder(root, layout, patient.patient_id, study_uid, series_uid, series)
    shared = phantom_dataset("MR", patient.patient_id, study_uid, series_uid, MRImageStorage)
    shared.StudyDescription, shared.SeriesDescription = _STUDY, series.options.description
    shared.SeriesNumber = series.number
    shared.BodyPartExamined, shared.PatientPosition = "PROSTATE", "FFS"
    shared.SliceThickness = shared.SpacingBetweenSlices = decimal(series.options.slice_spacing_mm, 3)
    shared.PixelSpacing = decimals(series.grid.spacing_mm[:2], 3)
    shared.ImageOrientationPatient = decimals([*patient.frame.row, *patient.frame.column])
    shared.FrameOfReferenceUID = phantom_uid(*names, "frame")
    shared.BitsStored, shared.HighBit, shared.PixelRepresentation = 12, 11, 0
    shared.WindowCenter = decimal(series.options.window_centre, 1)
    shared.WindowWidth = decimal(series.options.window_width, 1)
    number = 0
    for image in series.options.images:
        if image.b_value is not None:
            _tag_b_value(shared, image)
        canvas = series.canvas()
        paint_image(recipe, patient, series, image, canvas, seed)
        pixels = stored(canvas.pixels, 0, _LARGEST, np.uint16)
        # real series are numbered against the table's k: InstanceNumber 1 is the last slice along the normal
        for k in reversed(range(n_slices)):
            number += 1
            name = f"1-{number:02d}.dcm" if layout == 2 else f"{number - 1:06d}.dcm"
            shared.SliceLocation = decimal(series.grid.first[2] + k * series.grid.spacing_mm[2], 6)
            sop_uid = phantom_uid(*names, series.number, number)
            write_slice(folder / name, shared, sop_uid, number, series.grid.voxel_lps(k), pixels[k])


def _tag_b_value(shared: Dataset, image: ImageOptions) -> None:
    """Siemens keeps the b-value in a private element, text in a VR of bytes, padded to an even length."""
    text = str(image.b_value).encode()
    block = shared.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    if 0x0C in block:
        del block[0x0C]
    block.add_new(0x0C, "OB", text + b" " * (len(text) % 2))


def _write_ktrans(recipe: ProstatexRecipe, root: Path, patient: PlannedPatient, seed: int) -> None:
    """A Ktrans map as published: per minute in float64, and the corner of the first voxel where its centre belongs.

    Not compressed, as the bytes of zlib differ from version to version.
    """
    grid = patient.ktrans
    values = stored(paint_ktrans(recipe, patient, seed).pixels, 0, _LARGEST, np.uint16) / recipe.ktrans.values_per_unit
    name = f"{patient.patient_id}-Ktrans"
    frame = patient.frame
    corner_lps_mm = (row[3] for row in grid.world_matrix()[:3])
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(decimals([*frame.row, *frame.column, *frame.normal])),
        "Offset": " ".join(decimals(list(corner_lps_mm))),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": " ".join(decimals(grid.spacing_mm, 3)),
        "DimSize": " ".join(map(str, grid.shape)),
        "ElementType": "MET_DOUBLE",
        "ElementDataFile": f"{name}.raw",
    }
    folder = root / patient.patient_id
    write_text(folder / f"{name}.mhd", "".join(f"{key} = {value}\n" for key, value in header.items()))
    with replacing(folder / f"{name}.raw") as temporary:
        temporary.write_bytes(values.astype("<f8").tobytes())


def write_prostatex(
    recipe: ProstatexRecipe, out: Path, options: PhantomOptions, seed: int, progress: Callable[[int, int], None]
) -> None:
    """Writes PROSTATEx/PATIENT/..., Ktrans/PATIENT/..., and the tables of findings and images into `out`."""
    training, test = plan_patients(recipe, options, seed), plan_test_patients(recipe, options, seed)
    patients = [*training, *test]
    for index, patient in enumerate(patients):
        if not patient.absent:
            for series in patient.series:
                _write_series(recipe, out / "PROSTATEx", index % 3, patient, series, seed)
            if options.ktrans:
                _write_ktrans(recipe, out / "Ktrans", patient, seed)
        progress(index + 1, len(patients))
    for part, findings, images, ktrans in (
        (training, FINDINGS, IMAGES, KTRANS),
        (test, TEST_FINDINGS, TEST_IMAGES, TEST_KTRANS),
    ):
        if part:
            write_text(out / findings, findings_table(part, labelled=part is training))
            write_text(out / images, images_table(part, labelled=part is training))
            if options.ktrans:
                write_text(out / ktrans, ktrans_table(part))
