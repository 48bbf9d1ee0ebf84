"""Repeated cross-validation for tables that no pipeline has split: patients stay together, labels are stratified."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from lesion_transfer.evaluation.predictions import PredictionsError
from lesion_transfer.randomness import stream_seed


def repeated_folds(findings: pd.DataFrame, repeats: int, n_folds: int, seed: int) -> pd.DataFrame:
    """The rows of `findings` with subset `train`, fold and replicate, replicate by replicate.

    findings: patient_id and label (True or False). Raises PredictionsError with fewer patients of a class than folds.
    """
    labels = np.array([label is True for label in findings["label"]], dtype=bool)
    patients = findings["patient_id"].to_numpy()
    fewest = min(len(np.unique(patients[labels])), len(np.unique(patients[~labels])))
    if fewest < n_folds:
        raise PredictionsError(f"{n_folds} folds need as many patients of each class; there are {fewest} of one.")
    tables = []
    for repeat in range(repeats):
        state = stream_seed(seed, "baselines", f"repeat {repeat}") % 2**32
        fold = np.full(len(findings), -1)
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=state)
        for number, (_, rows) in enumerate(splitter.split(findings, labels, groups=patients)):
            fold[rows] = number
        tables.append(findings.assign(subset="train", fold=pd.array(fold, dtype="Int64"), replicate=repeat))
    return pd.concat(tables, ignore_index=True)
