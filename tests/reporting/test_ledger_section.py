"""The ledger in the report: its verdict, its tables and its forest plot, from the content of reports/ledger.json."""

import re

import pytest

from lesion_transfer.reporting.forest import forest_figure
from lesion_transfer.reporting.report import render_report


def labels(figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_the_section_says_the_verdict_and_every_comparison(drawn):
    html = render_report(drawn)
    text = re.sub(r"<[^>]+>", " ", html)
    assert drawn.ledger["verdict"] in text
    for wanted in ("The transfer ledger", "target_only", "ds4_full", "about 1,234, by a formula", "+0.040", "0.400"):
        assert wanted in text
    assert "\N{MINUS SIGN}0.050 to +0.130" in text  # over trainings
    assert "Forest plot" in html


def test_a_report_without_a_ledger_has_no_such_section(content):
    assert "The transfer ledger" not in render_report(content)


@pytest.mark.parametrize(("reference", "row"), [("before", 0), ("target_only", 2)])
def test_the_forest_has_a_row_a_comparison_and_marks_the_primary_one(drawn, reference, row):
    ledger = {**drawn.ledger, "reference": reference}
    figure = forest_figure(ledger)
    assert labels(figure) == ["full", "target_only", "target_only", *ledger["phases"]]
    diamonds = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert len(diamonds) == 3 + len(ledger["phases"])
    assert [number for number, line in enumerate(diamonds) if line.get_color() != diamonds[1].get_color()] == [row]


def test_an_undefined_difference_is_said_to_be_so(drawn):
    none = dict.fromkeys(drawn.ledger["primary"]) | {"by_repeat": [None, None]}
    figure = forest_figure({**drawn.ledger, "phases": {"ds4_full": none}})
    assert "not defined" in [text.get_text() for text in figure.axes[0].texts]
