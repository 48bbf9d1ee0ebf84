"""Labels dealt out anew, as a control: the images stay, what they have to do with the labels goes."""

import numpy as np


def permuted_by_patient(
    labels: np.ndarray, patients: np.ndarray, rows: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """A copy of labels (n,) in which those of `rows` (m,) are dealt out anew; the others stay.

    The labels are taken up patient by patient, the patients in random order, and dealt to the rows in the order of
    their patients: the number of each label stays, and the labels of one patient stay together as far as patients have
    equally many findings. patients: (n,) ids. Depends on the set of patients, not on the order of the rows' patients.
    """
    dealt = labels.copy()
    _, number = np.unique(patients[rows], return_inverse=True)
    shuffled = generator.permutation(number.max() + 1) if len(rows) else number
    taken = rows[np.argsort(shuffled[number], kind="stable")]
    dealt[rows[np.argsort(number, kind="stable")]] = labels[taken]
    return dealt
