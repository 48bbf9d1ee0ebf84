"""Every later phase that was trained on the target against the first: several tests of one question, so Holm's."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lesion_transfer.evaluation.bootstrap import paired, paired_differences, paired_p_value, patient_draws
from lesion_transfer.evaluation.independent import holm, independent_difference
from lesion_transfer.evaluation.predictions import labelled
from lesion_transfer.evaluation.summary import STREAM
from lesion_transfer.randomness import named_generator


def phases_against(first: pd.DataFrame, later: Mapping[str, pd.DataFrame], seed: int, n_draws: int) -> dict[str, Any]:
    """By phase: the difference of the AUC with its patient-clustered interval, `p_value` by the paired bootstrap,
    `p_value_delong` (lesions treated as independent), and `p_value_holm`, the first adjusted for the number of phases.

    Tables: a row a finding, the same findings in each.
    """
    found: dict[str, Any] = {}
    for phase, table in later.items():
        before, after = paired(labelled(first), labelled(table))
        draws = patient_draws(before["patient_id"].to_numpy(), named_generator(seed, *STREAM), n_draws)
        difference = paired_differences(before, after, draws, names=["auc"])["auc"]
        found[phase] = {
            "difference": difference.to_dict(),
            "p_value": paired_p_value(before, after, draws),
            "p_value_delong": independent_difference(before, after).p_value,
            "p_value_holm": None,
        }
    tested = {phase: entry["p_value"] for phase, entry in found.items() if entry["p_value"] is not None}
    for phase, adjusted in zip(tested, holm(list(tested.values())), strict=True):
        found[phase]["p_value_holm"] = adjusted
    return found
