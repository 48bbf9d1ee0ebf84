"""What can be looked at below a path: each thing found is listed at once and read when it is chosen."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.datasets.patch_archive import FINDINGS, IMAGES
from lesion_transfer.datasets.prostatex_ktrans import centres_of_map, is_ktrans_header
from lesion_transfer.errors import LesionError
from lesion_transfer.imaging.dicom_files import NotDicomError
from lesion_transfer.imaging.dicom_index import group_series, index_folder, read_header
from lesion_transfer.imaging.dicom_stack import stacks_of
from lesion_transfer.imaging.display import DISPLAY_MAX, Window
from lesion_transfer.imaging.errors import UnreadableFileError
from lesion_transfer.imaging.metaimage import DATA_SUFFIXES, header_of, is_metaimage, read_metaimage
from lesion_transfer.imaging.nifti import header_of as header_of_pair
from lesion_transfer.imaging.nifti import is_nifti, read_nifti
from lesion_transfer.imaging.raster import read_grey
from lesion_transfer.imaging.volume import Volume, finite_range
from lesion_transfer.imaging.walk import as_utf8, files_below
from lesion_transfer.viewing.dicom_entries import frames_entry, stack_entry
from lesion_transfer.viewing.entry import Entry, inside, marks_at
from lesion_transfer.viewing.patches import archive_stack, cohort_stack
from lesion_transfer.viewing.png import is_own
from lesion_transfer.viewing.positions import Position, Positions
from lesion_transfer.viewing.stack import Mark, Stack, same_window

PICTURES = (".png", ".jpg", ".jpeg")


class NothingToViewError(LesionError):
    """There is nothing to look at: a sentence that says where and what is read."""


def entries_of(path: Path, positions: Positions) -> list[Entry]:
    """What is at a path: a file, a cohort, a patch archive, or everything below a folder, in a fixed order.

    Raises NothingToViewError, or UnreadableFileError for a single file.
    """
    if path.is_file():
        return [_file_entry(path, as_utf8(path.name), positions)]
    if not path.is_dir():
        raise NothingToViewError(f"{path} does not exist: name a file or a folder.")
    if _holds_patches(path):
        return [_patches_entry(path)]
    found = _below(path, positions)
    if not found:
        raise NothingToViewError(
            f"{path} holds nothing to look at: DICOM, NIfTI (.nii, .nii.gz, .hdr with .img), MetaImage (.mhd, .mha), "
            "PNG and JPEG files, cohorts and patch archives are shown."
        )
    return found


def chosen(entries: Sequence[Entry], numbers: Sequence[int]) -> list[Entry]:
    """The entries of these numbers, counted from 1; all of them without any. NothingToViewError for other numbers."""
    for number in numbers:
        if not 1 <= number <= len(entries):
            raise NothingToViewError(f"There is no number {number}: {len(entries)} were found. See them with --list.")
    return [entries[number - 1] for number in numbers] or list(entries)


def _below(folder: Path, positions: Positions) -> list[Entry]:
    index = index_folder(folder)
    stacks = [stack for series in group_series(index.instances) for stack in stacks_of(series)]
    stacks.sort(key=lambda stack: stack.images[0][0].patient_id)  # within a patient by study and number, as they come
    found = [stack_entry(stack, positions) for stack in stacks]
    found += [frames_entry(image, positions) for image in index.instances if image.frames > 1]
    pictures = []
    for file in files_below(folder):
        if file.name == IMAGES and _holds_patches(file.parent):
            found.append(_patches_entry(file.parent))
        elif is_nifti(file) or is_metaimage(file):
            found.append(_file_entry(file, _title(file, folder), positions))
        elif file.suffix.lower() in PICTURES:
            pictures.append(file)
    # What `lesion png` put beside its images would show them twice.
    pictures = [file for file in pictures if not (found and is_own(file))]
    return found + [_file_entry(file, _title(file, folder), positions) for file in pictures]


def _title(file: Path, folder: Path) -> str:
    return as_utf8(str(file.relative_to(folder)))


def _holds_patches(folder: Path) -> bool:
    """Whether a folder is a cohort or a patch archive."""
    return (folder / IMAGES).is_file() and (folder / FINDINGS).is_file()


def _patches_entry(folder: Path) -> Entry:
    name = as_utf8(folder.absolute().name)
    if not (folder / "cohort.json").is_file():
        return Entry(name, "patch archive", 0, lambda _: archive_stack(folder))
    return Entry(name, "cohort", 0, lambda _: cohort_stack(load_cohort(folder)))


def _file_entry(file: Path, title: str, positions: Positions) -> Entry:
    if file.suffix.lower() in DATA_SUFFIXES:
        file = header_of(file) or file
    file = header_of_pair(file) or file
    if is_nifti(file):
        return Entry(title, "NIfTI", 0, lambda _: _volume_stack(read_nifti(file), title, positions.of_path(file)))
    if is_metaimage(file):
        return Entry(title, "MetaImage", 0, lambda _: _volume_stack(_metaimage(file), title, positions.of_path(file)))
    if file.suffix.lower() in PICTURES:
        return Entry(title, "picture", 0, lambda _: _picture_stack(file, title, positions))
    try:
        header = read_header(file)
    except NotDicomError:
        header = None
    if header is None:
        raise UnreadableFileError(
            f"{file}: not an image that is read (DICOM, NIfTI, a MetaImage with its .mhd header, PNG, JPEG)."
        )
    stacks = [stack for series in group_series([header]) for stack in stacks_of(series)]
    return stack_entry(stacks[0], positions) if stacks else frames_entry(header, positions)


def _metaimage(file: Path) -> Volume:
    """The volume; a Ktrans map of PROSTATEx lies where cohorts take it to lie."""
    volume = read_metaimage(file)
    if volume.grid is None or not is_ktrans_header(file):
        return volume
    return replace(volume, grid=centres_of_map(volume.grid))


def _volume_stack(volume: Volume, title: str, positions: Sequence[Position]) -> Stack:
    times, slices, rows, columns = volume.voxels.shape
    window = volume.window or Window.spanning(*finite_range(volume.voxels))
    marks, outside = marks_at(positions, inside(volume.grid, (slices, rows, columns)))
    windows = same_window(window, times, slices)
    name = "file's window" if volume.window else "whole range"
    return Stack(title, volume.voxels, windows, name, volume.grid, marks=marks, notes=outside)


def _picture_stack(file: Path, title: str, positions: Positions) -> Stack:
    pixels = read_grey(file)
    marks = tuple(Mark((0.0, y, x), name) for x, y, name in positions.in_picture(file))
    windows = same_window(Window.spanning(0.0, DISPLAY_MAX), 1, 1)
    return Stack(title, pixels[None, None], windows, "whole range", marks=marks)
