"""Stage `report`: the HTML page that a researcher shows and the model cards, from what the stages before it wrote."""

from dataclasses import replace

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.files import file_sha256, write_text
from lesion_transfer.reporting.content import CheckRow, ReportContent
from lesion_transfer.reporting.fingerprint import fingerprint_rows
from lesion_transfer.reporting.pictures import Picture
from lesion_transfer.reporting.report import render_report
from lesion_transfer.reporting.standard import with_pictures
from lesion_transfer.settings import Settings
from lesion_transfer.stages.augmented_picture import augmented_picture
from lesion_transfer.stages.evaluate import pipeline_histories
from lesion_transfer.stages.layout import Layout, read_json, require
from lesion_transfer.stages.model_cards import assigned_subsets, mirror_model_cards, write_model_cards
from lesion_transfer.stages.report_findings import findings_sections
from lesion_transfer.stages.report_rows import cohort_row, dataset_row, phase_row
from lesion_transfer.stages.training.training_data import check_augmentation
from lesion_transfer.tracking import baseline_revision, run_page, tracked_run


def report(layout: Layout) -> None:
    """Writes reports/report.html, reports/model_card.md and the cards below reports/model_cards."""
    settings = layout.settings()
    evaluation = read_json(layout.evaluation, "lesion evaluate")
    histories = pipeline_histories(layout, settings)
    content = ReportContent(
        evaluation=evaluation,
        phases=tuple(phase_row(layout, settings, name) for name in histories),
        cohorts=tuple(cohort_row(layout, settings, name, assigned_subsets(layout, name)) for name in settings.cohorts),
        datasets=tuple(dataset_row(settings, name) for name in _datasets(settings)),
        checks=tuple(_check(layout, settings, name) for name in settings.cohorts),
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
                *(layout.predictions(name) for name in histories),
            )
        },
    )
    cards = write_model_cards(layout, settings, evaluation)
    beside = tuple(path.relative_to(layout.report.parent).as_posix() for path in cards)
    content = replace(with_pictures(content, histories), model_cards=beside)
    write_text(layout.report, render_report(content))
    with tracked_run("report", stage="report", params={}, tags={"lesion.verdict": evaluation["verdict"]}) as run:
        made_by = {phase.name: run.find_model(phase.model_sha256) for phase in content.phases}
        pages = {name: run_page(run, run_id) for name, run_id in made_by.items() if run_id}
        linked = replace(content, revision=baseline_revision(), run_pages=pages)
        run.log_bytes("report.html", render_report(linked).encode())
        mirror_model_cards(run, cards)
        for section in content.findings:
            for number, picture in enumerate(section.pictures, start=1):
                run.log_bytes(f"figures/{section.title.lower().replace(' ', '_')}_{number}.png", picture.data)


def _datasets(settings: Settings) -> list[str]:
    return [name for name in settings.datasets if name in {cohort.dataset for cohort in settings.cohorts.values()}]


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
