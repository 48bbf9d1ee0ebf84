"""Who is in the PROSTATEx phantom: patients, their series' grids, their findings, and the archive's known oddities."""

from dataclasses import dataclass, replace

import numpy as np

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.canvas import Canvas, Triple, axis, blank
from lesion_transfer.datasets.phantom.draws import exactly, shares_to_counts, shuffled, uniform
from lesion_transfer.datasets.phantom.geometry import Frame, Grid, oblique_frame
from lesion_transfer.datasets.phantom.lesion import Lesion, draw_lesion
from lesion_transfer.datasets.phantom.pelvis import Organ, draw_organs, draw_sites, paint_pelvis
from lesion_transfer.datasets.phantom.recipes import ImageOptions, KtransOptions, ProstatexRecipe, SeriesOptions
from lesion_transfer.randomness import named_generator

ODDITIES_FROM = 6
"""A phantom of fewer patients has none of the oddities: every one of its findings can be used."""

_OUTSIDE_MM = 150.0


def canvas_on(grid: Grid, slices: slice = slice(None)) -> Canvas:
    """An empty canvas on (some slices of) a grid, in mm of the patient's frame."""
    u, v, w = (axis(first, step, n) for first, step, n in zip(grid.first, grid.spacing_mm, grid.shape, strict=True))
    return blank(u, v, w[slices])


@dataclass(frozen=True)
class PlannedFinding:
    """A row of the findings table; place is (u, v, w) in the patient's frame, mm."""

    finding_id: int
    zone: str
    place: Triple
    lesion: Lesion


@dataclass(frozen=True)
class PlannedSeries:
    """A DICOM series: its recipe, the number it was given in this examination, its grid."""

    options: SeriesOptions
    number: int
    grid: Grid

    def canvas(self, slices: slice = slice(None)) -> Canvas:
        """An empty canvas on (some slices of) the grid, in mm of the patient's frame."""
        return canvas_on(self.grid, slices)


@dataclass(frozen=True)
class PlannedPatient:
    """One patient; absent: in the tables, but without images. ktrans: the grid of the Ktrans map."""

    patient_id: str
    frame: Frame
    organs: list[Organ]
    findings: list[PlannedFinding]
    series: list[PlannedSeries]
    ktrans: Grid
    absent: bool = False


def _lesion_slices(n_slices: int) -> list[int]:
    """Slices for lesions: not the outermost, and not the one where `InstanceNumber == k + 1` happens to be right."""
    inner = list(range(1, n_slices - 1)) if n_slices > 2 else list(range(n_slices))
    middle = {(n_slices - 1) // 2, n_slices // 2}
    return [k for k in inner if k not in middle] or inner


def _plan_grid(
    options: SeriesOptions | KtransOptions, frame: Frame, n_slices: int, generator: np.random.Generator
) -> Grid:
    u, v, w = uniform(generator, -4, 4), uniform(generator, -6, 6), uniform(generator, -0.6, 0.6)
    step, between = options.spacing_mm, options.slice_spacing_mm
    first = (
        u - (options.columns - 1) / 2 * step,
        v - (options.rows - 1) / 2 * step,
        w - (n_slices - 1) / 2 * between,
    )
    return Grid(frame, first, (step, step, between), (options.columns, options.rows, n_slices))


def _plan_series(
    recipe: ProstatexRecipe, frame: Frame, n_slices: int, generator: np.random.Generator
) -> list[PlannedSeries]:
    return [
        PlannedSeries(options, options.number, _plan_grid(options, frame, n_slices, generator))
        for options in recipe.series
    ]


def _plan_patient(
    recipe: ProstatexRecipe, options: PhantomOptions, seed: int, index: int, labels: list[bool]
) -> PlannedPatient:
    patient_id = f"ProstateX-{index:04d}"
    generator = named_generator(seed, "prostatex", patient_id)
    origin = (uniform(generator, -8, 8), uniform(generator, 10, 40), uniform(generator, -40, 20))
    frame = oblique_frame(origin, uniform(generator, *recipe.tilt_tangent_of_half), uniform(generator, -0.01, 0.01))
    prostate_scale = uniform(generator, *recipe.prostate_scale)
    slice_spacing = recipe.series[0].slice_spacing_mm
    findings = []
    for n, (zone, (u, v, _)) in enumerate(draw_sites(generator, len(labels), prostate_scale)):
        k = shuffled(generator, _lesion_slices(options.n_slices))[0]
        w = (k - (options.n_slices - 1) / 2 + uniform(generator, -0.3, 0.3)) * slice_spacing
        lesion = draw_lesion(seed, ("prostatex", patient_id, str(n)), labels[n], 1.0, recipe.lesion, options.signal)
        findings.append(PlannedFinding(n + 1, zone, (u, v, w), lesion.moved((u, v, w))))
    return PlannedPatient(
        patient_id=patient_id,
        frame=frame,
        organs=draw_organs(generator, prostate_scale),
        findings=findings,
        series=_plan_series(recipe, frame, options.n_slices, generator),
        ktrans=_plan_grid(
            recipe.ktrans, frame, options.n_slices, named_generator(seed, "prostatex", patient_id, "ktrans")
        ),
    )


def _with_oddities(patients: list[PlannedPatient], generator: np.random.Generator) -> list[PlannedPatient]:
    """One patient without images, one with a finding outside the volume, one whose fids repeat, one with two T2."""
    several = shuffled(generator, [i for i, patient in enumerate(patients) if len(patient.findings) > 1])
    single = shuffled(generator, [i for i, patient in enumerate(patients) if len(patient.findings) == 1])
    changed = list(patients)
    if single:
        changed[single[0]] = replace(patients[single[0]], absent=True)
    if len(single) > 1:
        patient = patients[single[1]]
        first = patient.series[0]
        again = replace(first, number=max(series.number for series in patient.series) + 3)
        changed[single[1]] = replace(patient, series=[*patient.series, again])
    if several:
        patient = patients[several[0]]
        changed[several[0]] = replace(patient, findings=[replace(f, finding_id=1) for f in patient.findings])
    if len(several) > 1:
        patient = patients[several[1]]
        u, v, w = patient.findings[-1].place
        lost = replace(patient.findings[-1], place=(u, v, w + _OUTSIDE_MM))
        changed[several[1]] = replace(patient, findings=[*patient.findings[:-1], lost])
    return changed


def plan_patients(recipe: ProstatexRecipe, options: PhantomOptions, seed: int) -> list[PlannedPatient]:
    """All patients. Labels are dealt out in random order and touch nothing but the means of the lesions' traits."""
    generator = named_generator(seed, "prostatex", "patients")
    counts = shares_to_counts(recipe.findings_per_patient, options.n_patients)
    if options.n_patients >= ODDITIES_FROM and len(counts) > 1:
        missing = max(2 - sum(counts[1:]), 0)
        counts = [counts[0] - missing, counts[1] + missing, *counts[2:]]
    labels = named_generator(seed, "prostatex", "labels")
    patients = _deal_out(recipe, options, seed, counts, options.first_number, generator, labels)
    if options.n_patients >= ODDITIES_FROM:
        patients = _with_oddities(patients, generator)
    return patients


def plan_test_patients(recipe: ProstatexRecipe, options: PhantomOptions, seed: int) -> list[PlannedPatient]:
    """The patients of the test tables, numbered after those of the training tables, without oddities."""
    generator, labels = (named_generator(seed, "prostatex", name) for name in ("test patients", "test labels"))
    counts = shares_to_counts(recipe.findings_per_patient, options.n_test_patients)
    return _deal_out(recipe, options, seed, counts, options.first_number + options.n_patients, generator, labels)


def _deal_out(
    recipe: ProstatexRecipe,
    options: PhantomOptions,
    seed: int,
    counts: list[int],
    first_index: int,
    generator: np.random.Generator,
    label_generator: np.random.Generator,
) -> list[PlannedPatient]:
    """Patients with one, two, ... findings, as many as `counts` says, in random order."""
    n_findings = shuffled(generator, [n + 1 for n, count in enumerate(counts) for _ in range(count)])
    labels = exactly(label_generator, sum(n_findings), recipe.lesion.classes.positive_share)
    patients, used = [], 0
    for index, n in enumerate(n_findings, start=first_index):
        patients.append(_plan_patient(recipe, options, seed, index, labels[used : used + n]))
        used += n
    return patients


def paint_image(
    recipe: ProstatexRecipe,
    patient: PlannedPatient,
    series: PlannedSeries,
    image: ImageOptions,
    canvas: Canvas,
    seed: int,
) -> None:
    """Paints one image of a series of this patient on a canvas of the series."""
    _paint(recipe, patient, image, canvas, f"{series.number}/{image.b_value}", seed)


def paint_ktrans(recipe: ProstatexRecipe, patient: PlannedPatient, seed: int) -> Canvas:
    """The patient's Ktrans map on its own canvas, in the recipe's values."""
    canvas = canvas_on(patient.ktrans)
    _paint(recipe, patient, recipe.ktrans.image, canvas, "ktrans", seed)
    return canvas


def _paint(
    recipe: ProstatexRecipe, patient: PlannedPatient, image: ImageOptions, canvas: Canvas, name: str, seed: int
) -> None:
    lesions = [finding.lesion for finding in patient.findings]
    generator = named_generator(seed, "prostatex", patient.patient_id, "image", name)
    paint_pelvis(canvas, patient.organs, lesions, image, recipe.lesion, recipe.texture_cell_mm, generator)
