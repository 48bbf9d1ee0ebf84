import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from lesion_transfer.reporting.content import DatasetRow
from lesion_transfer.reporting.pictures import Picture
from lesion_transfer.reporting.report import flattened, render_report

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def pixel():
    return Picture(b"\x89PNG...", "A point.", "One pixel.")


def test_says_the_verdict_the_numbers_and_the_warnings(content):
    page = Page(render_report(content))
    assert content.evaluation["verdict"] in page.text
    for text in (
        content.question,
        "Figures on phantom data: they say nothing about patients",
        "Not for clinical use",
        "too few positives (8 < 10)",
        "CC BY 3.0",
        "left out: no slice",
        "transfer.ds2_full.lr",
        "1e-08",
    ):
        assert text in page.text
    assert "+0.050" in page.text
    assert "\N{MINUS SIGN}0.030 to +0.130" in page.text


def test_links_the_model_cards_beside_it(content):
    page = Page(render_report(replace(content, model_cards=("model_card.md", "model_cards/reproduction.md"))))
    links = [link["href"] for link in page.all("a")]
    assert {"model_card.md", "model_cards/reproduction.md"} <= set(links)


def test_no_banner_without_phantoms(content):
    real = tuple(replace(dataset, is_phantom=False) for dataset in content.datasets)
    assert "phantom" not in Page(render_report(replace(content, datasets=real))).text


def test_one_phantom_among_real_data_is_enough_for_the_banner(content):
    mixed = (replace(content.datasets[0], is_phantom=False), *content.datasets[1:])
    assert "Phantom data sets: brain, lungx." in Page(render_report(replace(content, datasets=mixed))).text


def test_nothing_is_fetched(content, drawn):
    page = Page(render_report(drawn))
    for _, attributes in page.elements:
        assert "src" not in attributes or attributes["src"].startswith("data:image/")
        assert not any(name.startswith("on") for name in attributes)
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert {link["href"] for link in page.all("a")} == {"https://doi.org/10.7937/K9TCIA.2017.MURS5CL"}
    assert page.all("script") == page.all("iframe") == page.all("object") == []
    text = render_report(content)
    assert "@import" not in text
    assert "url(" not in text


def test_same_content_same_text_without_a_date(drawn):
    first = render_report(drawn)
    assert first == render_report(drawn)
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", first)


def test_pictures_have_alternatives_and_tables_have_captions(drawn):
    page = Page(render_report(drawn))
    assert len(page.all("img")) == 19
    assert all(len(image["alt"]) > 30 for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell["scope"] in {"row", "col"} for cell in page.all("th"))
    assert page.all("html") == [{"lang": "en"}]


def test_every_text_is_escaped(content, pixel):
    evil = '<script>alert("x")</script>'
    dataset = DatasetRow(evil, evil, True, evil, evil, "javascript:alert(1)")
    changed = replace(
        content,
        title=evil,
        question=evil,
        target=evil,
        datasets=(dataset,),
        cohorts=(replace(content.cohorts[0], name=evil, channels=(evil,), excluded={evil: 1}, subsets={evil: 1}),),
        phases=(replace(content.phases[0], name=evil, cohort=evil, start=evil, decision_maker=evil),),
        settings={evil: evil},
        sources={evil: evil},
        pipeline=replace(pixel, alt='"><script>', caption=evil),
        evaluation=content.evaluation | {"verdict": evil},
        phase_curves={evil: (pixel,)},
    )
    page = Page(render_report(changed))
    assert page.all("script") == []
    assert page.all("a") == []


def test_undefined_metrics_and_bare_content_render(content):
    nothing = {
        "value": None,
        "low": None,
        "high": None,
        "n": 2,
        "n_positive": 0,
        "n_patients": 2,
        "note": "not defined: x",
    }
    evaluation = content.evaluation | {side: {"auc": nothing} for side in ("before", "after", "difference")}
    bare = replace(content, evaluation=evaluation, phases=(), cohorts=(), datasets=(), settings={}, sources={})
    page = Page(render_report(bare))
    assert page.text.count("not defined: x") == 1
    assert "every number" in page.text
    assert "None" not in page.text


def test_settings_are_flattened_in_order():
    settings = {"b": {"y": 1e-8, "x": [1, 2]}, "a": None, "empty": [], "transfer": {"ds2_full": {"lr": None}}}
    assert list(flattened(settings)) == [
        ("b.y", "1e-08"),
        ("b.x", "1, 2"),
        ("a", "none"),
        ("empty", "none"),
        ("transfer.ds2_full.lr", "inherited"),
    ]


def test_the_data_checks_say_how_far_the_dots_landed_and_what_shows_nothing(content):
    html = render_report(content)
    section = html[html.index("<h2>Data checks</h2>") :]
    for text in (
        "0.147",
        "0.135",
        "0.012",
        "1.494",
        "P8/1/1 dwi",
        "P7/1/1 adc",
        "P1 = P2",
        "adc: spacing, mm",
        "PZ (191), TZ (82)",
    ):
        assert text in section
    assert "Data checks" not in render_report(replace(content, checks=()))
