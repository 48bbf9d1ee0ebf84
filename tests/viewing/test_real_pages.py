"""Pages of real images in a real browser, against what other libraries read of the same files."""

import numpy as np
import pytest
import SimpleITK
from PIL import Image
from typer.testing import CliRunner

from lesion_transfer.cli import app
from lesion_transfer.imaging.dicom_files import read_display_values
from lesion_transfer.imaging.dicom_index import index_folder

pytestmark = [pytest.mark.real, pytest.mark.browser]


@pytest.fixture
def page_of(tmp_path, open_file):
    """page_of(*words): runs `lesion view` with them and opens the page that it writes."""

    def make(*words):
        out = tmp_path / "look.html"
        done = CliRunner().invoke(app, ["view", "--html", str(out), *map(str, words)])
        assert done.exit_code == 0, done.output
        shown = open_file(out)
        assert shown.requested == [out.as_uri()]
        return shown

    return make


def test_prostatex_series_show_their_files_as_the_cohorts_see_them(real_data, page_of):
    source = real_data / "prostatex"
    folder = source / "PROSTATEx" / "ProstateX-0004"
    shown = page_of(folder, "--findings", source / "ProstateX-Findings-Train.csv", "--series", 1, "--series", 2)
    images = index_folder(folder).instances

    def files(description, b_value=None):
        found = [
            one for one in images if one.series_description.endswith(description) and one.b_value in (b_value, None)
        ]
        return [one.file for one in sorted(found, key=lambda one: one.geometry.position_lps_mm @ one.geometry.normal)]

    def shows(file):
        return np.abs(shown.pixels - read_display_values(file)).max() <= 0.51

    t2 = files("t2_tse_tra")
    marked = int(shown.caption.split()[1]) - 1
    assert shown.page.locator("#marks text").all_text_contents() == ["finding 1 negative"]
    assert shows(t2[marked])
    shown.wheel(100)
    assert shows(t2[marked + 1])
    shown.press("n")
    shown.titled("ProstateX-0004 · 6 ep2d_diff_tra_DYNDIST_MIX")
    assert "b = 50 s/mm² (1 of 3)" in shown.caption
    number = int(shown.caption.split()[1]) - 1
    shown.press("ArrowRight", "ArrowRight")
    assert "b = 800 s/mm² (3 of 3)" in shown.caption
    assert shows(files("DYNDIST_MIX", 800.0)[number])


def test_a_ktrans_volume_shows_what_simpleitk_reads(real_data, page_of):
    path = next((real_data / "prostatex" / "ktrans" / "ProstateX-0000").glob("*.mhd"))
    shown = page_of(path)
    values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    expected = (values[8] - values.min()) * 255.0 / (values.max() - values.min())
    assert shown.caption.startswith("slice 9 of 16 · transverse")
    assert np.abs(shown.pixels - expected).max() <= 0.51
    shown.press("a")
    assert shown.pixels.mean() > expected.mean()
    shown.press("1")
    assert shown.pixels.shape == (16, 128)


def test_a_brain_image_shows_what_pillow_reads(real_data, page_of):
    folder = real_data / "brain"
    shown = page_of(folder / "yes" / "Y1.jpg")
    with Image.open(folder / "yes" / "Y1.jpg") as image:
        np.testing.assert_array_equal(shown.pixels, np.asarray(image.convert("L")))
    assert shown.page.locator("#marks text").all_text_contents() == ["positive"]
    circle, box = (shown.page.locator(part).bounding_box() for part in ("#marks circle", "#image"))
    assert (circle["x"] + circle["width"] / 2 - box["x"]) / box["width"] * shown.pixels.shape[1] == pytest.approx(
        54.5, abs=0.5
    )
