"""The ledger's statistics against brute force: within folds, averaged, over patients and over trainings."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from lesion_transfer.evaluation.ledger import (
    CellScores,
    cell_scores,
    estimate,
    outer_table,
    stratified_patient_draws,
)
from lesion_transfer.evaluation.ledger_content import conclusion, ledger_content, lesions_needed, verdict
from lesion_transfer.evaluation.predictions import PredictionsError

FOLDS, REPEATS = 5, 2


def outer_predictions(
    seed: int, gain: float = 0.0, n_patients: int = 60, repeats: int = REPEATS, noise_seed: int = 0
) -> pd.DataFrame:
    """One to three findings a patient, both classes in every fold; findings and folds depend on seed alone."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), generator.integers(1, 4, n_patients))
    labels = (patient % 3 == 0) | (generator.random(len(patient)) < 0.1)
    noise = np.random.default_rng([seed, noise_seed]).normal(size=(repeats, len(patient)))
    parts = []
    for replicate in range(repeats):
        fold = (patient // 3 + replicate * patient) % FOLDS
        score = gain * labels + noise[replicate]
        parts.append(
            pd.DataFrame(
                {
                    "finding_key": [f"P{p}/{n}/1" for n, p in enumerate(patient)],
                    "patient_id": [f"P{p}" for p in patient],
                    "label": pd.Series(list(map(bool, labels)), dtype=object),
                    "fold": pd.array(fold, dtype="Int64"),
                    "replicate": replicate,
                    "probability": 1 / (1 + np.exp(-score)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def brute_force(table: pd.DataFrame, times: dict[str, int]) -> float:
    """The mean over repeats and folds of scikit-learn's AUC, each finding repeated as often as its patient is drawn."""
    found = []
    for _, cell in table.groupby(["replicate", "fold"]):
        rows = cell.loc[cell.index.repeat([times.get(patient, 0) for patient in cell["patient_id"]])]
        labels = rows["label"].to_numpy(dtype=bool)
        if labels.any() and not labels.all():
            found.append(roc_auc_score(labels, rows["probability"]))
    return float(np.mean(found))


def test_a_difference_is_the_mean_of_the_differences_within_folds():
    before, after = outer_predictions(1), outer_predictions(1, gain=1.0)
    tables = [outer_table(table) for table in (before, after)]
    draws = np.ones((1, len(tables[0].labels)), dtype=int)
    scores = cell_scores(tables[1], draws) - cell_scores(tables[0], draws)
    once = dict.fromkeys(before["patient_id"], 1)
    assert scores.point.mean() == pytest.approx(brute_force(after, once) - brute_force(before, once))
    pooled = [roc_auc_score(t["label"].to_numpy(dtype=bool), t["probability"]) for t in (before, after)]
    assert scores.point.mean() != pytest.approx(pooled[1] - pooled[0], abs=1e-6)


def test_scores_of_different_models_are_never_ranked_together():
    """Each training may have a scale of its own: any increasing map within a cell leaves everything as it was."""
    table = outer_predictions(2, gain=0.5)
    moved = table.copy()
    for (replicate, fold), cell in table.groupby(["replicate", "fold"]):
        moved.loc[cell.index, "probability"] = 0.1 * cell["probability"] + 0.05 * fold + 0.3 * replicate
    draws = stratified_patient_draws(
        outer_table(table).patients, outer_table(table).labels, np.random.default_rng(0), 50
    )
    scores, others = (cell_scores(outer_table(one), draws) for one in (table, moved))
    np.testing.assert_allclose(scores.point, others.point)
    np.testing.assert_allclose(scores.drawn, others.drawn)


def test_the_bootstrap_is_that_of_whole_patients_in_all_their_repeats():
    table = outer_table(outer_predictions(3, gain=0.7))
    draws = stratified_patient_draws(table.patients, table.labels, np.random.default_rng(4), 20)
    drawn = cell_scores(table, draws).drawn
    for draw, cells in zip(draws, drawn, strict=True):
        times = dict(zip(table.patients, map(int, draw), strict=True))
        assert np.nanmean(cells) == pytest.approx(brute_force(outer_predictions(3, gain=0.7), times))


def test_each_draw_has_as_many_patients_of_either_stratum_as_the_data():
    table = outer_table(outer_predictions(5))
    draws = stratified_patient_draws(table.patients, table.labels, np.random.default_rng(0), 200)
    names, first = np.unique(table.patients, return_index=True)
    has_positive = np.array([table.labels[table.patients == name].any() for name in names])
    for stratum in (has_positive, ~has_positive):
        assert set(draws[:, first[stratum]].sum(axis=1)) == {stratum.sum()}
    for name in names:
        assert (np.ptp(draws[:, table.patients == name], axis=1) == 0).all()


def test_the_interval_over_trainings_adds_what_other_training_patients_would_change():
    cells = np.array([0.02, 0.05, -0.01, 0.04, 0.03, 0.06, 0.00, 0.02, 0.05, 0.01])
    drawn = cells + np.random.default_rng(0).normal(0, 0.1, (400, 10))
    found = estimate(CellScores(cells, drawn), np.repeat([0, 1], 5), FOLDS)
    error = math.sqrt(drawn.mean(axis=1).var() + 0.25 * cells.var(ddof=1))
    assert found.low_trainings == pytest.approx(cells.mean() - stats.norm.ppf(0.975) * error)
    assert found.high_trainings == pytest.approx(cells.mean() + stats.norm.ppf(0.975) * error)
    without_validation = estimate(CellScores(cells, drawn), np.repeat([0, 1], 5), FOLDS, validation_share=0.2)
    error = math.sqrt(drawn.mean(axis=1).var() + 0.25 / 0.8 * cells.var(ddof=1))
    assert without_validation.low_trainings == pytest.approx(cells.mean() - stats.norm.ppf(0.975) * error)
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.by_repeat == pytest.approx([cells[:5].mean(), cells[5:].mean()])
    assert found.sd_repeats == pytest.approx(np.std([cells[:5].mean(), cells[5:].mean()], ddof=1))


def test_a_fold_without_a_class_is_left_out_and_counted():
    table = outer_predictions(6)
    of_first_cell = table.loc[(table["fold"] == 0) & (table["replicate"] == 0), "finding_key"]
    table.loc[table["finding_key"].isin(of_first_cell), "label"] = False
    one = outer_table(table)
    scores = cell_scores(one, np.ones((3, len(one.labels)), dtype=int))
    found = estimate(scores, np.array([repeat for repeat, _ in one.cells]), FOLDS)
    assert math.isnan(scores.point[0])
    assert found.n_cells_undefined == int(np.isnan(scores.point).sum()) >= 1
    assert found.value == pytest.approx(np.nanmean(scores.point))


def content_of(
    gain: float,
    repeats: int = REPEATS,
    n_patients: int = 60,
    reference: str = "before",
    on_target_alone=frozenset({"target_only"}),
):
    first, last = (outer_predictions(7, g, n_patients, repeats, s) for s, g in enumerate((0.0, gain)))
    arms = {"full": {"ds1_full": first, "ds4_full": last}, "target_only": {"ds1_full": first, "ds4_full": first}}
    return ledger_content(
        arms, reference, 0.05, np.random.default_rng(0), 300, on_target_alone={"target_only"} & on_target_alone
    )


@pytest.mark.parametrize("reference", ["before", "target_only"])
def test_the_verdict_follows_both_intervals(reference):
    assert content_of(4.0, reference=reference)["verdict"].startswith("Transfer helped: ")
    assert content_of(-4.0, reference=reference)["verdict"].startswith("Transfer harmed: ")
    open_verdict = content_of(0.1, reference=reference)
    assert open_verdict["verdict"].startswith("Whether transfer helped cannot be told with these data: ")
    assert f"about {open_verdict['lesions_needed']:,} lesions" in open_verdict["verdict"]


def test_a_gain_since_before_is_set_beside_the_arms_that_train_on_the_target_alone():
    """More training on the target is no transfer."""
    gained = content_of(4.0)
    control = gained["controls"]["target_only"]
    assert f"{control['value']:+.3f} against target_only ({control['low']:+.3f} to" in gained["verdict"]
    assert "further training on the target" not in content_of(4.0, reference="target_only")["verdict"]
    assert "no control arm (ledger.arms) says" in content_of(4.0, on_target_alone=frozenset())["verdict"]


def test_a_power_is_claimed_only_where_a_difference_could_have_been_told():
    open_verdict = content_of(0.1)
    assert open_verdict["lesions_needed"] is not None
    assert "would have been told with a power of 80%" in verdict(open_verdict | {"lesions_needed": 3})
    too_few = content_of(0.1, repeats=1)
    assert too_few["lesions_needed"] is None
    assert "lesions" not in verdict(too_few).partition("too few repeats")[2]
    without = open_verdict["primary"] | {"low_trainings": None, "high_trainings": None}
    assert lesions_needed(without, open_verdict["n"], 0.05) is None


def test_equal_models_are_no_well_powered_negative():
    content = ledger_content(
        {"full": {"ds1_full": outer_predictions(7), "ds4_full": outer_predictions(7)}},
        "before",
        0.05,
        np.random.default_rng(0),
        100,
    )
    assert content["lesions_needed"] is None
    assert content["verdict"].endswith("; both sides rank all findings alike, as two equal models do.")


@pytest.mark.parametrize(
    ("low", "low_trainings", "high", "high_trainings", "expected"),
    [
        (0.01, 0.01, 0.1, 0.1, "helped"),
        (0.01, -0.01, 0.1, 0.1, "cannot be told with these data"),
        (-0.01, 0.01, 0.1, 0.1, "cannot be told with these data"),
        (-0.2, -0.2, -0.1, -0.1, "harmed"),
        (-0.2, -0.2, -0.1, 0.1, "cannot be told with these data"),
    ],
)
def test_one_interval_alone_decides_nothing(low, low_trainings, high, high_trainings, expected):
    primary = {"low": low, "low_trainings": low_trainings, "high": high, "high_trainings": high_trainings}
    counts = {"n": 200, "n_positive": 50, "n_folds": 5, "n_repeats": 2}
    assert conclusion({"primary": primary, **counts}) == expected
    for too_little in ({"n_folds": 4}, {"n_repeats": 1}, {"n_positive": 9}, {"n_positive": 191}):
        assert conclusion({"primary": primary, **counts, **too_little}) == "cannot be told with these data"


def test_one_repeat_gives_no_verdict_whatever_the_interval():
    content = content_of(4.0, repeats=1)
    assert content["primary"]["low"] > 0
    assert "too few repeats (1 < 2)" in content["verdict"]
    assert content["conclusion"] == "cannot be told with these data"


def test_controls_phases_and_arms_are_adjusted_each_by_holm():
    content = content_of(0.4)
    assert content["arms"]["target_only"]["difference"]["value"] == 0
    assert content["controls"]["target_only"]["value"] == pytest.approx(content["arms"]["full"]["difference"]["value"])
    assert list(content["phases"]) == ["ds4_full"]
    assert content["phases"]["ds4_full"]["p_holm"] == content["phases"]["ds4_full"]["p"]
    assert content["arms"]["target_only"]["difference"]["p"] is None  # no cell differs, so there is nothing to test


def test_the_lesions_needed_are_those_that_give_the_power_that_is_declared():
    """With n lesions the interval is w wide: with n times k**2 it is w / k, and the power at d is then 80 %."""
    width, n, d = 0.2, 100, 0.05
    found = {"low": -width / 2, "high": width / 2, "low_trainings": -0.01, "high_trainings": 0.01}
    needed = lesions_needed(found, n, d)
    error = width / (2 * stats.norm.ppf(0.975)) * math.sqrt(n / needed)
    assert stats.norm.sf(stats.norm.ppf(0.975) - d / error) == pytest.approx(0.8, abs=0.005)


def test_tables_that_do_not_belong_together_are_refused():
    table = outer_predictions(8)
    with pytest.raises(PredictionsError, match="does not test the findings"):
        outer_table(table.drop(index=0))
    other = table.assign(fold=(table["fold"] + 1) % FOLDS)
    with pytest.raises(PredictionsError, match="have other fold"):
        ledger_content({"full": {"ds1_full": table, "ds4_full": other}}, "before", 0.05, np.random.default_rng(0), 100)
    with pytest.raises(PredictionsError, match="no outer fold"):
        outer_table(table.assign(fold=pd.array([None] * len(table), dtype="Int64")))
