"""Results as tables for a terminal; the numbers are those of the JSON beside them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from lesion_transfer.reporting.style import metric_label


def metrics_tables(entries: Sequence[Mapping[str, Any]]) -> Iterator[Table | str]:
    """A table a group of `evaluation.summary.summarise`, or a sentence where a group has no metric."""
    for entry in entries:
        fold = "" if entry["fold"] is None else f", fold {entry['fold']}"
        baseline = f"baseline {entry['baseline']}, " if entry["baseline"] else ""
        title = f"{baseline}{entry['cohort']}, {_subset(entry['subset'])}, replicate {entry['replicate']}{fold}: " + (
            "plain predictions"
            if entry["prediction"] == "plain"
            else f"mean of {entry['copies']} augmented copies of each finding"
        )
        if not entry["metrics"]:
            yield f"{title}: {entry['note']} ({entry['n_unlabelled']} findings)."
            continue
        table = _table(title, "metric", "value", _patients(entry), entry["independent_label"])
        for name, found in entry["metrics"].items():
            beside = entry["independent"].get(name)
            table.add_row(metric_label(name), _number(found["value"]), _interval(found), _interval(beside))
        table.caption = _caption(entry["metrics"], entry)
        yield table


def comparison_table(name: str, content: Mapping[str, Any]) -> Table:
    """Before, after and their difference of one comparison (`evaluation.compare.compare`)."""
    table = _table(
        f"{name} predictions, {_subset(content['subset'])}, replicate {content['replicate']}",
        *("metric", "before", "after", "after minus before", _patients(content)),
    )
    for metric, found in content["difference"].items():
        sides = (_number(content[side][metric]["value"]) for side in ("before", "after"))
        table.add_row(metric_label(metric), *sides, _number(found["value"], "+.3f"), _interval(found, "+.3f"))
    table.caption = _caption(content["difference"], content)
    return table


def comparison_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """The tests of the AUC's difference, then the verdict."""
    beside = content["independent"]["difference"]["auc"]
    yield f"AUC, paired bootstrap of patients: p = {_number(content['p_value_auc'])}"
    yield (
        f"AUC, paired DeLong, {content['independent']['label']}: {_interval(beside, '+.3f') or 'no interval'}, "
        f"p = {_number(beside['p_value'])}"
    )
    yield str(content["verdict"])


def baselines_table(content: Mapping[str, Mapping[str, Any]]) -> Table:
    """Cross-validated AUCs of baselines (`evaluation.baselines.assess.assess_all`)."""
    table = _table(
        "AUC without an image, patients kept together", "baseline", "mean of folds", "95% interval", "pooled"
    )
    found: Mapping[str, Any] = {}
    for name, entry in content.items():
        if entry["cross_validated"] is None:
            table.add_row(name, f"not available: {entry['reason']}", "", "")
            continue
        found = entry["cross_validated"]
        spread = "" if found["pooled_auc_sd"] is None else f" \u00b1 {found['pooled_auc_sd']:.3f}"
        pooled = f"{_number(found['pooled_auc'])}{spread}"
        table.add_row(name + (" (leak)" if entry["leak"] else ""), _number(found["value"]), _interval(found), pooled)
    if found:
        table.caption = (
            f"{found['n']} findings, {found['n_positive']} positive, {found['n_patients']} patients; "
            f"{found['n_folds']} folds over all repeats\n"
            "pooled: the scores of a repeat's folds in one AUC, \u00b1 standard deviation of repeats"
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(column)
    return table


def _patients(content: Mapping[str, Any]) -> str:
    return f"{content['confidence']:.0%} interval over patients"


def _subset(name: str) -> str:
    return {"": "no subset", "validation": "validation (selected on)", "all": "every subset"}.get(name, name)


def _caption(by_metric: Mapping[str, Mapping[str, Any]], content: Mapping[str, Any]) -> str:
    """Counts, then each note once with the metrics that it is about."""
    found = by_metric["auc"]
    unlabelled = f"; {content['n_unlabelled']} without label left out" if content["n_unlabelled"] else ""
    lines = [
        f"{found['n']} findings, {found['n_positive']} positive, {found['n_patients']} patients{unlabelled}; "
        f"positive from a probability of {content['threshold']:g} on; {content['n_draws']:,} draws"
    ]
    about: dict[str, list[str]] = {}
    for metric, estimate in by_metric.items():
        for note in (estimate["note"] or "").split("; "):
            if note:
                about.setdefault(note, []).append(metric_label(metric))
    for note, metrics in about.items():
        lines.append(f"{note}: {'every metric' if len(metrics) == len(by_metric) else ', '.join(metrics)}")
    return "\n".join(lines)


def _number(value: float | None, form: str = ".3f") -> str:
    return "not defined" if value is None else format(value, form)


def _interval(found: Mapping[str, Any] | None, form: str = ".3f") -> str:
    if found is None or found["low"] is None:
        return ""
    return f"{found['low']:{form}} to {found['high']:{form}}"
