"""A pipeline's global performance: the first phase's decision maker on the current extractor (thesis 6.4.3)."""

import copy
from collections.abc import Callable

from lesion_transfer.learning.augmentation import centre_crop
from lesion_transfer.learning.balance import labelled
from lesion_transfer.learning.data import TrainingData
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import Loss
from lesion_transfer.learning.scoring import ScoredRows, outputs, score


def target_probe(
    decision_maker_of: LesionNetwork, data: TrainingData, patch_pixels: int, loss: Loss
) -> Callable[[LesionNetwork], dict[str, float]]:
    """A function of a network that gives target_{train,validation}_{the 8 metrics}.

    Its extractor with the decision maker of `decision_maker_of` (a copy, as it is now) is scored on the target's plain
    train and validation rows, everything in eval mode; the network is left as it was.
    """
    decision_maker = copy.deepcopy(decision_maker_of.decision_maker)
    subsets = {"train": data.train_rows, "validation": data.validation_rows}
    rows = {name: labelled(data.labels, subset) for name, subset in subsets.items()}
    images = {name: centre_crop(data.images[subset], patch_pixels) for name, subset in rows.items()}

    def probe(network: LesionNetwork) -> dict[str, float]:
        scores: dict[str, float] = {}
        decision_maker.to(next(network.parameters()).device)
        for name, subset in rows.items():
            features = outputs(network.feature_extractor, images[name])
            found = score(decision_maker, ScoredRows(features, data.labels[subset]), loss_function(loss))
            scores |= {f"target_{name}_{metric}": value for metric, value in found.items()}
        return scores

    return probe
