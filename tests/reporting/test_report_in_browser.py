import pytest

from lesion_transfer.reporting.report import render_report

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_offline_and_fits(tmp_path, browser, drawn, scheme):
    path = tmp_path / "report.html"
    path.write_text(render_report(drawn), encoding="utf-8")
    context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    requested, problems = [], []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(path.as_uri())
    assert problems == []
    assert [url for url in requested if not url.startswith(("data:", "file:"))] == []
    assert [url for url in requested if url.startswith("file:")] == [path.as_uri()]
    widths = page.evaluate("Array.from(document.images, image => image.naturalWidth)")
    assert len(widths) == 19
    assert min(widths) > 500
    # The page itself never scrolls sideways, on a phone neither: wide tables scroll within themselves.
    for width in (1200, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "cannot be told with these data" in page.inner_text(".verdict")
    context.close()
