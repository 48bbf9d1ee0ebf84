"""Stage `report`: the HTML page that a researcher shows, from what the stages before it wrote."""

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.files import file_sha256, write_text
from lesion_transfer.reporting.content import CheckRow, CohortRow, DatasetRow, PhaseRow, ReportContent
from lesion_transfer.reporting.fingerprint import fingerprint_rows
from lesion_transfer.reporting.pictures import Picture
from lesion_transfer.reporting.report import render_report
from lesion_transfer.reporting.standard import with_pictures
from lesion_transfer.settings import Settings
from lesion_transfer.stages.augmented_picture import augmented_picture
from lesion_transfer.stages.evaluate import pipeline_histories
from lesion_transfer.stages.layout import Layout, read_json, require
from lesion_transfer.stages.report_findings import findings_sections
from lesion_transfer.stages.training_data import check_augmentation, read_assigned
from lesion_transfer.tracking import tracked_run
from lesion_transfer.transfer.plan import FIRST_PHASE

SOURCES = {
    "prostatex": (
        "CC BY 3.0",
        "Litjens G, Debats O, Barentsz J, Karssemeijer N, Huisman H. PROSTATEx Challenge data. TCIA, 2017.",
        "https://doi.org/10.7937/K9TCIA.2017.MURS5CL",
    ),
    "lungx": (
        "CC BY 3.0",
        "Armato SG III et al. SPIE-AAPM-NCI Lung Nodule Classification Challenge Dataset. TCIA, 2015.",
        "https://doi.org/10.7937/K9/TCIA.2015.UZLSU3FL",
    ),
    "brain": ("unknown: do not redistribute", "Brain MRI Images for Brain Tumor Detection, Kaggle.", ""),
    "patch_archive": ("that of the archive", "", ""),
}
"""Licence, citation and address by kind of data set."""


def report(layout: Layout) -> None:
    """Writes reports/report.html."""
    settings = layout.settings()
    evaluation = read_json(layout.evaluation, "lesion evaluate")
    histories = pipeline_histories(layout, settings)
    used = {settings.phases[name].cohort for name in histories}
    content = ReportContent(
        evaluation=evaluation,
        phases=tuple(_phase(layout, settings, name) for name in histories),
        cohorts=tuple(_cohort(layout, settings, name) for name in settings.cohorts if name in used),
        datasets=tuple(_dataset(settings, name) for name in _datasets(settings, used)),
        checks=tuple(_check(layout, settings, name) for name in settings.cohorts if name in used),
        ledger=read_json(layout.ledger, "lesion ledger"),
        target=settings.target,
        findings=findings_sections(layout, settings, evaluation),
        settings=settings.model_dump(mode="json"),
        sources={
            path.relative_to(layout.root).as_posix(): file_sha256(path)
            for path in (
                layout.evaluation,
                layout.baselines,
                layout.ledger,
                *(layout.model(settings.phases[name].name) / "predictions.csv" for name in histories),
            )
        },
    )
    html = render_report(with_pictures(content, histories))
    write_text(layout.report, html)
    with tracked_run("report", stage="report", params={}, tags={"lesion.verdict": evaluation["verdict"]}) as run:
        run.log_bytes("report.html", html.encode())
        for section in content.findings:
            for number, picture in enumerate(section.pictures, start=1):
                run.log_bytes(f"figures/{section.title.lower().replace(' ', '_')}_{number}.png", picture.data)


def _datasets(settings: Settings, cohorts: set[str]) -> list[str]:
    return [name for name in settings.datasets if name in {settings.dataset_of(cohort) for cohort in cohorts}]


def _phase(layout: Layout, settings: Settings, name: str) -> PhaseRow:
    phase, options = settings.phases[name], settings.hyperparameters(name)
    made_by = "lesion train" if name == FIRST_PHASE else f"lesion transfer {name}"
    metrics = read_json(layout.metrics(name), made_by)
    selected_on = metrics["validation_selected_on"]
    return PhaseRow(
        name=name,
        cohort=phase.cohort,
        start=phase.start or "roulette",
        decision_maker=phase.decision_maker,
        frozen=phase.frozen,
        lr=options.lr,
        batch_size=options.batch_size,
        dropout=options.dropout,
        epochs=options.epochs,
        best_epoch=metrics["best_epoch"],
        validation_auc=selected_on.get("auc"),
        validation_balanced_accuracy=selected_on.get("balanced_accuracy"),
        model_sha256=metrics["model_sha256"],
    )


def _cohort(layout: Layout, settings: Settings, name: str) -> CohortRow:
    info = load_cohort(require(layout.cohort(name), f"lesion cohort {name}")).info
    subsets = read_assigned(layout, name)["subset"].value_counts()
    return CohortRow(
        name=name,
        dataset=settings.dataset_of(name),
        channels=tuple(info["channels"]),
        n_findings=info["n_findings"],
        n_positive=info["n_positive"],
        n_negative=info["n_negative"],
        n_patients=info["n_patients"],
        excluded=info["n_excluded"],
        subsets={name: int(subsets[name]) for name in ("train", "validation", "test") if name in subsets},
    )


def _check(layout: Layout, settings: Settings, name: str) -> CheckRow:
    content = read_json(layout.check(name), f"lesion check {name}")
    folder = require(layout.check_pictures(name), f"lesion check {name}")
    cohort = load_cohort(require(layout.cohort(name), f"lesion cohort {name}"))
    augmented = check_augmentation(cohort, settings)
    return CheckRow(
        name=name,
        red_dots=content["red_dots"],
        faulty_patches=content["faulty_patches"],
        patients_joined=content["near_duplicates"]["patients_joined"],
        augmented_error_px=augmented.error_px,
        fingerprint=tuple(fingerprint_rows(content["fingerprint"])),
        pictures=(
            Picture(
                (folder / "red_dots.png").read_bytes(),
                f"Montage of patches of {name}, each with a red dot in its centre.",
                f"{name}: red where the dot landed that was drawn at the lesion in the full slice before all "
                "processing; a third of them are the worst, with the larger error of their dots behind the name.",
            ),
            Picture(
                (folder / "alignment.png").read_bytes(),
                f"Montage of {name}: the whole slice of each finding, then its patch in every channel.",
                f"{name}: what the network is shown, beside the whole slice of its first channel with the patch's "
                "outline; of two or three channels also an overlay.",
            ),
            Picture(
                augmented_picture(cohort, augmented),
                f"Montage of augmented patches of {name}, each with a red dot where its cross is.",
                f"{name}: patches as a training draws them, the dot of the lesion sent along; the cross is where it "
                "should be by the drawn parameters.",
            ),
        ),
    )


def _dataset(settings: Settings, name: str) -> DatasetRow:
    options = settings.datasets[name]
    phantom = options.source == "phantom"
    licence, citation, url = ("generated by this project (MIT)", "", "") if phantom else SOURCES[options.kind]
    return DatasetRow(name, options.kind, phantom, licence, citation, url)
