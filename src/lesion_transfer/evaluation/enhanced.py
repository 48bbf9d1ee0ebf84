"""Enhanced prediction (thesis 5.2.1): a lesion's probability is the mean over its augmented copies."""

import pandas as pd

PLAIN, ENHANCED = "plain", "enhanced"


def enhanced(table: pd.DataFrame) -> pd.DataFrame:
    """One row a finding and replicate with the mean over copies 1.. as probability, and copy 0.

    Rows in the order of first appearance; findings without copies are left out, so the result may be empty.
    """
    copies = table[table["copy"] > 0]
    keys = ["cohort", "finding_key", "replicate"]
    means = copies.groupby(keys, sort=False)["probability"].mean().to_numpy()
    return copies.drop_duplicates(keys).assign(copy=0, probability=means).reset_index(drop=True)


def n_copies(table: pd.DataFrame) -> int:
    """The largest number of augmented copies of a finding; 0 where there are none."""
    return int(table["copy"].max()) if len(table) else 0


def both_predictions(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The plain predictions (copy 0), and the enhanced ones where there are copies, by name."""
    tables = {PLAIN: table[table["copy"] == 0].reset_index(drop=True)}
    if n_copies(table):
        tables[ENHANCED] = enhanced(table)
    return tables
