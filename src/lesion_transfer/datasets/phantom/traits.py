"""What tells malignant from benign: three hidden traits a lesion, whose distributions overlap."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from lesion_transfer.datasets.phantom.draws import unit_normals
from lesion_transfer.options import Options

Share = Annotated[float, Field(gt=0, lt=1)]


class ClassOptions(Options):
    """How the classes differ. Each trait is normal with variance 1; the means are this far apart at signal 1.

    The best reader there can be weighs the traits by these numbers and reaches AUC = Phi(sqrt(sum of squares / 2)).
    """

    positive_share: Share
    contrast: Annotated[float, Field(ge=0)]
    border: Annotated[float, Field(ge=0)]
    texture: Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Traits:
    """Standard deviations from the middle between the classes' means; higher looks more malignant."""

    contrast: float
    border: float
    texture: float


def draw_traits(generator: np.random.Generator, label: bool, classes: ClassOptions, signal: float) -> Traits:
    """The traits of one lesion. At signal 0 the label has no part in them."""
    shift = (0.5 if label else -0.5) * signal
    contrast, border, texture = unit_normals(generator, 3)
    return Traits(
        contrast=contrast + shift * classes.contrast,
        border=border + shift * classes.border,
        texture=texture + shift * classes.texture,
    )
