"""The command `lesion`: parse, call one stage or tool, print; no logic here.

Stages are imported when they are called, so that `lesion --help` and the data stages load neither torch nor MLflow.
"""

import csv
import dataclasses
import json
import logging
import math
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from lesion_transfer.cli_looking import add_looking_commands
from lesion_transfer.errors import LesionError
from lesion_transfer.stages.layout import find_layout

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Train lesion classifiers on medical images and find out whether other body parts help.\n\n"
        "[bold]dvc repro[/bold] runs all stages in order; here they are one by one. "
        "Settings stand in params.yaml. Not for clinical use."
    ),
)
DATA, MODELS, TOOLS = "Stages: data", "Stages: models", "Tools"
DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="an entry of `datasets` in params.yaml")]
CohortName = Annotated[str, typer.Argument(metavar="COHORT", help="an entry of `cohorts` in params.yaml")]
PhaseName = Annotated[str, typer.Argument(metavar="PHASE", help="an entry of `transfer` in params.yaml")]
Threshold = Annotated[float, typer.Option(min=0, max=1, help="a finding is called positive from this probability on")]
Draws = Annotated[int, typer.Option(min=100, help="draws of patients")]
BootstrapSeed = Annotated[int, typer.Option("--seed", min=0, help="of all random draws")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON, with all digits")]


def _refuse_idle(context: typer.Context, names: Sequence[str], why: str) -> None:
    """A usage error for an option that was given where it would do nothing."""
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name))
        if parameter.name in names and given is not None and given.name == "COMMANDLINE":
            raise typer.BadParameter(f"{parameter.opts[0]} {why}")


def _say_versions(asked: bool) -> None:
    if asked:
        libraries = [f"{name} {version(name)}" for name in ("torch", "dvc", "mlflow", "pydicom", "SimpleITK", "numpy")]
        typer.echo(f"lesion-transfer {version('lesion-transfer')} ({Path(__file__).parent})")
        typer.echo(f"Python {platform.python_version()}, {', '.join(libraries)}")
        raise typer.Exit


@app.callback()
def _main(
    versions: Annotated[
        bool,
        typer.Option("--version", callback=_say_versions, is_eager=True, help="print versions and where the code is"),
    ] = False,
) -> None:
    logging.basicConfig(
        level=os.environ.get("LESION_LOG", "INFO").upper(),
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False, show_time=False)],
    )
    for noisy in ("mlflow", "alembic", "matplotlib", "urllib3", "pydicom"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@app.command("settings", rich_help_panel=DATA)
def settings() -> None:
    """Check params.yaml as a whole; anything wrong is one sentence that names the key.

    What DVC made for phases, cohorts and data sets that are no longer named is moved to .lesion/removed, and listed.
    """
    from lesion_transfer.stages.check_settings import check_settings

    check_settings(find_layout())


@app.command(rich_help_panel=DATA)
def acquire(dataset: DatasetName) -> None:
    """Take in a data set as published: its tables and a manifest of all files (a phantom is generated first).

    Writes data/raw/DATASET.
    """
    from lesion_transfer.stages.acquire import acquire as stage

    stage(find_layout(), dataset)


@app.command(rich_help_panel=DATA)
def cohort(cohort: CohortName) -> None:
    """Cut the findings of a data set out as patches around the lesion, in mm, on one grid.

    Writes data/cohorts/COHORT; what could not be cut out stands in its excluded.csv, with the reason.
    """
    from lesion_transfer.stages.cohort import cohort as stage

    stage(find_layout(), cohort)


@app.command(rich_help_panel=DATA)
def check(cohort: CohortName) -> None:
    """Prove a cohort against its source: dots drawn at the lesions must land in the centre of every patch.

    Writes reports/checks/COHORT.json, and red_dots.png and alignment.png in reports/checks/COHORT.
    """
    from lesion_transfer.stages.check import check as stage

    stage(find_layout(), cohort)


@app.command(rich_help_panel=DATA)
def split(dataset: DatasetName) -> None:
    """Assign the patients of a data set to train, validation, test and folds, once for all its cohorts.

    Writes data/splits/DATASET.csv.
    """
    from lesion_transfer.stages.split import split as stage

    stage(find_layout(), dataset)


@app.command(rich_help_panel=DATA)
def assign() -> None:
    """Give each row of every cohort the subset of its patient, and fail on any leak.

    Writes data/assigned, a table a cohort.
    """
    from lesion_transfer.stages.assign import assign as stage

    stage(find_layout())


@app.command(rich_help_panel=DATA)
def outer() -> None:
    """Assign the outer folds of the ledger: every patient of the target is tested once a repeat.

    Writes data/outer_folds.csv.
    """
    from lesion_transfer.stages.outer import outer as stage

    stage(find_layout())


@app.command(rich_help_panel=MODELS)
def roulette() -> None:
    """Score random initialisations on the target's validation rows; the best is where ds1_full starts.

    Writes models/roulette.
    """
    from lesion_transfer.stages.roulette import roulette as stage

    stage(find_layout())


@app.command(rich_help_panel=MODELS)
def train() -> None:
    """Train phase ds1_full: the whole network on the target.

    Writes models/ds1_full and reports/ds1_full.json.
    """
    from lesion_transfer.stages.train import train as stage

    stage(find_layout())


@app.command(rich_help_panel=MODELS)
def transfer(phase: PhaseName) -> None:
    """Train one later phase: start, decision maker and freezing as its entry says.

    Writes models/PHASE and reports/PHASE.json.
    """
    from lesion_transfer.stages.transfer import transfer as stage

    stage(find_layout(), phase)


@app.command(rich_help_panel=MODELS)
def ledger() -> None:
    """Train every arm in every outer fold and say, with intervals, what the target gained.

    Writes models/arms and reports/ledger.json; folds that an earlier call finished are kept.
    """
    from lesion_transfer.stages.ledger import ledger as stage

    stage(find_layout())


@app.command(rich_help_panel=MODELS)
def reproduction() -> None:
    """Train the thesis's chapter 5: one network on stacked sequences, 80/10/10 by patient, with a written report.

    Writes models/reproduction and reports/reproduction.md.
    """
    from lesion_transfer.stages.reproduction import reproduction as stage

    stage(find_layout())


@app.command(rich_help_panel=MODELS)
def challenge(
    test_cohort: Annotated[
        str | None,
        typer.Argument(metavar="[COHORT]", help="an entry of `challenge` in params.yaml; default: the one there is"),
    ] = None,
) -> None:
    """Train on all findings and write a PROSTATEx challenge CSV for each kept epoch."""
    from lesion_transfer.stages.challenge import challenge as stage

    stage(find_layout(), test_cohort)


@app.command(rich_help_panel=MODELS)
def evaluate() -> None:
    """Compare before and after on the untouched test subset, with intervals over patients.

    Writes reports/evaluation.json and reports/curves.csv.
    """
    from lesion_transfer.stages.evaluate import evaluate as stage

    stage(find_layout())


@app.command(rich_help_panel=MODELS)
def baselines(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="of published PROSTATEx tables")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="of the cross-validation of FOLDER")] = 10,
    folds: Annotated[int, typer.Option(min=2, help="of each repeat")] = 5,
    draws: Draws = 2000,
    seed: BootstrapSeed = 1,
    as_json: AsJson = False,
) -> None:
    """What reaches how far without the network, in its own folds; of FOLDER: the baselines that need no image.

    Without FOLDER writes reports/baselines.json and reports/baselines.csv, as params.yaml says.
    """
    from lesion_transfer.stages.baselines import baselines as stage
    from lesion_transfer.stages.baselines import published_baselines
    from lesion_transfer.stages.terminal import baselines_table

    if folder is None:
        _refuse_idle(context, ("repeats", "folds", "draws", "seed", "as_json"), "goes with FOLDER")
        stage(find_layout())
        return
    content = published_baselines(folder, seed, draws, repeats, folds)
    if as_json:
        typer.echo(json.dumps(content, indent=2, allow_nan=False))
    else:
        Console().print(baselines_table(content))


@app.command(rich_help_panel=MODELS)
def report() -> None:
    """Write reports/report.html: the answer, the curves, the data, the settings; opens without network."""
    from lesion_transfer.stages.report import report as stage

    stage(find_layout())


@app.command(rich_help_panel=TOOLS)
def preset(name: Annotated[str, typer.Argument(metavar="demo|thesis|thesis-faithful", help="whose values")]) -> None:
    """Rewrite params.yaml's values, comments kept: the demo's, the thesis's, or all that the thesis did.

    thesis-faithful: with what `thesis` mends (slice rule, loss, selection, validation, z-scores, float32 updates).
    """
    from lesion_transfer.stages.preset import apply_preset

    changed = apply_preset(find_layout(), name)
    typer.echo(f"params.yaml now holds the preset {name}; {len(changed)} values changed")


@app.command(rich_help_panel=TOOLS)
def predict(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a model's folder, or a phase of this project")],
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="a cohort or a patch archive")] = None,
    out: Annotated[Path | None, typer.Option(help="the predictions as a CSV; needed with FOLDER")] = None,
    dicom: Annotated[Path | None, typer.Option(help="instead of FOLDER: one patient's DICOM files")] = None,
    position: Annotated[str | None, typer.Option("--position-lps", help="of the lesion, mm: X,Y,Z")] = None,
    patient: Annotated[str | None, typer.Option(help="the PatientID, where DICOM holds several")] = None,
    copies: Annotated[int, typer.Option(min=0, help="augmented copies beside the plain prediction")] = 11,
    allow_identified: Annotated[
        bool, typer.Option("--allow-identified", help="read DICOM that does not say that identity was removed")
    ] = False,
) -> None:
    """The probability of a positive finding, of new images: a cohort, a patch archive, or one patient's DICOM."""
    from lesion_transfer.stages import predict as tool

    if (folder is None) == (dicom is None):
        raise typer.BadParameter("give either FOLDER, or --dicom with --position-lps")
    if dicom is None and out is None:
        raise typer.BadParameter("--out: the CSV to write is missing")
    if dicom is None:
        _refuse_idle(context, ("position", "patient", "allow_identified"), "goes with --dicom")
    if out is not None:
        tool.refuse_foreign_file(out)
    opened = tool.open_model(model)
    if dicom is not None:
        place = _three_numbers(position)
        table = tool.predict_position(opened, dicom, place, patient, copies, allow_identified=allow_identified)
        excluded = table.iloc[:0]
    else:
        assert folder is not None
        table, excluded = tool.predict_folder(opened, folder, copies)
    if out is not None:
        beside = tool.write_predictions(out, table, excluded)
        typer.echo(f"{table['finding_key'].nunique()} findings predicted: {out}")
        if beside is not None:
            typer.echo(f"{len(excluded)} findings could not be read: {beside}")
    else:
        plain, others = table[table["copy"] == 0]["probability"], table[table["copy"] > 0]["probability"]
        typer.echo(f"probability {plain.iloc[0]:.4f}")
        if len(others):
            typer.echo(f"enhanced, mean of {len(others)} augmented copies: {others.mean():.4f}")
    typer.echo("Not for clinical use.", err=True)


def _three_numbers(text: str | None) -> tuple[float, float, float]:
    if text is None:
        raise typer.BadParameter("--dicom needs --position-lps X,Y,Z, the lesion's place in mm")
    try:
        x, y, z = (float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise typer.BadParameter(f"--position-lps: {text!r} is not X,Y,Z in mm") from None
    if not all(map(math.isfinite, (x, y, z))):
        raise typer.BadParameter(f"--position-lps: {text!r} is not finite")
    return x, y, z


@app.command(rich_help_panel=TOOLS)
def metrics(
    predictions: Annotated[Path, typer.Argument(metavar="CSV", help="a predictions.csv")],
    threshold: Threshold = 0.5,
    draws: Draws = 2000,
    seed: BootstrapSeed = 1,
    figures: Annotated[Path | None, typer.Option(metavar="DIR", help="also draw curves into this folder")] = None,
    as_json: AsJson = False,
) -> None:
    """Every metric of a predictions table with its intervals, recomputed from the table alone."""
    from lesion_transfer.stages.metrics import metric_figures
    from lesion_transfer.stages.metrics import metrics as tool
    from lesion_transfer.stages.terminal import metrics_tables

    entries = tool(predictions, seed, threshold, draws)
    for file in metric_figures(predictions, figures, seed, threshold) if figures else ():
        typer.echo(f"drawn: {file}", err=True)
    if as_json:
        typer.echo(json.dumps(entries, indent=2, allow_nan=False))
        return
    for shown in metrics_tables(entries):
        Console().print(shown)


@app.command(rich_help_panel=TOOLS)
def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="a predictions.csv")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="another one, of the same findings")],
    subset: Annotated[str | None, typer.Option(help="of both tables; default: test where there is one")] = None,
    replicate: Annotated[int, typer.Option(min=0, help="whose rows of both tables")] = 0,
    threshold: Threshold = 0.5,
    draws: Draws = 2000,
    seed: BootstrapSeed = 1,
    as_json: AsJson = False,
) -> None:
    """Two predictions tables of the same findings: differences with paired intervals over patients, and tests."""
    from lesion_transfer.stages.compare import compare as tool
    from lesion_transfer.stages.terminal import comparison_lines, comparison_table

    found = tool(before, after, seed, subset=subset, replicate=replicate, threshold=threshold, n_draws=draws)
    if as_json:
        typer.echo(json.dumps(found, indent=2, allow_nan=False))
        return
    for name, content in found.items():
        Console().print(comparison_table(name, content))
        for line in comparison_lines(content):
            Console().print(line, highlight=False)


@app.command(rich_help_panel=TOOLS)
def fingerprint(dataset: DatasetName) -> None:
    """What a data set's cohorts are made of: spacing, sizes, intensity, labels, zones, series, what was left out."""
    from lesion_transfer.stages.fingerprint import fingerprint_tables

    console = Console()
    for table in fingerprint_tables(find_layout(), dataset):
        console.print(table)


@app.command(rich_help_panel=TOOLS)
def gradients(
    phase: Annotated[str, typer.Argument(metavar="PHASE", help="a phase that has been trained")],
    out: Annotated[Path, typer.Option(help="the folder to write PNG files to")],
    every: Annotated[str, typer.Option(help="batch, epoch, N epochs (a number), or auto: 20 epochs at most")] = "auto",
) -> None:
    """Draw how gradients flowed through a phase: bars of single batches or epochs, a heat map of all."""
    from lesion_transfer.stages.gradients import gradients as stage

    typer.echo(f"{stage(find_layout(), phase, every, out)} figures written to {out}")


@app.command(rich_help_panel=TOOLS)
def runs(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PHASE]...", help="only these phases")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="as CSV, with whole hashes")] = False,
    members: Annotated[bool, typer.Option("--members", help="also trainings of grids, replicates, arms")] = False,
) -> None:
    """List the MLflow runs: phase, status, learning rate, best validation AUC, and the hash of the model they made."""
    from lesion_transfer.stages.runs import ListedRun, list_runs

    columns = [field.name for field in dataclasses.fields(ListedRun)]
    find_layout()
    rows = [dataclasses.asdict(run) for run in list_runs(names or (), members=members)]
    for name in names or ():
        if not any(row["name"].partition(" ")[0] == name for row in rows):
            typer.echo(f"no run of {name}", err=True)
    if not rows and not names:
        typer.echo(
            "this store has no runs yet: trainings make them (models that are pulled come without theirs)", err=True
        )
    if as_csv:
        writer = csv.DictWriter(sys.stdout, columns)
        writer.writeheader()
        writer.writerows(rows)
        return
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        auc = row["best_validation_auc"]
        short = {"model_sha256": row["model_sha256"][:12], "best_validation_auc": "" if auc is None else f"{auc:.3f}"}
        table.add_row(*({**row, **short}[name] for name in columns))
    Console().print(table)


@app.command(rich_help_panel=TOOLS)
def trace(
    finding_key: Annotated[str, typer.Argument(metavar="FINDING_KEY", help="PATIENT/FID/n, as in findings.csv")],
    as_json: AsJson = False,
) -> None:
    """Say where a finding's patches come from (files, hashes, slice, crop) and which models and runs saw it."""
    from lesion_transfer.stages.runs import runs_of_models
    from lesion_transfer.stages.trace import trace_finding
    from lesion_transfer.stages.trace_view import show_trace

    found = trace_finding(find_layout(), finding_key)
    made_by = runs_of_models([model["model_sha256"] for model in found["models"]])
    for model in found["models"]:
        model["runs"] = made_by.get(model["model_sha256"], [])
    if as_json:
        typer.echo(json.dumps(found, indent=2, allow_nan=False))
    else:
        show_trace(found, Console())


@app.command(rich_help_panel=TOOLS)
def series(dataset: DatasetName) -> None:
    """Say which rows of the published image tables are which channel, by which rule, and which are none."""
    from lesion_transfer.stages.published import published_series

    Console().print(*published_series(find_layout(), dataset), sep="\n")


@app.command(rich_help_panel=TOOLS)
def download(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="prostatex|lungx|brain", help="which published data set")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where to put it; a second call goes on from there")],
    channel: Annotated[list[str] | None, typer.Option(help="only this channel, as t2; may be repeated")] = None,
    patient: Annotated[list[str] | None, typer.Option(help="only this patient; may be repeated")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list series, files and bytes; no network is used")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="with --dry-run: every series, as CSV")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask before the transfer")] = False,
) -> None:
    """Fetch just the series that the cohorts need from the NCI Imaging Data Commons, and say what you have to fetch."""
    from lesion_transfer.stages import download as tool

    if not dry_run:
        _refuse_idle(context, ("as_csv",), "goes with --dry-run")
    console = Console()
    plan = tool.plan_download(dataset, folder, channel or (), patient or ())
    if dry_run and as_csv:
        tool.write_plan(plan)
        return
    failed: dict[str, str] = {}
    if plan.needed:
        tool.show_plan(plan, console)
        if not dry_run:
            yes or typer.confirm("Fetch what is missing?", abort=True, err=True)
            failed = tool.run_download(plan).failed
            console.print(
                *(failed.values() or ["All series are there, whole."]), sep="\n", soft_wrap=True, markup=False
            )
    complete = tool.show_by_hand(plan, console)
    if not dry_run and (failed or not complete):
        raise typer.Exit(1)


add_looking_commands(app)


def main() -> None:
    """The entry point: errors that the user can mend are printed as a sentence; LESION_DEBUG=1 shows the traceback."""
    try:
        app(prog_name="lesion")
    except (LesionError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        if os.environ.get("LESION_DEBUG"):
            raise
        said = f"{error.filename2 or error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        Console(stderr=True).print(Text.assemble(("lesion: ", "bold red"), said), soft_wrap=True)
        sys.exit(1)
