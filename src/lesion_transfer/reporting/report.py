"""The report: one HTML file that opens anywhere, without network, scripts or anything beside it."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from lesion_transfer.evaluation.compare import conclusion
from lesion_transfer.evaluation.metrics import METRICS
from lesion_transfer.reporting.content import ReportContent
from lesion_transfer.reporting.numbers import signed
from lesion_transfer.reporting.pictures import Picture
from lesion_transfer.reporting.style import metric_label


def render_report(content: ReportContent) -> str:
    """The report as HTML text; the same content gives the same text.

    Every text of the content is escaped. Pictures become data: URIs; the only addresses are links to the data sets.
    """
    metrics = [metric for metric in METRICS if metric in content.evaluation["difference"]]
    return (
        _environment()
        .get_template("report.html")
        .render(
            content=content,
            evaluation=content.evaluation,
            metrics=metrics,
            notes=_notes(content.evaluation, metrics),
            conclusion=conclusion(content.evaluation["difference"]["auc"]),
            settings=list(flattened(content.settings)),
            reasons=sorted({reason for cohort in content.cohorts for reason in cohort.excluded}),
            subsets=list(dict.fromkeys(subset for cohort in content.cohorts for subset in cohort.subsets)),
        )
    )


_INHERITING = ("transfer.", "reproduction.", "challenge.")
"""Settings whose null is the value of another entry."""


def flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key and value as text, in the order given: {"a": {"b": 1}} -> ("a.b", "1")."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{prefix}{key}", ", ".join(_plain(part) for part in value) or "none"
        else:
            yield f"{prefix}{key}", _plain(value, "inherited" if prefix.startswith(_INHERITING) else "none")


def _plain(value: Any, nothing: str = "none") -> str:
    # Exponents are kept (1e-08, not 0.0).
    return nothing if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _notes(evaluation: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, list[str]]:
    """The notes of the estimates, each once, with the places that it is about."""
    places: dict[str, list[str]] = {}
    for metric in metrics:
        for side in ("before", "after", "difference"):
            for note in (evaluation[side][metric].get("note") or "").split("; "):
                if note:
                    places.setdefault(note, []).append(f"{metric_label(metric)} {side}")
    n_places = 3 * len(metrics)
    return {note: ["every number"] if len(where) == n_places else where for note, where in places.items()}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lesion_transfer", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "label": metric_label,
        "number": _number,
        "signed": _signed,
        "data_uri": _data_uri,
        "web_address": _web_address,
        "thousands": lambda number: f"{number:,}",
    }
    return environment


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else signed(value)


def _data_uri(picture: Picture) -> str:
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode('ascii')}"


def _web_address(text: str) -> str:
    """The address when it is one of the web, else nothing: a javascript: address must not become a link."""
    return text if urlsplit(text).scheme in {"https", "http"} else ""
