"""The content of reports/ledger.json: every arm, what it is compared with, and one sentence of verdict."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from lesion_transfer.evaluation.bootstrap import CONFIDENCE, FEW
from lesion_transfer.evaluation.compare import CANNOT_BE_TOLD, HARMED, HELPED
from lesion_transfer.evaluation.independent import holm
from lesion_transfer.evaluation.ledger import (
    CellScores,
    OuterTable,
    cell_scores,
    estimate,
    outer_table,
    stratified_patient_draws,
)
from lesion_transfer.evaluation.predictions import PredictionsError

BEFORE = "before"
MIN_FOLDS, MIN_REPEATS = 5, 2
"""With less the ledger gives no verdict: too few trainings."""
POWER = 0.8
LESIONS_FORMULA = (
    "n * (w / (2 z_c) * (z_c + z_p) / d)^2, rounded up: n labelled lesions, w the width of the wider interval, z_c the "
    "normal quantile of its two-sided confidence, z_p that of a power of 80 %, d the smallest difference of interest"
)


def ledger_content(
    arms: Mapping[str, Mapping[str, pd.DataFrame]],
    reference: str,
    smallest_difference: float,
    generator: np.random.Generator,
    n_draws: int,
    confidence: float = CONFIDENCE,
    on_target_alone: Collection[str] = (),
    validation_share: float = 0.0,
) -> dict[str, Any]:
    """Ready for JSON; `arms` has a predictions table by arm and phase, the phases in order, the first arm in question.

    Before is an arm's first phase, after its last. All differences are taken within outer folds and come from the same
    draws of patients. `arms`: after minus before; `controls`: the first arm's after minus that of each other arm;
    `phases`: each phase of the first arm minus its first. p_holm is adjusted within each of the three. on_target_alone:
    the arms that train on no other cohort. validation_share: of the patients outside a fold, who train no weight.
    Raises PredictionsError where tables do not cover the same findings in the same folds.
    """
    tables = {arm: {phase: outer_table(table) for phase, table in phases.items()} for arm, phases in arms.items()}
    names = list(tables)
    one = _same_cells(tables)
    draws = stratified_patient_draws(one.patients, one.labels, generator, n_draws)
    cells = {arm: {phase: cell_scores(table, draws) for phase, table in own.items()} for arm, own in tables.items()}
    repeats = np.array([repeat for repeat, _ in one.cells])
    n_folds = len(np.unique(one.fold))

    def estimated(scores: CellScores) -> dict[str, Any]:
        return estimate(scores, repeats, n_folds, confidence, validation_share).to_dict()

    ends = {arm: (next(iter(own)), list(own)[-1]) for arm, own in cells.items()}
    before = {arm: cells[arm][first] for arm, (first, _) in ends.items()}
    after = {arm: cells[arm][last] for arm, (_, last) in ends.items()}
    differences = _with_holm({arm: estimated(after[arm] - before[arm]) for arm in names})
    controls = _with_holm({arm: estimated(after[names[0]] - after[arm]) for arm in names[1:]})
    first, *later = cells[names[0]]
    content: dict[str, Any] = {
        "arm_order": names,
        "arms": {
            arm: {
                "phases": list(cells[arm]),
                "before": {"phase": ends[arm][0], **estimated(before[arm])},
                "after": {"phase": ends[arm][1], **estimated(after[arm])},
                "difference": differences[arm],
            }
            for arm in names
        },
        "controls": controls,
        "phases": _with_holm({phase: estimated(cells[names[0]][phase] - cells[names[0]][first]) for phase in later}),
        "reference": reference,
        "on_target_alone": [arm for arm in names[1:] if arm in on_target_alone],
        "n": len(one.labels),
        "n_positive": int(one.labels.sum()),
        "n_patients": len(np.unique(one.patients)),
        "n_folds": n_folds,
        "n_repeats": len(one.fold),
        "n_draws": n_draws,
        "confidence": confidence,
        "smallest_difference": smallest_difference,
        "lesions_formula": LESIONS_FORMULA,
    }
    content["primary"] = differences[names[0]] if reference == BEFORE else controls[reference]
    content["lesions_needed"] = (
        None
        if _too_little(content)
        else lesions_needed(content["primary"], content["n"], smallest_difference, confidence)
    )
    return content | {"conclusion": conclusion(content), "verdict": verdict(content)}


def lesions_needed(
    difference: Mapping[str, Any], n: int, smallest_difference: float, confidence: float = CONFIDENCE
) -> int | None:
    """How many lesions would tell `smallest_difference` (see LESIONS_FORMULA); None where nothing can tell it.

    That is so where an interval is missing, or neither has a width.

    Taken from the width alone, not from the difference that was found: that one is the result. Assumes that an
    interval narrows with the root of n, with as many positives and findings a patient as here.
    """
    names = (("low", "high"), ("low_trainings", "high_trainings"))
    bounds = [(difference[low], difference[high]) for low, high in names]
    widths = [high - low for low, high in bounds if low is not None]
    if len(widths) < len(bounds) or not any(widths):
        return None
    z_confidence, z_power = stats.norm.ppf((1 + confidence) / 2), stats.norm.ppf(POWER)
    error = max(widths) / (2 * z_confidence)
    return math.ceil(n * (error * (z_confidence + z_power) / smallest_difference) ** 2)


def conclusion(content: Mapping[str, Any]) -> str:
    """HELPED or HARMED where both intervals, over patients and over trainings, lie on that side of 0.

    CANNOT_BE_TOLD otherwise, and always with under MIN_FOLDS folds, MIN_REPEATS repeats or FEW findings of a class.
    """
    found = content["primary"]
    bounds = [found[name] for name in ("low", "low_trainings", "high", "high_trainings")]
    if _too_little(content) or None in bounds:
        return CANNOT_BE_TOLD
    if min(bounds[:2]) > 0:
        return HELPED
    return HARMED if max(bounds[2:]) < 0 else CANNOT_BE_TOLD


def verdict(content: Mapping[str, Any]) -> str:
    """One sentence with the numbers and n."""
    found = conclusion(content)
    start = f"Whether transfer helped {found}" if found == CANNOT_BE_TOLD else f"Transfer {found}"
    arm, reference, primary = content["arm_order"][0], content["reference"], content["primary"]
    counts = (
        f"{content['n']} findings, {content['n_positive']} positive, {content['n_patients']} patients, "
        f"{content['n_folds']} folds x {content['n_repeats']} repeats"
    )
    if primary["value"] is None:
        return f"{start}: the AUC is not defined within any fold ({counts})."
    ends = content["arms"][arm]
    changed = (
        f"the AUC of {arm} changed from {ends['before']['phase']} to {ends['after']['phase']} by"
        if reference == BEFORE
        else f"the AUC of {arm} minus that of {reference} is"
    )
    intervals = ", ".join(
        f"{primary[low]:+.3f} to {primary[high]:+.3f} over {over}"
        for over, low, high in (("patients", "low", "high"), ("trainings too", "low_trainings", "high_trainings"))
        if primary[low] is not None
    )
    shown = f"; {content['confidence']:.0%} intervals {intervals}" if intervals else ""
    reasons = f"; {reason}" if (reason := _too_little(content)) else ""
    ending = _outlook(content) if found == CANNOT_BE_TOLD else _beside_controls(content)
    return f"{start}: within folds {changed} {primary['value']:+.3f} ({counts}{shown}{reasons}){ending}."


def _outlook(content: Mapping[str, Any]) -> str:
    primary, needed, difference = content["primary"], content["lesions_needed"], content["smallest_difference"]
    if primary["low"] is not None and primary["low"] == primary["high"] == 0:
        return "; both sides rank all findings alike, as two equal models do"
    if needed is None:
        return ""  # no difference could have been told
    if needed > content["n"]:
        return f"; to tell a difference of {difference:g} would take about {needed:,} lesions"
    return f"; a difference of {difference:g} would have been told with a power of {POWER:.0%}"


def _beside_controls(content: Mapping[str, Any]) -> str:
    """What a change since before is made of besides the other body parts: the target is trained on for longer, too."""
    if content["reference"] != BEFORE:
        return ""
    start = "; further training on the target is part of it"
    controls = {arm: content["controls"][arm] for arm in content["on_target_alone"]}
    if not controls:
        return f"{start}, and no control arm (ledger.arms) says how large a part"
    against = ", ".join(
        f"{found['value']:+.3f} against {arm} ({found['low']:+.3f} to {found['high']:+.3f} over patients)"
        for arm, found in controls.items()
        if found["low"] is not None
    )
    return f"{start}: of arms that have that alone, the difference is {against}"


def _too_little(content: Mapping[str, Any]) -> str:
    """What is too little for a verdict, or nothing."""
    asked = (
        (content["n_folds"], MIN_FOLDS, "folds"),
        (content["n_repeats"], MIN_REPEATS, "repeats"),
        (content["n_positive"], FEW, "positives"),
        (content["n"] - content["n_positive"], FEW, "negatives"),
    )
    return ", ".join(f"too few {name} ({n} < {least})" for n, least, name in asked if n < least)


def _with_holm(estimates: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each with p_holm, adjusted over those whose p is defined."""
    defined = [name for name, found in estimates.items() if found["p"] is not None]
    adjusted = dict(zip(defined, holm([estimates[name]["p"] for name in defined]), strict=True)) if defined else {}
    return {name: found | {"p_holm": adjusted.get(name)} for name, found in estimates.items()}


def _same_cells(tables: Mapping[str, Mapping[str, OuterTable]]) -> OuterTable:
    """One of the tables; raises PredictionsError where another has other findings, labels, patients or folds."""
    listed = [(arm, phase, table) for arm, own in tables.items() for phase, table in own.items()]
    first = listed[0][2]
    for arm, phase, table in listed:
        for name in ("findings", "labels", "patients", "fold"):
            if not np.array_equal(getattr(table, name), getattr(first, name)):
                raise PredictionsError(
                    f"The predictions of {phase} in arm {arm} have other {name} than those of {listed[0][1]} in arm "
                    f"{listed[0][0]}; run the ledger again."
                )
    return first
