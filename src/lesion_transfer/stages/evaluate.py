"""Stage `evaluate`: before against after on the untouched test subset, and the curves of the whole pipeline."""

from typing import Any

import pandas as pd

from lesion_transfer.cohorts.cohort import load_cohort
from lesion_transfer.evaluation.compare import compare
from lesion_transfer.evaluation.enhanced import ENHANCED, PLAIN, both_predictions, n_copies
from lesion_transfer.evaluation.phases import phases_against
from lesion_transfer.evaluation.predictions import read_predictions, select
from lesion_transfer.evaluation.probabilities import assess_probabilities, subgroup_aucs
from lesion_transfer.evaluation.summary import STREAM
from lesion_transfer.files import write_csv, write_json
from lesion_transfer.randomness import named_generator
from lesion_transfer.reporting.before_after import before_after_figure
from lesion_transfer.reporting.curves import CURVE_METRICS
from lesion_transfer.reporting.global_performance import global_performance_figure
from lesion_transfer.reporting.pictures import to_screen_png_bytes
from lesion_transfer.settings import Settings
from lesion_transfer.stages.layout import Layout, StageError, read_json, require
from lesion_transfer.tracking import tracked_run
from lesion_transfer.transfer.plan import FIRST_PHASE, ancestors


def evaluate(layout: Layout) -> None:
    """Writes reports/evaluation.json and reports/curves.csv."""
    settings = layout.settings()
    asked = settings.evaluation
    histories = pipeline_histories(layout, settings)
    content = _content(layout, settings, list(histories))
    write_json(layout.evaluation, content)
    write_csv(layout.curves, curves(histories))
    params = {"before": asked.before, "after": asked.after, "bootstrap_draws": asked.bootstrap_draws}
    with tracked_run("evaluate", stage="evaluate", params=params, tags={"lesion.verdict": content["verdict"]}) as run:
        run.log_metrics(_flat(content))
        run.log_bytes("figures/before_after.png", to_screen_png_bytes(before_after_figure(content)))
        frozen = [name for name in histories if settings.phases[name].frozen]
        for metric in CURVE_METRICS:
            figure = global_performance_figure(histories, metric, frozen)
            run.log_bytes(f"figures/global_{metric}.png", to_screen_png_bytes(figure))


def _content(layout: Layout, settings: Settings, trained: list[str]) -> dict[str, Any]:
    """reports/evaluation.json: the comparison of the plain predictions, and what else can be asked of the tables."""
    asked, seed = settings.evaluation, settings.seed
    n_draws = asked.bootstrap_draws
    tables = {key: read_phase(layout, phase) for key, phase in (("before", asked.before), ("after", asked.after))}
    test = {key: both_predictions(select(table, subset="test", copy=None)) for key, table in tables.items()}
    plain = {key: found[PLAIN] for key, found in test.items()}
    content = compare(plain["before"], plain["after"], named_generator(seed, *STREAM), n_draws=n_draws)
    content["before"]["phase"], content["after"]["phase"] = asked.before, asked.after
    content["subset"] = "test"
    content["phantom"] = settings.is_phantom(settings.target)
    content["enhanced"] = None
    if all(ENHANCED in found for found in test.values()):
        copies = {key: found[ENHANCED] for key, found in test.items()}
        compared = compare(copies["before"], copies["after"], named_generator(seed, *STREAM), n_draws=n_draws)
        content["enhanced"] = {**compared, "copies": n_copies(tables["after"])}
    validation = {key: table[(table["subset"] == "validation") & (table["copy"] == 0)] for key, table in tables.items()}
    content["probabilities"] = {key: assess_probabilities(plain[key], validation[key], seed, n_draws) for key in tables}
    findings = load_cohort(require(layout.cohort(settings.target), f"lesion cohort {settings.target}")).findings
    zones = dict(zip(findings["finding_key"], findings["zone"], strict=True))
    content["subgroups"] = {key: subgroup_aucs(table, zones, seed, n_draws) for key, table in plain.items()}
    later = [name for name in trained if name != asked.before and settings.phases[name].cohort == settings.target]
    own = {name: select(read_phase(layout, name), subset="test") for name in later}
    content["phases"] = phases_against(plain["before"], own, seed, n_draws)
    return content


def read_phase(layout: Layout, phase: str) -> pd.DataFrame:
    """A phase's predictions of the first replicate, all copies.

    Raises StageError where none is of the test subset, or they are of other images than the cohort has now.
    """
    path = require(layout.predictions(phase), f"lesion transfer {phase}")
    table = select(read_predictions(path), replicate=0, copy=None)
    if not (table["subset"] == "test").any():
        raise StageError(f"{path} has no row of the test subset; run the phase again")
    info = read_json(layout.model(phase) / "model.json", f"lesion transfer {phase}")
    cohort = load_cohort(require(layout.cohort(info["cohort"]), f"lesion cohort {info['cohort']}"))
    if info["images_sha256"] != cohort.images_sha256:
        raise StageError(f"{path.parent} was trained on other images than {cohort.folder} has now; run `dvc repro`")
    return table


def pipeline_histories(layout: Layout, settings: Settings) -> dict[str, pd.DataFrame]:
    """history.csv of the evaluated phase and of all that it descends from, in the order of training."""
    last = settings.evaluation.after
    names = [*reversed(ancestors(last, settings.phases)), last]
    return {name: pd.read_csv(require(layout.model(name) / "history.csv", f"lesion transfer {name}")) for name in names}


def curves(histories: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All epochs of all phases in one table: phase, global_epoch, and the columns of history.csv.

    ds1_full trains on the target with its own decision maker, so its target_* columns are its own scores.
    """
    tables, before = [], 0
    for phase, history in histories.items():
        table = history.copy()
        if phase == FIRST_PHASE:
            own = {name: f"target_{name}" for name in table if str(name).startswith(("train_", "validation_"))}
            table = pd.concat([table, table[list(own)].rename(columns=own)], axis=1)
        table.insert(0, "global_epoch", table["epoch"] + before)
        table.insert(0, "phase", phase)
        before += int(history["epoch"].max())
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _flat(content: dict[str, Any]) -> dict[str, float]:
    """before_auc, after_auc_low, difference_auc_high and the like; undefined ones are left out."""
    return {
        f"{side}_{metric}{'' if part == 'value' else '_' + part}": estimate[part]
        for side in ("before", "after", "difference")
        for metric, estimate in content[side].items()
        if isinstance(estimate, dict)
        for part in ("value", "low", "high")
        if estimate.get(part) is not None
    }
