from dataclasses import replace

import numpy as np
import pytest

from lesion_transfer.reporting.figures import (
    before_after_figure,
    global_performance_figure,
    phase_summary_figure,
    pipeline_figure,
    to_png_bytes,
)


def test_global_performance_runs_over_all_epochs_of_all_phases(histories):
    figure = global_performance_figure(histories, "auc", ["ds2_frozen", "ds3_frozen", "ds4_frozen"])
    (axes,) = figure.axes
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) == 12]
    assert len(curves) == 14
    assert curves[0].get_ydata().tolist() == histories["ds1_full"]["train_auc"].tolist()
    assert curves[-1].get_ydata().tolist() == histories["ds4_full"]["target_validation_auc"].tolist()
    assert curves[-1].get_xdata()[-1] == 7 * 12 - 0.5
    assert axes.get_xlim() == (0, 84)
    assert [patch.get_hatch() for patch in axes.patches] == [None, "///", None, "///", None, "///", None]
    assert [text.get_text() for text in axes.texts][:2] == ["ds1\nfull", "ds2\nfrozen"]


def test_global_performance_without_target_curves_shows_no_foreign_ones(histories):
    some = {"ds1_full": histories["ds1_full"], "ds2_full": histories["ds1_full"]}
    (axes,) = global_performance_figure(some, "auc").axes
    assert len([line for line in axes.get_lines() if len(line.get_xdata()) == 12]) == 2
    with pytest.raises(ValueError, match="no history"):
        global_performance_figure({}, "auc")


def test_before_after_places_every_estimate(content):
    left, right = before_after_figure(content.evaluation).axes
    before, after = (line for line in left.get_lines() if line.get_marker() in {"s", "o"})
    assert before.get_xdata().tolist() == [0.55 + 0.03 * n for n in range(7)]
    assert (after.get_xdata() - before.get_xdata()).tolist() == pytest.approx([0.05] * 7)
    assert [bar.get_width() for bar in left.patches[7:]] == after.get_xdata().tolist()
    assert right.get_xlim()[0] == -right.get_xlim()[1]
    assert "8 positive" in left.get_xlabel()


def test_before_after_says_what_is_not_defined(content):
    nothing = {"value": None, "low": None, "high": None, "n": 3, "n_positive": 0, "n_patients": 3, "note": "x"}
    evaluation = content.evaluation | {
        side: dict.fromkeys(("auc", "recall"), nothing) for side in ("before", "after", "difference")
    }
    figure = before_after_figure(evaluation)
    assert {text.get_text() for axes in figure.axes for text in axes.texts} == {"not defined"}
    assert to_png_bytes(figure)


def test_phase_summary_leaves_out_what_is_unknown(content):
    phases = (replace(content.phases[0], validation_auc=None), *content.phases[1:])
    (axes,) = phase_summary_figure(phases).axes
    auc = next(line for line in axes.get_lines() if line.get_label() == "AUC")
    assert np.isnan(auc.get_ydata()).tolist() == [True] + [False] * 6
    assert to_png_bytes(phase_summary_figure(phases))


def test_pipeline_names_every_phase_cohort_and_origin(content):
    figure = pipeline_figure(content.phases, content.cohorts, content.phantoms)
    texts = [text.get_text() for text in figure.axes[0].texts]
    for phase in content.phases:
        assert phase.name in texts
    assert {"prostatex_dwi", "brain", "lung", "phantom data lungx", "330 findings"} <= set(texts)
    assert "from roulette\nlr 1e-08" in texts
    assert texts.count("decision: new") == 2
    hatched = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert len(hatched) == 3


def test_pipeline_says_which_phases_are_compared(content):
    figure = pipeline_figure(content.phases, compared=("ds4_frozen", "ds4_full"))
    assert "test subset:\nds4_frozen\nagainst\nds4_full" in [text.get_text() for text in figure.axes[0].texts]


def test_pipeline_takes_a_fourth_body_part_and_a_single_phase(content):
    more = [
        replace(content.phases[-1], name="ds5_frozen", cohort="liver", start="ds4_full", frozen=True),
        replace(content.phases[-1], name="ds5_full", cohort="liver", start="ds5_frozen"),
    ]
    wide = pipeline_figure([*content.phases, *more])
    narrow = pipeline_figure(content.phases[:1])
    assert wide.get_figheight() > narrow.get_figheight()
    assert to_png_bytes(narrow)
    with pytest.raises(ValueError, match="no phase"):
        pipeline_figure([])
