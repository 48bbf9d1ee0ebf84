import pytest

from lesion_transfer.reporting.curves import CURVE_METRICS, SELECTED_ON, metric_figure, metric_grid
from lesion_transfer.reporting.pictures import to_png_bytes


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_both_curves_the_best_epoch_and_the_drop_of_the_learning_rate(history):
    (axes,) = metric_figure(history, "auc", "ds1_full: AUC", best_epoch=7).axes
    drawn = lines(axes)
    assert drawn["train"].get_ydata().tolist() == history["train_auc"].tolist()
    assert drawn[SELECTED_ON].get_ydata().tolist() == history["validation_auc"].tolist()
    assert drawn["best epoch (7)"].get_xdata() == [7, 7]
    assert drawn["learning rate dropped (plateau)"].get_xdata() == [9, 9]
    assert [text.get_text() for text in axes.texts] == ["1e-05"]
    assert axes.get_title(loc="left") == "ds1_full: AUC"


def test_a_constant_learning_rate_shows_no_drop(history):
    (axes,) = metric_figure(history.assign(lr=1e-9), "auc", "AUC").axes
    assert set(lines(axes)) == {"train", SELECTED_ON}


def test_one_epoch_is_a_visible_point(history):
    (axes,) = metric_figure(history[:1], "auc", "AUC", 1).axes
    assert lines(axes)["train"].get_marker() == "o"


def test_grid_shows_every_metric_that_the_history_has(history):
    assert len(metric_grid(history, "ds1_full", 3).axes) == len(CURVE_METRICS)
    few = metric_grid(history[["epoch", "lr", "train_loss", "validation_loss", "train_auc"]])
    assert [axes.get_title(loc="left") for axes in few.axes] == ["Loss", "AUC"]
    with pytest.raises(ValueError, match="no train_ or validation_ metric; its columns are epoch, lr"):
        metric_grid(history[["epoch", "lr"]])


def test_missing_values_leave_gaps(history):
    gaps = history.astype(float).replace(history["validation_precision"][3], float("nan"))
    assert to_png_bytes(metric_figure(gaps, "precision", "Precision", 4))
