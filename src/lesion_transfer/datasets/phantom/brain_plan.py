"""Who is in the brain phantom: one image a patient, of mixed sizes and modes, some of them copied."""

from dataclasses import dataclass, replace

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.canvas import Canvas, axis, blank
from lesion_transfer.datasets.phantom.draws import exactly, pick, shuffled, uniform
from lesion_transfer.datasets.phantom.head import Organ, draw_head, draw_in_brain, paint_head
from lesion_transfer.datasets.phantom.lesion import Lesion, draw_lesion
from lesion_transfer.datasets.phantom.recipes import BrainRecipe
from lesion_transfer.randomness import named_generator

ODDITIES_FROM = 6
"""A phantom of fewer images has neither copies nor an unusable image."""

_UNUSABLE_NOISE = 9.0


@dataclass(frozen=True)
class PlannedImage:
    """One image: name, size and Pillow mode of its file, and what it shows; first_uv is the first pixel's place."""

    index: int
    file: str
    width: int
    height: int
    mode: str
    pixels_per_unit: tuple[float, float]
    first_uv: tuple[float, float]
    head_radii: tuple[float, float]
    organs: list[Organ]
    lesion: Lesion
    keep: bool = True
    group: str = ""
    copy_of: str = ""

    def canvas(self) -> Canvas:
        """An empty canvas of one slice, in patch pixels from the head's middle."""
        u, v = (
            axis(first, 1 / per_unit, n)
            for first, per_unit, n in zip(self.first_uv, self.pixels_per_unit, (self.width, self.height), strict=True)
        )
        return blank(u, v, axis(0, 1, 1))

    def pixel(self, u: float, v: float) -> tuple[float, float]:
        """The column and row of a place, whole numbers at the centres of pixels."""
        return (u - self.first_uv[0]) * self.pixels_per_unit[0], (v - self.first_uv[1]) * self.pixels_per_unit[1]


def _plan_image(recipe: BrainRecipe, options: PhantomOptions, seed: int, index: int, label: bool) -> PlannedImage:
    # by number, not by file name: the names tell the class
    name = ("brain", f"image {index}")
    generator = named_generator(seed, *name)
    width, height = pick(generator, recipe.sizes)
    per_unit = (
        width * recipe.patch_width_share / recipe.patch_pixels,
        height * recipe.patch_height_share / recipe.patch_pixels,
    )
    radii = (
        width / per_unit[0] * uniform(generator, 0.40, 0.46),
        height / per_unit[1] * uniform(generator, 0.42, 0.47),
    )
    u, v = draw_in_brain(generator, *radii)
    lesion = draw_lesion(seed, (*name, "lesion"), label, 1.0, recipe.lesion, options.signal)
    return PlannedImage(
        index=index,
        file="",
        width=width,
        height=height,
        mode=recipe.modes[int(generator.integers(len(recipe.modes)))],
        pixels_per_unit=per_unit,
        first_uv=(
            uniform(generator, -3, 3) - (width - 1) / 2 / per_unit[0],
            uniform(generator, -3, 3) - (height - 1) / 2 / per_unit[1],
        ),
        head_radii=radii,
        organs=draw_head(generator, *radii),
        lesion=lesion.moved((u, v, 0.0)),
    )


def plan_images(recipe: BrainRecipe, options: PhantomOptions, seed: int) -> list[PlannedImage]:
    """All images, then the copies of some. Labels are dealt out in random order and touch only the traits' means."""
    generator = named_generator(seed, "brain", "patients")
    n = options.n_patients
    labels = exactly(named_generator(seed, "brain", "labels"), n, recipe.lesion.classes.positive_share)
    images, n_of_class = [], {True: 0, False: 0}

    def named(image: PlannedImage) -> PlannedImage:
        label = image.lesion.label
        n_of_class[label] += 1
        suffix = "png" if image.mode in {"P", "RGBA"} else "jpg"
        start = "yes/Y" if label else "no/N"
        return replace(image, file=f"{start}{n_of_class[label]}.{suffix}")

    for index, label in enumerate(labels):
        images.append(named(_plan_image(recipe, options, seed, index, label)))
    if n < ODDITIES_FROM:
        return images
    chosen = shuffled(generator, range(n))
    images[chosen[0]] = replace(images[chosen[0]], keep=False)
    for number in range(1, max(int(n * recipe.duplicate_share + 0.5), 1) + 1):
        original = replace(images[chosen[number]], group=f"{number:02d}")
        images[chosen[number]] = original
        images.append(replace(named(original), copy_of=original.file))
    return images


def paint_image(recipe: BrainRecipe, image: PlannedImage, canvas: Canvas, seed: int) -> None:
    """Paints the image, in grey levels, on its canvas."""
    generator = named_generator(seed, "brain", f"image {image.index}", "image")
    noise_scale = 1.0 if image.keep else _UNUSABLE_NOISE
    paint_head(canvas, image.organs, image.head_radii, image.lesion, recipe, noise_scale, generator)
