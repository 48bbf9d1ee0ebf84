"""Which gradients get a figure."""

from pathlib import Path

import numpy as np
import pytest

from lesion_transfer.learning.gradients import GradientFlow
from lesion_transfer.stages.gradients import gradient_figures_of, gradients, read_gradient_flow, shown_epochs
from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.training.phase_files import save_gradient_flow

FLOW = GradientFlow(
    ("conv.weight", "dense.weight"),
    np.arange(1, 43, dtype=np.float32).reshape(7, 2, 3) / 100,
    np.array([1, 1, 1, 2, 2, 3, 3], dtype=np.int32),
)


@pytest.mark.parametrize(
    ("n_epochs", "every", "expected"),
    [
        (3, "auto", [1, 2, 3]),
        (50, "auto", [*range(1, 51)]),
        (7, 3, [3, 6]),
        (2, 5, [2]),
        (60, "epoch", list(range(1, 61))),
    ],
)
def test_the_epochs_with_a_figure(n_epochs, every, expected):
    assert shown_epochs(n_epochs, every) == expected


@pytest.mark.parametrize("n_epochs", [51, 200, 1000])
def test_of_many_epochs_twenty_spread_over_all(n_epochs):
    shown = shown_epochs(n_epochs, "auto")
    assert len(set(shown)) == 20
    assert (shown[0], shown[-1]) == (1, n_epochs)
    assert max(np.diff(shown)) - min(np.diff(shown)) <= 1


def test_every_batch_has_its_own_figure_and_all_have_one():
    names = [name for name, _ in gradient_figures_of("ds1_full", FLOW, "batch")]
    assert names == [
        *("epoch_0001_batch_0001.png", "epoch_0001_batch_0002.png", "epoch_0001_batch_0003.png"),
        *("epoch_0002_batch_0001.png", "epoch_0002_batch_0002.png"),
        *("epoch_0003_batch_0001.png", "epoch_0003_batch_0002.png"),
        "evolution.png",
    ]


def test_the_bars_of_an_epoch_are_the_mean_of_means_the_largest_maximum_and_the_share_of_zeros():
    figure = dict(gradient_figures_of("ds1_full", FLOW, "epoch"))["epoch_0002.png"]
    bars = {container.get_label(): [bar.get_height() for bar in container] for container in figure.axes[0].containers}
    of_epoch = FLOW.values[3:5]
    assert bars["mean |gradient|"] == pytest.approx(of_epoch[:, :, 0].mean(0))
    assert bars["max |gradient|"] == pytest.approx(of_epoch[:, :, 1].max(0))
    zeros = [bar.get_height() for bar in figure.axes[1].containers[0]]
    assert zeros == pytest.approx(of_epoch[:, :, 2].mean(0))


def test_a_finished_phase_is_drawn_from_its_folder_without_training(tmp_path: Path):
    layout = Layout(tmp_path)
    save_gradient_flow(layout.model("ds1_full"), FLOW)
    back = read_gradient_flow(layout.model("ds1_full"))
    assert back.layers == FLOW.layers
    assert back.epochs.tolist() == FLOW.epochs.tolist()
    assert gradients(layout, "ds1_full", "2", tmp_path / "out") == 2
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["epoch_0002.png", "evolution.png"]
    assert (tmp_path / "out/evolution.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("every", ["0", "-1", "1.5", "often"])
def test_anything_else_is_refused_with_a_sentence(tmp_path, every):
    with pytest.raises(StageError, match="every batch, epoch, N epochs"):
        gradients(Layout(tmp_path), "ds1_full", every, tmp_path)
