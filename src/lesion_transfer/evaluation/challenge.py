"""The file that the PROSTATEx challenge takes: a probability for every published test finding (thesis 5.3)."""

from collections.abc import Mapping

import pandas as pd

from lesion_transfer.errors import LesionError

COLUMNS = ("ProxID", "fid", "ClinSig")


class ChallengeError(LesionError):
    """A submission that the challenge would refuse."""


def submission(published: pd.DataFrame, probabilities: Mapping[str, float], prior: float) -> pd.DataFrame:
    """ProxID, fid and ClinSig (the probability that the finding is significant), a row a published finding, in order.

    published: finding_key, patient_id, finding_id of the test table. probabilities: by finding_key; findings without
    one get `prior`. Raises ChallengeError for a probability outside [0, 1] or of a finding that was not published, and
    where (ProxID, fid), which is all that the challenge knows of a finding, stands twice.
    """
    unknown = sorted(set(probabilities) - set(published["finding_key"]))
    if unknown:
        raise ChallengeError(f"{unknown[0]} has a prediction but is not in the published test table.")
    twice = published[published.duplicated(["patient_id", "finding_id"])]
    if len(twice):
        raise ChallengeError(f"The test table has {twice['finding_key'].iloc[0].rpartition('/')[0]} more than once.")
    clin_sig = published["finding_key"].map(lambda key: probabilities.get(key, prior)).astype(float)
    outside = ~clin_sig.between(0, 1)
    if outside.any():
        raise ChallengeError(f"{published['finding_key'][outside].iloc[0]}: a probability is a number from 0 to 1.")
    columns = (published["patient_id"], published["finding_id"], clin_sig)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
