"""Baselines in the network's own folds: predictions as a table, AUCs with intervals over patients."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lesion_transfer.evaluation.baselines.baseline import Baseline, fitted_probabilities
from lesion_transfer.evaluation.bootstrap import CONFIDENCE, estimates, patient_draws, percentile_interval, too_few
from lesion_transfer.evaluation.predictions import COLUMNS, labelled
from lesion_transfer.evaluation.summary import STREAM
from lesion_transfer.evaluation.weighted import weighted_metric
from lesion_transfer.randomness import named_generator

OUT_OF_FOLD = "out_of_fold"
"""The subset of a cross-validated prediction: its model never saw the patients of the row's fold."""


def baseline_predictions(baseline: Baseline, findings: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """A predictions table: the test subset by a model of everything else, then each fold by a model of the others.

    findings: finding_key, patient_id, finding_id, label, subset, fold (missing for test), replicate; a row an image
    and replicate, in the order of the features. Rows without a label are neither learnt from nor predicted. A finding
    with several images (one a sequence) gets the mean of their probabilities. Without labels the table is empty.
    """
    parts = []
    known = np.array([label is not None for label in findings["label"]])
    labels = np.array([label is True for label in findings["label"]])
    fold = findings["fold"].astype("Int64").fillna(-1).to_numpy(dtype=int)
    for replicate in sorted(findings["replicate"].unique()):
        own = known & (findings["replicate"] == replicate).to_numpy()
        test = own & (findings["subset"] == "test").to_numpy()
        splits = [("test", own & ~test, test)]
        splits += [
            (OUT_OF_FOLD, own & ~test & (fold != one), own & (fold == one)) for one in sorted({*fold[own]} - {-1})
        ]
        for subset, train, predicted in splits:
            if train.any() and predicted.any():
                rows = np.flatnonzero(predicted)
                probabilities = fitted_probabilities(baseline, labels, np.flatnonzero(train), rows)
                parts.append(findings.iloc[rows].assign(subset=subset, probability=probabilities))
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    table = pd.concat(parts, ignore_index=True).assign(cohort=cohort, copy=0)
    table.loc[table["subset"] == "test", "fold"] = pd.NA
    keys = ["finding_key", "subset", "replicate"]
    means = table.groupby(keys, sort=False)["probability"].mean().to_numpy()
    return table.drop_duplicates(keys).assign(probability=means).reset_index(drop=True)[list(COLUMNS)]


def assess(predictions: pd.DataFrame, seed: int, n_draws: int, confidence: float = CONFIDENCE) -> dict[str, Any]:
    """AUC on the test subset (replicate 0; None without one) and cross-validated, each with its interval."""
    test = predictions[(predictions["subset"] == "test") & (predictions["replicate"] == 0)].reset_index(drop=True)
    content: dict[str, Any] = {"test": None}
    if len(labelled(test)):
        draws = patient_draws(test["patient_id"].to_numpy(), named_generator(seed, *STREAM), n_draws)
        content["test"] = estimates(test, draws, confidence=confidence, names=["auc"])["auc"].to_dict()
    folds = predictions[predictions["subset"] == OUT_OF_FOLD].reset_index(drop=True)
    content["cross_validated"] = _within_folds(folds, seed, n_draws, confidence) if len(folds) else None
    return content


def _within_folds(table: pd.DataFrame, seed: int, n_draws: int, confidence: float) -> dict[str, Any]:
    """The mean of the folds' AUCs (scores of different models are never pooled), patients drawn with all their folds.

    `pooled_auc` pools them nevertheless, as many papers do: for comparison.
    """
    labels, probabilities = table["label"].to_numpy(dtype=bool), table["probability"].to_numpy()
    draws = patient_draws(table["patient_id"].to_numpy(), named_generator(seed, *STREAM), n_draws)
    weights = np.vstack([np.ones(len(table), dtype=np.int64), draws])  # the data themselves first
    by_fold = table.groupby(["replicate", "fold"]).indices
    aucs = np.stack(
        [weighted_metric("auc", labels[rows], probabilities[rows], weights[:, rows]) for rows in by_fold.values()]
    )  # (folds, 1 + n_draws); nan where a fold has one class only
    defined = ~np.isnan(aucs)
    means = np.where(defined, aucs, 0).sum(axis=0) / np.maximum(defined.sum(axis=0), 1)
    usable = means[1:][defined[:, 1:].any(axis=0)]
    low, high = percentile_interval(usable, confidence)
    replicates = table.groupby("replicate").indices.values()
    pooled = [weighted_metric("auc", labels[rows], probabilities[rows], weights[:1, rows])[0] for rows in replicates]
    one = table.drop_duplicates("finding_key")
    n_positive = int(one["label"].sum())
    return {
        "value": float(means[0]) if defined[:, 0].any() else None,
        "low": low,
        "high": high,
        "pooled_auc": None if np.isnan(pooled).any() else float(np.mean(pooled)),
        "pooled_auc_sd": float(np.std(pooled, ddof=1)) if len(pooled) > 1 and not np.isnan(pooled).any() else None,
        "n_folds": len(by_fold),
        "n_folds_undefined": int((~defined[:, 0]).sum()),
        "n": len(one),
        "n_positive": n_positive,
        "n_patients": int(one["patient_id"].nunique()),
        "note": "; ".join(too_few(n_positive, len(one) - n_positive)) or None,
    }


def assess_all(
    baselines: Iterable[Baseline], findings: pd.DataFrame, cohort: str, seed: int, n_draws: int
) -> tuple[dict[str, Any], pd.DataFrame]:
    """By name: description, leak, reason (where not available) and the AUCs; and all predictions, with `baseline`.

    findings: as of `baseline_predictions`, replicate by replicate, each in the order of the baselines' features.
    """
    content, tables = {}, []
    n_replicates = findings["replicate"].nunique()
    for baseline in baselines:
        entry: dict[str, Any] = {
            "description": baseline.description,
            "leak": baseline.leak,
            "available": baseline.features is not None,
            "reason": baseline.reason,
            "test": None,
            "cross_validated": None,
        }
        if baseline.features is not None:
            repeated = pd.concat([baseline.features] * n_replicates, ignore_index=True)
            predictions = baseline_predictions(replace(baseline, features=repeated), findings, cohort)
            if predictions.empty:
                entry |= {"available": False, "reason": "no labelled finding to learn from and to be tested on"}
            else:
                entry |= assess(predictions, seed, n_draws)
                tables.append(predictions.assign(baseline=baseline.name))
        content[baseline.name] = entry
    return content, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*COLUMNS, "baseline"])
