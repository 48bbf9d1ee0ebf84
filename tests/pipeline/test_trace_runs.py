"""`lesion trace` in a project that was trained: the runs of the store that saw a finding."""

import json

import pandas as pd
import pytest


@pytest.mark.slow
def test_the_runs_that_made_the_models_which_saw_a_finding_are_named(reproduced):
    assigned = pd.read_csv(reproduced.root / "data" / "assigned" / "prostatex_dwi.csv")
    key = assigned.loc[assigned["subset"] == "train", "finding_key"].iloc[0]
    found = json.loads(reproduced.run("lesion", "trace", key, "--json").stdout)
    listed = reproduced.run("lesion", "runs", "--csv").stdout.splitlines()
    phases = {"ds1_full", "ds2_frozen", "ds2_full", "ds3_frozen", "ds3_full", "ds4_frozen", "ds4_full"}
    assert phases <= {model["model"] for model in found["models"]}
    # the ledger keeps the predictions of its trainings, not their weights: they have no hash and no run of their own
    kept = [model for model in found["models"] if not model["model"].startswith("arms/")]
    of_ledger = [model["role"] for model in found["models"] if model not in kept]
    assert of_ledger
    assert all(", learnt from in others" in role for role in of_ledger)
    for model in kept:
        assert model["runs"]
        for run in model["runs"]:
            assert any(run in line and model["model_sha256"] in line for line in listed)
