"""DICOM images to look at: a series as volumes, an image of several frames by itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lesion_transfer.imaging.dicom_frames import read_frames
from lesion_transfer.imaging.dicom_index import InstanceHeader, patient_key
from lesion_transfer.imaging.dicom_stack import DicomStack, grid_of, read_stack
from lesion_transfer.viewing.entry import Entry, Moved, inside, marks_at
from lesion_transfer.viewing.positions import Positions
from lesion_transfer.viewing.stack import Mark, Stack


def stack_entry(stack: DicomStack, positions: Positions) -> Entry:
    """The images of a series that form a stack."""
    times, slices, rows, columns = stack.shape
    first = stack.images[0][0]
    title = _title([image for images in stack.images for image in images])
    size = f"{slices} slices of {rows} x {columns}" + (f", {times} times" if times > 1 else "")

    def read(moved: Moved) -> Stack:
        pixels = read_stack(stack, moved)
        marks, outside = marks_at(positions.of_patient(patient_key(first.patient_id)), stack.index_of)
        marks += tuple(
            Mark((number, y, x), name)
            for number, images in enumerate(zip(*stack.images, strict=True))
            for x, y, name in dict.fromkeys(pixel for image in images for pixel in positions.of_image(image))
        )
        return Stack(
            title,
            pixels.volume.voxels,
            pixels.windows,
            grid=pixels.volume.grid,
            inverted=pixels.inverted,
            time_names=stack.time_names,
            marks=marks,
            notes=outside,
            problems=pixels.problems,
            reslice=pixels.volume.grid is not None,
            pixel_mm=first.spacing_mm,
        )

    return Entry(title, size, times * slices * rows * columns, read)


def _title(images: Sequence[InstanceHeader]) -> str:
    first = images[0]
    number = "" if first.series_number is None else f"{first.series_number} "
    if any(image.identity_problem for image in images):  # pages are passed on, and neither text need be a pseudonym
        return f"patient not de-identified · {number}{first.modality}"
    return f"{first.patient_id or 'no PatientID'} · {number}{first.series_description or first.modality}"


def frames_entry(image: InstanceHeader, positions: Positions) -> Entry:
    """An image of several frames: one slice each, in their order, with their place where their groups give an even one.

    A place repeated in time or by b-value makes no volume: its frames stay slices one after the other.
    """
    title = _title([image])

    def read(moved: Moved) -> Stack:
        voxels = np.empty((1, image.frames, image.rows, image.columns), dtype=np.float32)
        frames = []
        for number, frame in enumerate(read_frames(image.file)):
            voxels[0, number] = frame.grey.values
            frames.append(replace(frame, grey=replace(frame.grey, values=voxels[0, number]), rgb=None))
            moved(number + 1, image.frames)
        grid = grid_of([frame.geometry for frame in frames])
        wanted = positions.of_patient(patient_key(image.patient_id))
        marks, outside = marks_at(wanted if grid is not None else [], inside(grid, voxels.shape[1:]))
        return Stack(
            title,
            voxels,
            (tuple(frame.grey.window for frame in frames),),
            grid=grid,
            inverted=frames[0].grey.inverted,
            marks=marks,
            notes=outside,
            reslice=grid is not None,
            pixel_mm=frames[0].spacing_mm,
        )

    size = f"{image.frames} frames of {image.rows} x {image.columns}"
    return Entry(title, size, image.frames * image.rows * image.columns, read)
