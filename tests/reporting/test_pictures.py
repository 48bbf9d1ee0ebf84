import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from lesion_transfer.reporting.figures import (
    before_after_figure,
    global_performance_figure,
    metric_figure,
    pipeline_figure,
    save_png,
    to_png_bytes,
    to_svg_text,
)
from lesion_transfer.reporting.lesion_pictures import LesionPicture, lesions_figure

PNG = b"\x89PNG\r\n\x1a\n"


def test_same_input_same_bytes(content, history, histories):
    for draw in (
        lambda: metric_figure(history, "auc", "AUC", 4),
        lambda: global_performance_figure(histories, "auc", ["ds2_frozen"]),
        lambda: before_after_figure(content.evaluation),
        lambda: pipeline_figure(content.phases, content.cohorts),
    ):
        first, second = to_png_bytes(draw()), to_png_bytes(draw())
        assert first == second
        assert first.startswith(PNG)
    svg = [to_svg_text(pipeline_figure(content.phases)) for _ in range(2)]
    assert svg[0] == svg[1]


def test_no_time_stamp_or_version_in_the_bytes(content):
    figure = pipeline_figure(content.phases)
    assert b"tEXt" not in to_png_bytes(figure)
    svg = to_svg_text(figure)
    assert "dc:date" not in svg
    assert mpl.__version__ not in svg


def test_settings_of_the_user_change_nothing(history):
    ours = to_png_bytes(metric_figure(history, "auc", "AUC"))
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "savefig.dpi": 20, "lines.linewidth": 9}):
        assert to_png_bytes(metric_figure(history, "auc", "AUC")) == ours
        assert mpl.rcParams["font.size"] == 30


def test_saved_whole(tmp_path, history):
    figure = metric_figure(history, "loss", "Loss")
    save_png(figure, tmp_path / "plots" / "loss.png")
    assert (tmp_path / "plots" / "loss.png").read_bytes() == to_png_bytes(figure)
    assert len(list((tmp_path / "plots").iterdir())) == 1


def test_pyplot_is_never_used(history):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    metric_figure(history, "auc", "AUC")
    assert pyplot.get_fignums() == []


def test_colours_that_few_pixels_have_survive_the_palette():
    """Maps that are blue everywhere, and a colour bar that alone shows red."""
    image, fall = np.full((65, 65), 90.0), np.linspace(-0.3, 0, 65 * 65).reshape(65, 65)
    blue = [
        LesionPicture(finding_key=f"P/{n}/1", label=False, probability=0.7, image=image, occlusion=fall)
        for n in range(5)
    ]
    with Image.open(io.BytesIO(to_png_bytes(lesions_figure(blue, "mistakes")))) as packed:
        red, green, _ = np.moveaxis(np.asarray(packed.convert("RGB")).astype(int), 2, 0)
    shades = np.unique(red[(red > green + 60)])
    assert len(shades) >= 10, "a colour bar runs through many reds"
