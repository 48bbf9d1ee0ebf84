"""The report's sections on what the numbers are worth: baselines, probabilities, subgroups, single lesions."""

from collections.abc import Mapping, Sequence
from typing import Any

from lesion_transfer.evaluation.independent import LABEL
from lesion_transfer.reporting.aucs import AucRow, auc_figure
from lesion_transfer.reporting.content import Section
from lesion_transfer.reporting.discrimination import (
    ScoredFindings,
    calibration_figure,
    confusion_figure,
    discrimination_figure,
)
from lesion_transfer.reporting.lesion_pictures import LesionPicture, lesions_figure
from lesion_transfer.reporting.numbers import estimate_text
from lesion_transfer.reporting.pictures import Picture, to_png_bytes

SIDES = ("before", "after")
BASELINES = {
    "zone": "zone",
    "zone_position": "zone, position",
    "zone_position_count_number": "zone, position, number, count (leak)",
    "svm_patch": "support vectors, 5 mm",
    "intensity": "intensities",
}


def baselines_section(baselines: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Section:
    """The network's AUC on the test subset beside baselines that were fitted on everything but it."""
    rows = [AucRow(f"network, {evaluation[side]['phase']}", evaluation[side]["auc"], strong=True) for side in SIDES]
    table = [("baseline", "test AUC", "AUC of the outer folds", "what it is")]
    for name, label in BASELINES.items():
        entry = baselines[name]
        note = "" if entry["available"] else f"not available: {entry['reason']}"
        rows.append(AucRow(label, entry["test"], note=note))
        table.append(
            (label, estimate_text(entry["test"]), estimate_text(entry["cross_validated"]), note or entry["description"])
        )
    for cohort, shortcuts in baselines["shortcuts"].items():
        if not any(entry["available"] for entry in shortcuts.values()):
            continue  # a cohort without labels
        for name, entry in shortcuts.items():
            note = f"not available: {entry['reason']}" if not entry["available"] else entry["description"]
            row = (
                f"{cohort}: {name.replace('_', ' ')}",
                estimate_text(entry["test"]),
                estimate_text(entry["cross_validated"]),
            )
            table.append((*row, f"shortcut, {note}"))
    figure = auc_figure(rows, f"{baselines['cohort']}, test subset")
    alt = "; ".join(f"{row.label} {estimate_text(row.found)}" for row in rows)
    return Section(
        "Beside the baselines",
        "What is reached without the network, on the same test findings and in the same folds of patients. The number "
        "of a finding and the count of a patient's findings tell how the data were collected; no model here sees them. "
        "A shortcut is what an image gives away without its lesion: a network may have learnt it too.",
        tuple(table),
        "AUC with its 95% interval over patients; an outer fold is predicted by a model of the other folds.",
        (Picture(to_png_bytes(figure), f"AUCs with intervals: {alt}.", "Circles: the network; squares: baselines."),),
    )


def probabilities_section(evaluation: Mapping[str, Any], scored: Mapping[str, ScoredFindings]) -> Section:
    """Discrimination, calibration, decision curve and confusion on the test subset; scored by side."""
    found = evaluation["probabilities"]
    named = {f"{side} ({evaluation[side]['phase']})": scored[side] for side in SIDES}
    table = [("", *named)]
    for key, label in (
        ("brier", "Brier score"),
        ("ece", "calibration error (ECE)"),
        ("temperature", "temperature, fitted on validation"),
        ("brier_calibrated", "Brier score after it"),
        ("ece_calibrated", "calibration error after it"),
        ("operating_point", "operating point, fitted on validation"),
    ):
        table.append((label, *(_value(found[side].get(key)) for side in SIDES)))
    for metric in ("recall", "specificity", "balanced_accuracy"):
        at = [(found[side].get("at_operating_point") or {}).get(metric) for side in SIDES]
        table.append((f"{metric.replace('_', ' ')} at the operating point", *(estimate_text(one) for one in at)))
    pictures = []
    if all(one.has_both_classes for one in scored.values()):
        pictures.append(
            Picture(
                to_png_bytes(discrimination_figure(named, "test subset")),
                "ROC curves, and precision over recall, before and after transfer, with bands.",
                "Bands are pointwise 95% over draws of patients; dotted: chance.",
            )
        )
    pictures.append(
        Picture(
            to_png_bytes(calibration_figure(named, "test subset")),
            "Share of positives over predicted probability, and net benefit over the threshold, before and after.",
            f"Left: bins of a tenth with Wilson's intervals ({LABEL}), before temperature scaling. Right: hits minus "
            "false alarms weighed by the threshold; dotted: calling every finding positive.",
        )
    )
    matrices = {}
    for side in SIDES:
        matrices[side] = found[side]["confusion"]
        if "confusion_at_operating_point" in found[side]:
            matrices[f"{side}, operating point"] = found[side]["confusion_at_operating_point"]
    pictures.append(
        Picture(
            to_png_bytes(confusion_figure(matrices, "Test findings by truth and call")),
            "; ".join(
                f"{name}: {one['true_positive']} true positive, {one['false_negative']} false negative, "
                f"{one['false_positive']} false positive, {one['true_negative']} true negative"
                for name, one in matrices.items()
            ),
            "Rows: the truth; columns: the call from the threshold above on.",
        )
    )
    return Section(
        "What the probabilities are worth",
        "Temperature and operating point come from the validation subset, everything shown from the test subset.",
        tuple(table),
        "With 95% intervals over patients.",
        tuple(pictures),
    )


def other_questions_section(evaluation: Mapping[str, Any]) -> Section:
    """Enhanced predictions, DeLong, and every phase on the target with Holm's correction, in one table."""
    beside = evaluation["independent"]["difference"]["auc"]
    difference = evaluation["difference"]["auc"]
    table = [("question", "difference of the AUC", "p", "p after Holm")]
    table.append(
        ("after minus before, patients", estimate_text(difference, with_sign=True), _p(evaluation["p_value_auc"]), "")
    )
    table.append((f"the same by DeLong, {LABEL}", estimate_text(beside, with_sign=True), _p(beside["p_value"]), ""))
    if enhanced := evaluation["enhanced"]:
        label = f"the same, mean of {enhanced['copies']} augmented copies of a finding"
        table.append(
            (label, estimate_text(enhanced["difference"]["auc"], with_sign=True), _p(enhanced["p_value_auc"]), "")
        )
    for phase, entry in evaluation["phases"].items():
        label = f"{phase} minus {evaluation['before']['phase']}"
        table.append(
            (label, estimate_text(entry["difference"], with_sign=True), _p(entry["p_value"]), _p(entry["p_value_holm"]))
        )
    return Section(
        "The same question asked otherwise",
        "The interval over patients above is the answer; these stand beside it.",
        tuple(table),
        "Paired bootstrap of patients unless it says otherwise; Holm over the phases that were trained on the target.",
    )


def subgroups_section(evaluation: Mapping[str, Any]) -> Section:
    """AUC by zone and of whole patients."""
    rows = [
        AucRow(f"{name}, {side}", found, strong=side == "after")
        for name in evaluation["subgroups"]["after"]
        for side in SIDES
        for found in [evaluation["subgroups"][side][name]]
    ]
    figure = auc_figure(rows, "Test subset by zone, and patients as wholes")
    alt = "; ".join(f"{row.label} {estimate_text(row.found)}" for row in rows)
    return Section(
        "Subgroups",
        "A patient counts as positive with any positive finding, and scores as its highest finding.",
        pictures=(Picture(to_png_bytes(figure), f"AUCs with intervals: {alt}.", "Circles: after; squares: before."),),
    )


def lesions_section(mistakes: Sequence[LesionPicture], right: Sequence[LesionPicture], phase: str) -> Section:
    """Test lesions of the model after transfer, with occlusion maps."""
    pictures = []
    for lesions, title in ((mistakes, "The most confident mistakes"), (right, "The most confident right answers")):
        if lesions:
            names = "; ".join(
                f"{one.finding_key}, {'positive' if one.label else 'negative'}, p {one.probability:.2f}"
                for one in lesions
            )
            pictures.append(
                Picture(
                    to_png_bytes(lesions_figure(lesions, title)),
                    f"{title}: {names}.",
                    "Above: the patch, first channel. Below: by how much the probability of a positive falls when the "
                    "pixels are hidden (red) or rises (blue).",
                )
            )
    return Section("Single test lesions", f"As the model of {phase} read them.", pictures=tuple(pictures))


def _value(found: Any) -> str:
    if found is None:
        return "not defined: one class"
    return estimate_text(found) if isinstance(found, Mapping) else f"{found:.3f}"


def _p(value: float | None) -> str:
    return "not defined" if value is None else "below 0.001" if value < 0.001 else f"{value:.3f}"
