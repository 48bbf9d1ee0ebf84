"""Stage `outer`: the outer folds of the ledger, assigned once: every patient of the target is tested once a repeat."""

from lesion_transfer.cohorts.splits import assign_outer_folds
from lesion_transfer.files import write_csv
from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.split import dataset_rows


def outer(layout: Layout) -> None:
    """Writes data/outer_folds.csv from the findings of every cohort of the target's data set."""
    settings = layout.settings()
    asked = settings.ledger
    rows = dataset_rows(layout, settings, settings.dataset_of(settings.target))
    write_csv(
        layout.outer_folds,
        assign_outer_folds(rows, asked.repeats, asked.folds, asked.validation_share, settings.seed),
    )
