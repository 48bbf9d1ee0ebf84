"""The commands for looking at images: view, png, annotate. Like cli.py: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lesion_transfer.errors import LesionError
from lesion_transfer.stages.progress import progress_bar

PANEL = "Tools: looking at images"

Shown = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="a DICOM, NIfTI, .mhd, PNG or JPEG file, a folder of such files, a cohort, a patch archive",
    ),
]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="OUT.html",
        help="write a page for the browser, with the pixels in it, and open no window",
    ),
]
AxisOption = Annotated[
    int | None,
    typer.Option("--axis", min=0, max=2, help="only this axis (0: as acquired); else all three, one after the other"),
]
SeriesOption = Annotated[
    list[int] | None, typer.Option("--series", metavar="N", help="only number N of --list; may be repeated")
]
PositionOption = Annotated[
    list[str] | None,
    typer.Option("--position-lps", metavar="X,Y,Z", help="mark this point, in mm (LPS); may be repeated"),
]
FindingsOption = Annotated[
    Path | None,
    typer.Option("--findings", metavar="CSV", help="mark findings: of PROSTATEx's or LUNGx's tables, or a cohort's"),
]


def add_looking_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    for command in (view, png, annotate):
        # Typer would keep the line breaks of the source within a paragraph.
        paragraphs = (" ".join(part.split()) for part in (command.__doc__ or "").split("\n\n"))
        app.command(rich_help_panel=PANEL, help="\n\n".join(paragraphs))(command)


def view(
    path: Shown,
    html: Html = None,
    axis: AxisOption = None,
    series: SeriesOption = None,
    position_lps: PositionOption = None,
    findings: FindingsOption = None,
    only_list: Annotated[bool, typer.Option("--list", help="print what is there, by number, and open nothing")] = False,
) -> None:
    """Look at images in a window, or with --html in the browser: scroll slices, step through time, drag the window.

    Wheel, up and down: slices, on into the next point in time and, unless --axis is given, the next axis. Left and
    right: time, same slice. Drag: window. h: all keys. A DICOM folder is shown series by series (n, p, or --series),
    b-values as points in time; a cohort finding by finding, channels as points in time, each lesion marked.

    Examples: `lesion view SCAN.nii.gz`, `lesion view DICOM_FOLDER --findings ProstateX-Findings-Train.csv`,
    `lesion view --html look.html data/cohorts/prostatex_dwi`.
    """
    from lesion_transfer.viewing.page import write_page
    from lesion_transfer.viewing.positions import Positions
    from lesion_transfer.viewing.sources import chosen, entries_of
    from lesion_transfer.viewing.window import open_window

    positions = Positions.of(position_lps or (), findings)
    with Console(stderr=True).status("reading headers"):
        entries = entries_of(path, positions)
    if only_list:
        table = Table("N", "series", "size")
        for number, entry in enumerate(entries, 1):
            table.add_row(str(number), entry.title, entry.size)
        Console().print(table)
        return
    entries = chosen(entries, series or ())
    if html is None:
        open_window(entries, axis)
        return
    with progress_bar("reading", len(entries)) as move:
        n_shown, failures = write_page(entries, html, axis, move)
    for failure in failures:
        typer.echo(f"not shown: {failure}", err=True)
    if findings is not None and not positions.given and not failures:
        typer.echo(f"{findings} has no finding of these images", err=True)
    typer.echo(f"{html} shows {n_shown} of {len(entries)}; open it in a browser, no network needed")


def png(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="every DICOM, NIfTI and .mhd file below it is converted")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="write below this folder; else beside each image")
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="window|range",
            help="window: as the file's own window shows it, by its range where it has none; range: all by their range",
        ),
    ] = "window",
) -> None:
    """Convert every DICOM, NIfTI and .mhd image below a folder to 8-bit PNG: SCAN.dcm to SCAN.png, a volume to
    SCAN-000.png, SCAN-001.png...

    By default a file's own window counts (thesis 4.3.3), because that is what the cohorts see; what has none is
    stretched from its smallest to its largest value over the file, (p - min) * 255 / (max - min) (thesis 4.7.1). Files
    that fail are listed at the end, and the exit status is then 1. A file that this command did not make is never
    replaced.
    """
    from lesion_transfer.viewing.png import convert_tree

    if scale not in {"window", "range"}:
        raise LesionError(f"--scale is {scale!r}: write window or range.")
    with progress_bar("to PNG") as move:
        done = convert_tree(folder, out, "window" if scale == "window" else "range", move)
    n_converted = done.n_files - len(done.failures)
    typer.echo(f"{done.n_pictures} PNG files of {n_converted} images; {len(done.failures)} failed")
    for failure in done.failures:
        typer.echo(f"failed: {failure}", err=True)
    if done.failures:
        raise typer.Exit(1)


def annotate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="PNG and JPEG images, in any folders below it")],
) -> None:
    """Mark lesions by hand: each image below DIR is shown, a click on the lesion's centre is saved at once.

    Saved is DIR/ground_truth.csv (file, label, x, y, keep, patient_group), the table that the brain data set reads; a
    table that is there already is continued, its other columns kept. Folders named yes and no give the label. Begins
    with the first image that is not done, so it can be stopped at any time. u takes back, k marks an image as not
    usable, y and n set the label; the keys are shown below the image.
    """
    from lesion_transfer.viewing.annotate import annotate as open_annotator
    from lesion_transfer.viewing.annotations import Annotations

    annotations = Annotations(folder)
    open_annotator(annotations)
    n_done = sum(annotation.is_done for annotation in annotations.read())
    typer.echo(f"{n_done} of {len(annotations.images)} images are done in {annotations.table}")
