"""Who is in the LUNGx phantom: excerpts of CT scans with one or two nodules each."""

from dataclasses import dataclass, replace

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.canvas import Canvas, axis, blank
from lesion_transfer.datasets.phantom.draws import exactly, pick, shuffled, uniform
from lesion_transfer.datasets.phantom.lesion import Lesion, draw_lesion
from lesion_transfer.datasets.phantom.recipes import LungxRecipe
from lesion_transfer.datasets.phantom.thorax import Organ, draw_in_lung, draw_thorax, draw_vessels, paint_thorax
from lesion_transfer.randomness import named_generator

ODDITIES_FROM = 6
"""A phantom of fewer patients has no nodule of doubtful diagnosis: every nodule can be used."""


@dataclass(frozen=True)
class PlannedNodule:
    """A row of a table: x, y in pixels from 1, the number of its image; `suspicious`: its diagnosis is in doubt."""

    x: int
    y: int
    image_number: int
    lesion: Lesion
    suspicious: bool = False


@dataclass(frozen=True)
class PlannedScan:
    """A scan's excerpt; first_uvw_mm is the centre of the first pixel of the first image."""

    index: int
    patient_id: str
    spacing_mm: float
    slice_spacing_mm: float
    first_number: int
    first_uvw_mm: tuple[float, float, float]
    organs: list[Organ]
    nodules: list[PlannedNodule]

    def canvas(self, matrix: int, n_slices: int) -> Canvas:
        """An empty canvas of the scan, mm; slices from the first image number on (their w falls: head first)."""
        u, v, w = self.first_uvw_mm
        across = axis(u, self.spacing_mm, matrix)
        return blank(across, axis(v, self.spacing_mm, matrix), axis(w, self.slice_spacing_mm, n_slices))


def _plan_scan(recipe: LungxRecipe, options: PhantomOptions, seed: int, index: int, labels: list[bool]) -> PlannedScan:
    # by number, not by name: the names of the calibration scans tell their class
    name = ("lungx", f"scan {index}")
    generator = named_generator(seed, *name)
    spacing = int(uniform(generator, *recipe.spacing_mm) * 1000) / 1000
    between = pick(generator, recipe.slice_spacing_mm)
    size = spacing * recipe.matrix / 358  # the chest fills the image, as the technician sees to
    first_number = int(generator.integers(recipe.image_number[0], recipe.image_number[1] + 1))
    first = (
        uniform(generator, -6, 6) - (recipe.matrix - 1) / 2 * spacing,
        uniform(generator, -6, 6) - (recipe.matrix - 1) / 2 * spacing,
        -(options.n_slices - 1) / 2 * between,
    )
    scale = recipe.patch_share * recipe.matrix / recipe.patch_pixels * spacing
    nodules = []
    for n, (side, label) in enumerate(zip(shuffled(generator, (-1, 1)), labels, strict=False)):
        u, v, _ = draw_in_lung(generator, side, size, 0.55)
        inner = range(1, options.n_slices - 1) if options.n_slices > 2 else range(options.n_slices)
        k = pick(generator, inner)
        w = first[2] + (k + uniform(generator, -0.3, 0.3)) * between
        column, row = int((u - first[0]) / spacing + 0.5), int((v - first[1]) / spacing + 0.5)
        lesion = draw_lesion(seed, (*name, str(n)), label, scale, recipe.lesion, options.signal)
        # image numbers run from the head down, the canvas from the feet up
        number = first_number + options.n_slices - 1 - k
        nodules.append(PlannedNodule(column + 1, row + 1, number, lesion.moved((u, v, w))))
    free = [nodule.lesion.centre[:2] for nodule in nodules]
    vessels = draw_vessels(generator, recipe.n_vessels, size, free, recipe.lesion.diameter_px[1] * 0.6 * scale)
    organs = [*draw_thorax(generator, size), *vessels]
    return PlannedScan(index, "", spacing, between, first_number, first, organs, nodules)


def plan_scans(recipe: LungxRecipe, options: PhantomOptions, seed: int) -> list[PlannedScan]:
    """All scans, calibration first. Labels are dealt out in random order and touch only the means of the traits."""
    generator = named_generator(seed, "lungx", "patients")
    # a scan at least in each table
    n_calibration = min(max(int(options.n_patients * recipe.calibration_share + 0.5), 1), options.n_patients - 1)
    n_test = options.n_patients - n_calibration
    n_two = int(n_test * recipe.two_nodules_share + 0.5)
    n_nodules = [1] * n_calibration + shuffled(generator, [2] * n_two + [1] * (n_test - n_two))
    labels = exactly(named_generator(seed, "lungx", "labels"), sum(n_nodules), recipe.lesion.classes.positive_share)
    scans, used, n_of_name = [], 0, {"lc": 0, "be": 0}
    for index, n in enumerate(n_nodules):
        own = labels[used : used + n]
        used += n
        if index < n_calibration:
            name = "lc" if own[0] else "be"
            n_of_name[name] += 1
            patient_id = f"CT-Training-{name}{n_of_name[name]:03d}"
        else:
            patient_id = f"LUNGx-CT{index - n_calibration + 1:03d}"
        scans.append(replace(_plan_scan(recipe, options, seed, index, own), patient_id=patient_id))
    if options.n_patients >= ODDITIES_FROM:
        scan = pick(generator, scans[n_calibration:])
        doubtful = [replace(scan.nodules[0], suspicious=True), *scan.nodules[1:]]
        scans[scan.index] = replace(scan, nodules=doubtful)
    return scans


def paint_scan(recipe: LungxRecipe, scan: PlannedScan, canvas: Canvas, seed: int) -> None:
    """Paints the scan, in Hounsfield units, on its canvas."""
    generator = named_generator(seed, "lungx", f"scan {scan.index}", "image")
    paint_thorax(canvas, scan.organs, [nodule.lesion for nodule in scan.nodules], recipe, generator)
