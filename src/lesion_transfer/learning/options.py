"""What a training can be told: the network, the augmentation and the hyperparameters of one phase."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from lesion_transfer.options import Options

Loss = Literal["cross_entropy", "cross_entropy_on_softmax", "l1", "mse"]
Score = Literal["loss", "accuracy", "balanced_accuracy", "precision", "recall", "f1score", "specificity", "auc"]
OptimizedMetric = Literal[
    "auc_and_balanced_accuracy",
    "auc_and_accuracy",
    "auc",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1score",
    "specificity",
]
ArchitectureName = Literal["thesis_vgg", "xmasnet", "habib", "resnet18", "resnet50", "vgg16", "inception"]

Balance = Literal["augmentation", "undersampling"]


def _off_of_yaml(value: object) -> object:
    """`off` without quotes is false to some readers of YAML."""
    return "off" if value is False else value


Autocast = Annotated[Literal["off", "bfloat16"], BeforeValidator(_off_of_yaml)]

_HIDDEN_OF_OTHERS: Mapping[ArchitectureName, int] = {"xmasnet": 2, "vgg16": 2}


class NetworkOptions(Options):
    """The network of the thesis (chapter 5), whose sizes are parameters, or one of others with its published sizes."""

    architecture: ArchitectureName = "thesis_vgg"
    """filters, dense, dropout_after_dense and conv_bias are those of thesis_vgg; the others have their own."""
    filters: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=3, max_length=3)] = Field(
        default=[32, 64, 128]
    )
    """Filters of the three convolution blocks."""
    dense: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field(default=[256, 64, 16])
    """Widths of the dense layers between the flattened features and the two outputs."""
    cut: Annotated[int, Field(ge=1)] = 1
    """How many dense layers belong to the feature extractor; the rest is the decision maker."""
    dropout_after_dense: list[Annotated[int, Field(ge=1)]] = Field(default=[1])
    """The dense layers (counted from 1) that are followed by dropout; the reproduction has [1, 2]."""
    conv_bias: bool = False
    """Biases before a BatchNorm have no effect on the output; the thesis's code has them."""
    initialisation: Literal["default", "xavier", "kaiming"] = "default"

    @model_validator(mode="after")
    def _layers_exist(self) -> Self:
        n_hidden = self.n_hidden
        if self.architecture != "thesis_vgg":
            if n_hidden and self.cut > n_hidden:
                raise ValueError(f"cut is {self.cut}, but {self.architecture} has {n_hidden} hidden dense layers")
            return self
        if self.cut > n_hidden:
            raise ValueError(f"cut is {self.cut}, but dense has {n_hidden} layers that could belong to the extractor")
        if beyond := [layer for layer in self.dropout_after_dense if layer > n_hidden]:
            raise ValueError(f"dropout_after_dense names layer {beyond[0]}, but dense has {n_hidden}")
        return self

    @property
    def n_hidden(self) -> int:
        """Hidden dense layers of the architecture."""
        return len(self.dense) if self.architecture == "thesis_vgg" else _HIDDEN_OF_OTHERS.get(self.architecture, 0)


class AugmentationOptions(Options):
    """Ranges from which one affine map a sample is drawn (thesis 5.2.1; stretch, vertical shift: Song 2018)."""

    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 20.0
    horizontal_flip_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    horizontal_shift_px: Annotated[int, Field(ge=0)] = 1
    vertical_shift_px: Annotated[int, Field(ge=0)] = 0
    stretch_min: Annotated[float, Field(gt=0, le=1)] = 1.0
    stretch_max: Annotated[float, Field(ge=1)] = 1.0

    def required_margin(self, patch_pixels: int) -> int:
        """Pixels needed around the patch on each side so that no drawn map leaves what is stored."""
        half = (patch_pixels - 1) / 2
        widest = math.radians(self.rotation_degrees)
        along, down = half + self.horizontal_shift_px, half + self.vertical_shift_px
        reach = max(
            _longest_projection(along, down, widest) / self.stretch_min, _longest_projection(down, along, widest)
        )
        return math.ceil(reach - half - 1e-9)


def _longest_projection(along: float, across: float, widest: float) -> float:
    """The largest |along| cos(a) + |across| sin(a) for 0 <= a <= widest (radians)."""
    angle = min(widest, math.atan2(across, along))
    return along * math.cos(angle) + across * math.sin(angle)


class TrainingOptions(Options):
    """The hyperparameters of one phase; at the top level of params.yaml they are those of ds1_full."""

    lr: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(ge=2)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    epochs: Annotated[int, Field(ge=1)]
    balance: Balance = "augmentation"
    """augmentation: the smaller class is drawn more often; undersampling: the larger class is thinned out each time."""
    augmentation_factor: Annotated[float, Field(ge=1)]
    """How often an epoch draws each sample of the larger class (undersampling: of the smaller class)."""
    augmentation_mode: Literal["auto", "live", "bank"]
    """live: drawn anew for every use; bank: `bank_copies` fixed copies of each row; auto: bank where frozen."""
    bank_copies: Annotated[int, Field(ge=1)]
    loss: Loss
    optimized_metric: OptimizedMetric
    """By which validation score the best epoch is chosen; a pair means both at least as good as the best so far."""
    plateau_factor: Annotated[float, Field(gt=0, le=1)]
    """The learning rate is multiplied by this when `plateau_metric` stalls; 1 switches the scheduler off."""
    plateau_patience: Annotated[int, Field(ge=0)]
    plateau_metric: Score = "auc"
    """The validation score that the scheduler watches; of the loss less is better."""
    early_stopping_patience: Annotated[int, Field(ge=0)] = 0
    """Stops after so many epochs in a row that did not better `optimized_metric`; 0 trains all epochs."""
    validation: Literal["plain", "augmented_balanced"]
    """plain: one score a lesion; augmented_balanced: the thesis's way."""
    precision: Literal["float32", "compensated", "float64"]
    """Of the weights' updates: compensated keeps float64 masters of float32 weights."""
    autocast: Autocast = "off"
    """Of the layers' arithmetic while training: bfloat16 where PyTorch holds that safe; scores are as without.

    The roulette's scores come of convolutions in it.
    """

    @model_validator(mode="after")
    def _autocast_has_an_effect(self) -> Self:
        if self.autocast != "off" and self.precision == "float64":
            raise ValueError("autocast is bfloat16 and precision is float64, which contradict each other")
        return self


class CrossValidationOptions(Options):
    """By which cross-validation inside its training rows a phase finds its learning rate."""

    folds: Annotated[int, Field(ge=2)]
    lrs: list[Annotated[float, Field(gt=0)]]
    """The rates tried; empty: no cross-validation, the phase's own `lr` is used."""

    @model_validator(mode="after")
    def _rates_differ(self) -> Self:
        if len(set(self.lrs)) != len(self.lrs):
            raise ValueError("lrs has a learning rate twice")
        return self


class GradientLimits(Options):
    """When a training stops before the step that would spoil it; None never."""

    exploding: Annotated[float, Field(gt=0)] | None = 1e6
    """The largest |gradient| that is allowed."""
    vanishing: Annotated[float, Field(ge=0, lt=1)] | None = 1e-12
    """The smallest share of the largest |gradient| of all layers that the largest of a layer may be for long."""
