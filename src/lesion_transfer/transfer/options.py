"""What params.yaml says of the ledger, its arms, and of thesis chapter 5; no torch, so that settings can check it."""

from typing import TYPE_CHECKING, Annotated, Self, TypeVar

from pydantic import Field, create_model, field_validator, model_validator

from lesion_transfer.learning.options import TrainingOptions
from lesion_transfer.options import Options

T = TypeVar("T")
BEFORE = "before"
"""As the ledger's reference: the first phase of the same fold."""
TARGET = "target"
"""In an arm's `cohorts`: the cohort that params.yaml calls the target."""

if TYPE_CHECKING:
    Overrides = Options
else:
    Overrides = create_model(
        "Overrides",
        __base__=Options,
        **{
            name: (Annotated[(field.annotation, *field.metadata, "or null")] | None, None)
            for name, field in TrainingOptions.model_fields.items()
        },
    )


class ArmOptions(Options):
    """One entry of `arms`: the order of phases that is trained, and what is changed in them."""

    phases: Annotated[list[str], Field(min_length=2)] | None = None
    """In order, ds1_full first; one whose start is left out starts from its nearest ancestor that is there. null: the
    phases that evaluation.after descends from, and itself."""
    cohorts: dict[str, str] = Field(default_factory=dict)
    """A cohort: that which takes its place (or target), with as many updates as the phase has on its own cohort."""
    permuted_labels: list[str] = Field(default_factory=list)
    """Cohorts whose labels are dealt out anew, patient by patient, in the phases on them and on what replaces them."""
    overrides: dict[str, Overrides] = Field(default_factory=dict)
    """Hyperparameters by phase; null is the phase's own value."""


class LedgerOptions(Options):
    """Repeats of an outer cross-validation over all patients of the target; every arm is trained in every fold."""

    repeats: Annotated[int, Field(ge=1)]
    folds: Annotated[int, Field(ge=2)]
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    """Of a fold's training patients, those that choose initialisation and epochs."""
    arms: Annotated[list[str], Field(min_length=1)]
    """Those of `arms` that are trained; the first is the one that the verdict is about."""
    reference: str
    """What its AUC is compared with: before (ds1_full of the same fold), or another arm."""
    epochs_scale: Annotated[float, Field(gt=0)]
    """The epochs of every phase times this, at least one."""
    bootstrap_draws: Annotated[int, Field(ge=100)]
    smallest_difference: Annotated[float, Field(gt=0, lt=0.5)]
    """Of AUC, for which the number of lesions is computed that would tell it."""

    @field_validator("arms")
    @classmethod
    def _each_once(cls, arms: list[str]) -> list[str]:
        return _without_repeats(arms)


def inherited(entry: Overrides, defaults: TrainingOptions) -> TrainingOptions:
    """The hyperparameters of an entry: its own where it has one, else those of `defaults`.

    Raises pydantic's ValidationError where they contradict each other.
    """
    own = {key: getattr(entry, key) for key in TrainingOptions.model_fields}
    taken = {key: value for key, value in own.items() if value is not None}
    return TrainingOptions.model_validate({**defaults.model_dump(), **taken})


class ReproductionOptions(Overrides):
    """The experiment of thesis chapter 5: one training, 80/10/10 by patient; null is the top level's value."""

    cohort: str
    test_share: Annotated[float, Field(gt=0, lt=1)]
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    roulette_n: Annotated[int, Field(ge=1)]
    cut: Annotated[int, Field(ge=1)]
    """Of the network, as in `network`, whose other values hold here too."""
    dropout_after_dense: list[Annotated[int, Field(ge=1)]]

    @model_validator(mode="after")
    def _some_train(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share must add up to less than 1, to leave some to train")
        return self


class ChallengeOptions(Overrides):
    """The challenge (thesis 5.3): all findings train; null is the reproduction's value."""

    keep_epochs: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """Epochs whose model is kept and predicts the test findings."""
    replicates: Annotated[int, Field(ge=1)] = 1
    """Trainings, each from another initialisation and with other random streams, whose models all predict."""
    ensemble: bool
    """Whether the mean of the kept models' probabilities, over epochs and replicates, is written too."""

    @field_validator("keep_epochs")
    @classmethod
    def _each_once(cls, epochs: list[int]) -> list[int]:
        return _without_repeats(epochs)


def _without_repeats(values: list[T]) -> list[T]:
    repeated = next((value for value in values if values.count(value) > 1), None)
    if repeated is not None:
        raise ValueError(f"{repeated} stands twice")
    return values
