"""The model cards: of the transfer's last model, and of the reproduction and the challenge where they were trained."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.evaluation.bootstrap import estimates, patient_draws
from lesion_transfer.evaluation.enhanced import ENHANCED, PLAIN, both_predictions, n_copies
from lesion_transfer.evaluation.predictions import labelled, select
from lesion_transfer.evaluation.probabilities import assess_probabilities, subgroup_aucs
from lesion_transfer.evaluation.summary import STREAM
from lesion_transfer.files import file_sha256, write_text
from lesion_transfer.learning.checkpoint import load_model
from lesion_transfer.randomness import named_generator
from lesion_transfer.reporting.content import CohortRow
from lesion_transfer.reporting.model_card import ModelCard, ModelScores, render_model_card
from lesion_transfer.reporting.numbers import estimate_text
from lesion_transfer.reporting.sections import BASELINES
from lesion_transfer.settings import Settings
from lesion_transfer.stages.evaluate import pipeline_histories, read_phase
from lesion_transfer.stages.layout import Layout, read_json, require
from lesion_transfer.stages.report_rows import cohort_row, dataset_row
from lesion_transfer.stages.training.training_data import read_assigned
from lesion_transfer.tracking import TrackedRun

REPRODUCTION, CHALLENGE = "reproduction", "challenge"


def write_model_cards(layout: Layout, settings: Settings, evaluation: dict[str, Any]) -> dict[Path, ModelCard]:
    """Writes the cards and returns them by file."""
    cards = {layout.model_card(None): _transfer_card(layout, settings, evaluation)}
    cards |= {layout.model_card(card.name): card for card in chapter_5_cards(layout, settings)}
    for left in layout.model_card("any").parent.glob("*.md"):
        left.unlink()
    for path, card in cards.items():
        write_text(path, render_model_card(card))
    return cards


def chapter_5_cards(layout: Layout, settings: Settings) -> list[ModelCard]:
    """Of the reproduction and the challenge, as far as they were trained."""
    cards = [_reproduction_card(layout, settings)] if layout.model(REPRODUCTION).is_dir() else []
    if settings.challenge and layout.model(CHALLENGE).is_dir():
        cards.append(_challenge_card(layout, settings))
    return cards


def mirror_model_cards(run: TrackedRun, cards: dict[Path, ModelCard]) -> None:
    """Every card in this run, and beside its model in the run that made it, where that is in this store."""
    for path, card in cards.items():
        content = path.read_bytes()
        run.log_bytes(f"model_cards/{card.name}.md", content)
        if made_in := run.find_model(card.model_sha256[-1]):
            replace(run, run_id=made_in).log_bytes("model/model_card.md", content)


def assigned_subsets(layout: Layout, cohort: str) -> dict[str, int]:
    """Findings of a cohort by subset of the pipeline's split."""
    return _counts(read_assigned(layout, cohort).drop_duplicates("finding_key")["subset"])


def _transfer_card(layout: Layout, settings: Settings, evaluation: dict[str, Any]) -> ModelCard:
    phase, before = settings.evaluation.after, settings.evaluation.before
    table = read_phase(layout, phase)
    histories = pipeline_histories(layout, settings)
    cohorts = list(dict.fromkeys(settings.phases[name].cohort for name in histories))
    rows = {name: cohort_row(layout, settings, name, assigned_subsets(layout, name)) for name in cohorts}
    baselines = read_json(layout.baselines, "lesion baselines")
    beside = [(f"before the transfer ({before})", estimate_text(evaluation["before"]["auc"]))]
    for name, label in BASELINES.items():
        entry = baselines[name]
        text = estimate_text(entry["test"]) if entry["available"] else f"not available: {entry['reason']}"
        beside.append((f"baseline: {label}", text))
    ledger = read_json(layout.ledger, "lesion ledger")
    card = _card(layout, settings, phase, [rows[name] for name in cohorts], layout.model(phase), settings.target)
    return replace(
        card,
        made_by=f"The best epoch of `{phase}`, the last of {len(histories)} phases: {' -> '.join(histories)}.",
        hyperparameters=read_json(layout.model(phase) / "model.json", f"lesion transfer {phase}")["hyperparameters"],
        tested=_scores(layout, settings, table, settings.target),
        selected_on=read_json(layout.metrics(phase), f"lesion transfer {phase}")["validation_selected_on"],
        comparisons=beside,
        verdicts=(
            (f"Against `{before}` on the same test findings", evaluation["verdict"]),
            ("The ledger, of the same phases trained anew in outer folds", ledger["verdict"]),
        ),
        caveats=(
            "One training on one split: another seed or other patients give another model.",
            "The baselines tell how much of the AUC needs no image; a number near theirs shows no reading of images.",
        ),
        sources=_sources(
            layout, [layout.predictions(phase), layout.evaluation, layout.baselines, layout.ledger], cohorts
        ),
    )


def _reproduction_card(layout: Layout, settings: Settings) -> ModelCard:
    name, cohort = REPRODUCTION, settings.reproduction.cohort
    table = read_phase(layout, name)
    summary = read_json(layout.metrics(name), "lesion reproduction")
    subsets = _counts(table.loc[table["copy"] == 0, "subset"])
    row = cohort_row(layout, settings, cohort, subsets)
    thesis = summary["thesis"]
    return replace(
        _card(layout, settings, name, [row], layout.model(name), cohort),
        made_by="The best epoch of one training on stacked sequences (thesis chapter 5), from the best of "
        f"{settings.reproduction.roulette_n} random initialisations.",
        hyperparameters=settings.reproduction_hyperparameters().model_dump(mode="json"),
        tested=_scores(layout, settings, table, cohort),
        selected_on=summary["validation_selected_on"],
        comparisons=(
            ("the thesis, enhanced, 5.2.4", f"{thesis['test_auc_enhanced']} (its hyperparameters were searched on it)"),
        ),
        caveats=("One training on one split: another seed or other patients give another model.",),
        sources=_sources(layout, [layout.predictions(name)], [cohort]),
    )


def _challenge_card(layout: Layout, settings: Settings) -> ModelCard:
    (test_cohort,) = settings.challenge
    cohort = settings.reproduction.cohort
    trained = load_cohort(require(layout.cohort(cohort), f"lesion cohort {cohort}")).info
    row = cohort_row(layout, settings, cohort, {"train": trained["n_positive"] + trained["n_negative"]})
    test = cohort_row(layout, settings, test_cohort, {})
    asked = settings.challenge[test_cohort]
    models = [layout.challenge_model(epoch, n) for n in range(asked.replicates) for epoch in asked.keep_epochs]
    trainings = f", of {asked.replicates} trainings" if asked.replicates > 1 else ""
    return replace(
        _card(layout, settings, CHALLENGE, [row], models[-1], test_cohort),
        made_by="The network of the reproduction trained on all labelled findings without validation (thesis 5.3); a "
        f"model each of epochs {', '.join(str(epoch) for epoch in asked.keep_epochs)}{trainings}.",
        files=[_relative(layout, folder) for folder in models],
        model_sha256=[load_model(folder)[1]["model_sha256"] for folder in models],
        cohort=test,
        datasets=[dataset_row(settings, name) for name in dict.fromkeys((row.dataset, test.dataset))],
        hyperparameters=settings.challenge_hyperparameters(test_cohort).model_dump(mode="json"),
        best_epoch=None,
        test_note=f"The published test findings of `{test_cohort}`: {test.n_findings} with usable images; the others "
        "get the share of positives in training. `reports/challenge/` has the probabilities, `reports/challenge.json` "
        "who was filled.",
        caveats=("Nothing chose the epochs: there is no validation subset. The challenge alone can score them.",),
        sources=_sources(layout, [layout.cohort(test_cohort) / "findings.csv"], [cohort, test_cohort]),
    )


def _card(
    layout: Layout, settings: Settings, name: str, training: list[CohortRow], folder: Path, cohort: str
) -> ModelCard:
    """What model.json and the settings say of a model whose lesions are those of `cohort`."""
    network, info = load_model(folder)
    return ModelCard(
        name=name,
        made_by="",
        files=[_relative(layout, folder)],
        model_sha256=[info["model_sha256"]],
        architecture=info["network"]["architecture"],
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        channels=info["channels"],
        patch_pixels=info["patch_pixels"],
        cohort=training[0],
        target=settings.cohorts[cohort].model_dump(mode="json", exclude_none=True),
        training=training,
        datasets=[dataset_row(settings, one) for one in dict.fromkeys(row.dataset for row in training)],
        hyperparameters={},
        seed=settings.seed,
        best_epoch=info.get("best_epoch"),
        near_duplicates_sought=settings.split.near_duplicate_bits is not None,
        lineage=info.get("lineage", ()),
    )


def _scores(layout: Layout, settings: Settings, table: pd.DataFrame, cohort: str) -> ModelScores:
    """Of a predictions table, all copies; the same draws of patients as in reports/evaluation.json."""
    seed, n_draws = settings.seed, settings.evaluation.bootstrap_draws
    test = both_predictions(select(table, subset="test", copy=None))
    known = {kind: labelled(one) for kind, one in test.items()}
    found = {}
    for kind, one in known.items():
        draws = patient_draws(one["patient_id"].to_numpy(), named_generator(seed, *STREAM), n_draws)
        found[kind] = {name: estimate.to_dict() for name, estimate in estimates(one, draws).items()}
    findings = load_cohort(require(layout.cohort(cohort), f"lesion cohort {cohort}")).findings
    zones = dict(zip(findings["finding_key"], findings["zone"], strict=True))
    validation = table[(table["subset"] == "validation") & (table["copy"] == 0)]
    return ModelScores(
        plain=found[PLAIN],
        enhanced=found.get(ENHANCED),
        copies=n_copies(table),
        probabilities=assess_probabilities(test[PLAIN], validation, seed, n_draws),
        subgroups=subgroup_aucs(test[PLAIN], zones, seed, n_draws),
        n_draws=n_draws,
    )


def _sources(layout: Layout, files: Sequence[Path], cohorts: Sequence[str]) -> dict[str, str]:
    images = [layout.cohort(cohort) / "images.npy" for cohort in cohorts]
    return {_relative(layout, path): file_sha256(path) for path in (*files, *images)}


def _relative(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _counts(subsets: pd.Series) -> dict[str, int]:
    return {str(name): int(n) for name, n in subsets.value_counts().items()}
