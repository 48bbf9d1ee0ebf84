"""The eight scores of an epoch, from labels and probabilities (thesis 5.2.3)."""

import numpy as np
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

METRICS = ("loss", "accuracy", "balanced_accuracy", "precision", "recall", "f1score", "specificity", "auc")
THRESHOLD = 0.5


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray, loss: float) -> dict[str, float]:
    """The scores named in METRICS, in that order, at a threshold of 0.5 on the positive probability.

    labels: (n,) 0 or 1; probabilities: (n,) of the positive class; loss: passed through. 0 / 0 is 0; the AUC of one
    class only is nan; balanced accuracy is the mean recall of the classes present; without labels every score is nan.
    """
    if len(labels) == 0:
        return dict.fromkeys(METRICS, float("nan"))
    predicted = (probabilities >= THRESHOLD).astype(np.int64)
    precision, recall, f1score, support = precision_recall_fscore_support(
        labels, predicted, labels=[0, 1], zero_division=0
    )
    present = support > 0
    return {
        "loss": float(loss),
        "accuracy": float(np.mean(predicted == labels)),
        "balanced_accuracy": float(np.mean(recall[present])),
        "precision": float(precision[1]),
        "recall": float(recall[1]),
        "f1score": float(f1score[1]),
        "specificity": float(recall[0]),
        "auc": float(roc_auc_score(labels, probabilities)) if present.all() else float("nan"),
    }
