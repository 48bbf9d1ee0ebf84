"""A cohort's fingerprint as rows of words, for the report and the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SHOWN = 6


def fingerprint_rows(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What and how much, as people read it; `content` is `fingerprint` of reports/checks/COHORT.json."""
    yield (
        "findings",
        f"{content['n_findings']} of {content['n_patients']} patients, {content['n_images']} images; "
        f"patients by number of findings: {_listed(content['findings_per_patient'])}",
    )
    yield "labels", _listed(content["labels"])
    yield "zones", _listed(content["zones"])
    yield "left out", _listed(content["excluded"])
    for concern, keys in content["concerns"].items():
        more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        yield "used, but look at", f"{concern}: {', '.join(keys[:_SHOWN])}{more}"
    if content["n_in_groups_of_duplicates"]:
        yield "in groups of duplicates", str(content["n_in_groups_of_duplicates"])
    for channel, about in content["channels"].items():
        yield f"{channel}: series", _listed(about["series_kinds"])
        size = about["size_px"]
        several = f"{size['n_kinds']} sizes, {_from_to(size['rows'])} x {_from_to(size['columns'])}: "
        yield (
            f"{channel}: rows x columns",
            ("" if size["n_kinds"] == 1 else several) + _listed(size["most_frequent"], size["n_kinds"]),
        )
        yield f"{channel}: spacing, mm", _listed(about["spacing_mm"])
        if distance := about["distance_mm"]:
            yield (
                f"{channel}: lesion to slice, mm",
                f"median {distance['median']:g}, largest {distance['max']:g} ({distance['n']} slices)",
            )
        tone = about["intensity"]
        yield (
            f"{channel}: display values",
            f"mean {tone['mean']:g}, standard deviation {tone['std']:g}; 1 / 50 / 99 % below "
            f"{tone['p01']:g} / {tone['p50']:g} / {tone['p99']:g}",
        )
        yield f"{channel}: padded", f"{about['n_padded']}, at most {about['padded_share_max']:.1%} of a patch"


def _from_to(ends: Sequence[int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _listed(counts: Mapping[str, int], n_kinds: int = 0) -> str:
    """`384 x 384 (12), 320 x 320 (1)`; kinds beyond six, or that `counts` leaves out of n_kinds, are counted."""
    if not counts:
        return "none"
    shown = [f"{name} ({n})" for name, n in list(counts.items())[:_SHOWN]]
    more = max(n_kinds, len(counts)) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])])
