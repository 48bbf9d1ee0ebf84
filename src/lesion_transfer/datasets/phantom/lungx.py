"""Writes the LUNGx phantom: excerpts of CT scans and the two published tables of nodules."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.uid import CTImageStorage

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.dicom import decimal, decimals, phantom_dataset, phantom_uid, stored, write_slice
from lesion_transfer.datasets.phantom.lungx_plan import PlannedScan, paint_scan, plan_scans
from lesion_transfer.datasets.phantom.lungx_tables import CALIBRATION, TEST, calibration_table, truth_table
from lesion_transfer.datasets.phantom.recipes import LungxRecipe
from lesion_transfer.files import write_text

_INTERCEPT = -1024


def _write_scan(recipe: LungxRecipe, root: Path, scan: PlannedScan, n_slices: int, seed: int) -> None:
    names = ("lungx", seed, scan.index)
    study_uid, series_uid = phantom_uid(*names), phantom_uid(*names, "series")
    shared = phantom_dataset("CT", scan.patient_id, study_uid, series_uid, CTImageStorage)
    shared.SeriesDescription, shared.SeriesNumber = "chest phantom", 2
    shared.BodyPartExamined, shared.PatientPosition = "CHEST", "HFS"
    shared.SliceThickness = decimal(scan.slice_spacing_mm, 3)
    shared.PixelSpacing = decimals([scan.spacing_mm] * 2, 3)
    shared.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    shared.FrameOfReferenceUID = phantom_uid(*names, "frame")
    shared.BitsStored, shared.HighBit, shared.PixelRepresentation = 12, 11, 0
    shared.RescaleIntercept, shared.RescaleSlope, shared.RescaleType = str(_INTERCEPT), "1", "HU"
    shared.WindowCenter, shared.WindowWidth = decimal(recipe.window_centre, 1), decimal(recipe.window_width, 1)
    canvas = scan.canvas(recipe.matrix, n_slices)
    paint_scan(recipe, scan, canvas, seed)
    canvas.pixels[...] -= np.float32(_INTERCEPT)
    pixels = stored(canvas.pixels, 0, 4095, np.uint16)
    u, v, w = scan.first_uvw_mm
    folder = root / scan.patient_id / study_uid / series_uid
    for n in range(n_slices):
        k, number = n_slices - 1 - n, scan.first_number + n
        # scanners call the top of the stack image 1: an excerpt from number `first_number` lies that far below it
        z = w + k * scan.slice_spacing_mm - scan.first_number * scan.slice_spacing_mm
        shared.SliceLocation = decimal(z, 6)
        path = folder / f"{n:06d}.dcm"
        write_slice(path, shared, phantom_uid(*names, number), number, (u, v, z), pixels[k])


def write_lungx(
    recipe: LungxRecipe, out: Path, options: PhantomOptions, seed: int, progress: Callable[[int, int], None]
) -> None:
    """Writes LUNGx/PATIENT/STUDY/SERIES/*.dcm and the calibration and test tables into `out`."""
    scans = plan_scans(recipe, options, seed)
    for done, scan in enumerate(scans, start=1):
        _write_scan(recipe, out / "LUNGx", scan, options.n_slices, seed)
        progress(done, len(scans))
    write_text(out / CALIBRATION, calibration_table(scans))
    write_text(out / TEST, truth_table(scans))
