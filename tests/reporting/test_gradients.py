import numpy as np
import pytest

from lesion_transfer.reporting.gradients import gradient_evolution_figure, gradient_flow_figure
from lesion_transfer.reporting.pictures import to_png_bytes

LAYERS = ["conv1.weight", "conv2.weight", "dense1.weight"]
VALUES = np.array([[1e-5, 1e-3, 0.0], [0, 0, 1.0], [1e-2, 1e-1, 0.25]])


def heights(axes, label):
    bars = next(container for container in axes.containers if container.get_label() == label)
    return [bar.get_height() for bar in bars]


def test_bars_hold_the_values_and_zero_is_black():
    upper, lower = gradient_flow_figure(VALUES, LAYERS, "epoch 1, batch 6").axes
    assert upper.get_yscale() == "log"
    np.testing.assert_allclose(heights(upper, "max |gradient|"), [1e-3, np.nan, 1e-1])
    np.testing.assert_allclose(heights(upper, "mean |gradient|"), [1e-5, np.nan, 1e-2])
    assert heights(lower, "share exactly zero") == [0, 1, 0.25]
    black = upper.containers[2]
    assert [round(bar.get_x() + bar.get_width() / 2) for bar in black] == [1]
    assert black[0].get_facecolor()[:3] == (0, 0, 0)
    legend = {handle.get_label(): handle for handle in upper.figure.legends[0].legend_handles}
    assert legend["all gradients zero"].get_facecolor()[:3] == (0, 0, 0)
    assert [tick.get_text() for tick in lower.get_xticklabels()] == ["conv1", "conv2", "dense1"]


@pytest.mark.parametrize("values", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.array([[np.inf, np.inf, 0.0]] * 3)])
def test_vanished_and_exploded_gradients_still_draw(values):
    assert to_png_bytes(gradient_flow_figure(values, LAYERS, "broken"))
    assert to_png_bytes(gradient_evolution_figure(values[None], LAYERS, [1]))


def test_evolution_shows_a_column_a_batch_and_masks_zero():
    array = np.stack([VALUES, VALUES * [10, 10, 1]])
    axes = gradient_evolution_figure(array, LAYERS, [1, 2]).axes[0]
    shown = axes.images[0].get_array()
    assert shown.shape == (3, 2)
    np.testing.assert_allclose(shown[[0, 2]], [[1e-5, 1e-4], [1e-2, 1e-1]])
    assert shown.mask[1].all()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2"]


def test_many_batches_are_means_of_neighbours():
    array = np.ones((1001, 1, 3)) * np.linspace(1, 2, 1001)[:, None, None]
    figure = gradient_evolution_figure(array, ["conv1"], np.repeat(np.arange(1, 92), 11))
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (1, 400)
    assert (np.diff(shown[0]) > 0).all()
    assert shown.mean() == pytest.approx(1.5, abs=0.01)


def test_wrong_shapes_are_sentences():
    with pytest.raises(ValueError, match=r"shape \(3, 3\); 2 layers need \(2, 3\)"):
        gradient_flow_figure(VALUES, LAYERS[:2], "")
    with pytest.raises(ValueError, match="2 batches of 3 layers need"):
        gradient_evolution_figure(VALUES[None], LAYERS, [1, 2])
    with pytest.raises(ValueError, match="no batch"):
        gradient_evolution_figure(np.zeros((0, 3, 3)), LAYERS, [])
