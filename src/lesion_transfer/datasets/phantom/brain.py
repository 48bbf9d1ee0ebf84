"""Writes the brain phantom: JPG and PNG files in yes/ and no/, and the table of lesion centres."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.brain_plan import PlannedImage, paint_image, plan_images
from lesion_transfer.datasets.phantom.dicom import stored
from lesion_transfer.datasets.phantom.recipes import BrainRecipe
from lesion_transfer.files import write_text

TABLE = "ground_truth.csv"

_HEADER = "file,label,x,y,box_x0,box_y0,box_x1,box_y1,keep,patient_group,duplicate_group,drawn,view,quality_note"


def _save(path: Path, grey: np.ndarray, mode: str, jpeg_quality: int) -> None:
    """Writes (rows, columns) uint8 in this mode: PNG where the mode is P or RGBA, else JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(grey)
    if mode == "P":
        image.putpalette([level for grey_level in range(256) for level in (grey_level,) * 3])
    elif mode != "L":
        image = image.convert(mode)
    if path.suffix == ".png":
        # stored, not deflated: zlib-ng finds other matches on other CPUs
        image.save(path, compress_level=0)
    else:
        image.save(path, quality=jpeg_quality, subsampling=0, optimize=False)


def _row(image: PlannedImage) -> list[str]:
    (x, y), (radius_u, radius_v, _) = image.pixel(*image.lesion.centre[:2]), image.lesion.radii
    half_x, half_y = radius_u * image.pixels_per_unit[0], radius_v * image.pixels_per_unit[1]
    box = (x - half_x, y - half_y, x + half_x, y + half_y)
    return [
        image.file,
        str(image.lesion.label),
        str(int(x + 0.5)),
        str(int(y + 0.5)),
        *(f"{int(edge + 0.5)}.0" for edge in box),
        str(image.keep),
        f"P{image.group}" if image.group else "",
        f"D{image.group}" if image.group else "",
        "False",
        "axial",
        "" if image.keep else "VERY LOW QUALITY noise",
    ]


def write_brain(
    recipe: BrainRecipe, out: Path, options: PhantomOptions, seed: int, progress: Callable[[int, int], None]
) -> None:
    """Writes yes/, no/ and ground_truth.csv into `out`; a copy has the bytes of its original."""
    images = plan_images(recipe, options, seed)
    for done, image in enumerate(images, start=1):
        if image.copy_of:
            (out / image.file).write_bytes((out / image.copy_of).read_bytes())
        else:
            canvas = image.canvas()
            paint_image(recipe, image, canvas, seed)
            _save(out / image.file, stored(canvas.pixels[0], 0, 255, np.uint8), image.mode, recipe.jpeg_quality)
        progress(done, len(images))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_HEADER.split(","))
    writer.writerows(_row(image) for image in sorted(images, key=lambda image: not image.lesion.label))
    write_text(out / TABLE, buffer.getvalue())
