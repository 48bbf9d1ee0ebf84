"""params.yaml as typed, frozen objects; anything wrong in it is one sentence that names the key."""

import re
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lesion_transfer.backends.options import BackendOptions
from lesion_transfer.cohorts.options import CheckOptions, CohortOptions, SplitOptions
from lesion_transfer.datasets.options import CHANNELS_OF_KIND, DatasetOptions
from lesion_transfer.errors import LesionError
from lesion_transfer.learning.options import (
    AugmentationOptions,
    CrossValidationOptions,
    GradientLimits,
    NetworkOptions,
    TrainingOptions,
)
from lesion_transfer.options import Options
from lesion_transfer.transfer.arms import Step, arm_steps
from lesion_transfer.transfer.options import (
    BEFORE,
    TARGET,
    ArmOptions,
    ChallengeOptions,
    LedgerOptions,
    Overrides,
    ReproductionOptions,
    inherited,
)
from lesion_transfer.transfer.plan import FIRST_PHASE, KEEP, RESET, Phase, PlanError, ancestors, order_phases

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
RESERVED_PHASES = {
    FIRST_PHASE,
    KEEP,
    RESET,
    "roulette",
    "reproduction",
    "challenge",
    "arms",
    "baselines",
    "ledger",
    "members",
    "evaluation",
}
LEAST_PATCH_PIXELS = 36
"""What is left of it after the three blocks of thesis_vgg is one pixel (learning/architectures/thesis_vgg.py)."""
HYPERPARAMETERS = tuple(TrainingOptions.model_fields)
"""The keys that a phase inherits from the top level of params.yaml where its own entry says null."""


class SettingsError(LesionError):
    """params.yaml cannot be used: a sentence a fault, each with its key."""


class PhaseEntry(Options):
    """One entry of `transfer`, without its hyperparameters."""

    cohort: str
    start: str
    decision_maker: str
    frozen: bool
    cv: CrossValidationOptions | None = None


class InheritingPhaseEntry(PhaseEntry, Overrides):
    """One entry of `transfer`: a hyperparameter that is null is the top level's."""


class GradientFlowOptions(GradientLimits):
    """Which of a phase's gradients MLflow gets figures of, and the limits at which a training stops."""

    every: Literal["auto", "batch", "epoch"] | Annotated[int, Field(ge=1)] = "auto"
    """auto: every epoch, above 50 epochs 20 of them spread over the phase; a number: every so many epochs."""


class RouletteOptions(Options):
    """How many random initialisations are scored on the validation rows (THESIS 6)."""

    n: Annotated[int, Field(ge=1)]


class EvaluationOptions(Options):
    """Which two phases are compared on the test subset, the bootstrap's draws, and the copies a lesion is read in."""

    before: str
    after: str
    bootstrap_draws: Annotated[int, Field(ge=100)]
    enhanced_copies: Annotated[int, Field(ge=0)]


class Settings(TrainingOptions):
    """The whole of params.yaml; its top-level hyperparameters are those of ds1_full."""

    seed: Annotated[int, Field(ge=0)]
    threads: Annotated[int, Field(ge=1)]
    """CPU threads of a training: part of the settings because other threads give other last bits."""
    device: Literal["cpu", "cuda", "auto"]
    deterministic: bool = True
    """On a GPU: only kernels that repeat bit for bit, and float32 products; false: the fastest ones, and TF32."""
    stack_members: bool = True
    """Whether the grid of a frozen phase learns side by side (learning/stacked.py), equal but for rounding."""
    backend: BackendOptions
    cv: CrossValidationOptions
    target: str
    network: NetworkOptions
    augmentation: AugmentationOptions
    gradient_flow: GradientFlowOptions = GradientFlowOptions()
    initial_model: Annotated[str, Field(min_length=1)] = "models/roulette"
    """The folder of the model that ds1_full starts from."""
    roulette: RouletteOptions
    datasets: Annotated[dict[Name, DatasetOptions], Field(min_length=1)]
    cohorts: Annotated[dict[Name, CohortOptions], Field(min_length=1)]
    checks: CheckOptions = CheckOptions()
    split: SplitOptions
    transfer: dict[Name, InheritingPhaseEntry]
    evaluation: EvaluationOptions
    arms: Annotated[dict[Name, ArmOptions], Field(min_length=1)]
    ledger: LedgerOptions
    reproduction: ReproductionOptions
    challenge: Annotated[dict[Name, ChallengeOptions], Field(max_length=1)]
    """By the cohort of the test findings; none: no challenge."""

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        _known(self.target, self.cohorts, "target", "cohort")
        for name, cohort in self.cohorts.items():
            _known(cohort.dataset, self.datasets, f"cohorts.{name}.dataset", "data set")
            kind = self.datasets[cohort.dataset].kind
            if cohort.slice_rule.startswith("position") and kind != "lungx":
                raise ValueError(f"cohorts.{name}.slice_rule: {cohort.slice_rule} is a rule of data sets of kind lungx")
            for channel in cohort.channels:
                known = CHANNELS_OF_KIND.get(kind, cohort.channels)
                _known(channel, dict.fromkeys(known), f"cohorts.{name}.channels", f"channel of kind {kind} called")
        for name, dataset in self.datasets.items():
            if dataset.source == "phantom" and dataset.phantom is None:
                raise ValueError(f"datasets.{name}.phantom: its size is needed, since source is phantom")
        channels = self.cohorts[self.target].image_channels
        for name, entry in self.transfer.items():
            if name in RESERVED_PHASES:
                raise ValueError(f"transfer.{name}: the name is taken; call the phase otherwise")
            _known(entry.cohort, self.cohorts, f"transfer.{name}.cohort", "cohort")
            own = self.cohorts[entry.cohort]
            if len(own.image_channels) != len(channels):
                raise ValueError(
                    f"transfer.{name}.cohort: {entry.cohort} has {len(own.image_channels)} channels, the target "
                    f"{self.target} has {len(channels)}; one network cannot read both"
                )
            if own.patch_pixels != self.cohorts[self.target].patch_pixels:
                raise ValueError(f"transfer.{name}.cohort: {entry.cohort} has another patch_pixels than the target")
        for key in ("before", "after"):
            phase = getattr(self.evaluation, key)
            _known(phase, self.phases, f"evaluation.{key}", "phase")
            if self.phases[phase].cohort != self.target:
                raise ValueError(f"evaluation.{key}: {phase} is not trained on the target {self.target}")
        if self.transfer and self.evaluation.before == self.evaluation.after:
            raise ValueError(f"evaluation.after: {self.evaluation.after} is evaluation.before, too; compare two phases")
        return self

    @model_validator(mode="after")
    def _inherited_values_fit(self) -> Self:
        entries: dict[str, Callable[[], TrainingOptions]] = {
            **{f"transfer.{name}": partial(self.hyperparameters, name) for name in self.transfer},
            "reproduction": self.reproduction_hyperparameters,
            **{f"challenge.{name}": partial(self.challenge_hyperparameters, name) for name in self.challenge},
        }
        for key, inherit in entries.items():
            try:
                inherit()
            except ValidationError as error:
                raise ValueError(f"{key}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
        return self

    @model_validator(mode="after")
    def _chapter_5_can_run(self) -> Self:
        _known(self.reproduction.cohort, self.cohorts, "reproduction.cohort", "cohort")
        self.reproduction_network()
        trained = self.cohorts[self.reproduction.cohort]
        for name, entry in self.challenge.items():
            _known(name, self.cohorts, f"challenge.{name}", "cohort")
            test = self.cohorts[name]
            source = self.datasets[test.dataset]
            if (source.kind, source.tables) != ("prostatex", "test"):
                raise ValueError(
                    f"challenge.{name}: datasets.{test.dataset} must be kind: prostatex with tables: test, whose "
                    "findings the challenge asks for"
                )
            if (test.image_channels, test.patch_pixels) != (trained.image_channels, trained.patch_pixels):
                raise ValueError(
                    f"challenge.{name}: its channels and patch_pixels must be those of {self.reproduction.cohort}, "
                    "which the challenge trains on (reproduction.cohort)"
                )
            epochs = self.challenge_hyperparameters(name).epochs
            if late := [epoch for epoch in entry.keep_epochs if epoch > epochs]:
                raise ValueError(f"challenge.{name}.keep_epochs: {late[0]} is beyond the {epochs} epochs of training")
        return self

    @model_validator(mode="after")
    def _phases_form_a_plan(self) -> Self:
        order_phases(self.phases.values())
        return self

    @model_validator(mode="after")
    def _arms_can_be_trained(self) -> Self:
        for name in self.ledger.arms:
            _known(name, self.arms, "ledger.arms", "arm")
            for cohort in self.arms[name].cohorts.values():
                _known(cohort, {TARGET: None, **self.cohorts}, f"arms.{name}.cohorts", "cohort")
            steps = self.arm_steps(name)
            for step in steps:
                own, target = self.cohorts[step.phase.cohort], self.cohorts[self.target]
                if len(own.image_channels) != len(target.image_channels):
                    raise ValueError(f"arms.{name}.cohorts: {step.phase.cohort} has another number of channels")
                if own.patch_pixels != target.patch_pixels:
                    raise ValueError(
                        f"arms.{name}.cohorts: {step.phase.cohort} has another patch_pixels than the target"
                    )
            if steps[-1].phase.cohort != self.target:
                raise ValueError(f"arms.{name}.phases: it ends with {steps[-1].phase.name}, not on the target")
        if self.ledger.reference != BEFORE:
            others = dict.fromkeys([BEFORE, *self.ledger.arms[1:]])
            _known(self.ledger.reference, others, "ledger.reference", "other arm")
        return self

    @model_validator(mode="after")
    def _patches_are_large_enough(self) -> Self:
        for name in dict.fromkeys([*(phase.cohort for phase in self.phases.values()), self.reproduction.cohort]):
            pixels = self.cohorts[name].patch_pixels
            if self.network.architecture == "thesis_vgg" and pixels < LEAST_PATCH_PIXELS:
                raise ValueError(
                    f"cohorts.{name}.patch_pixels: {pixels}, but the three blocks of thesis_vgg need at "
                    f"least {LEAST_PATCH_PIXELS}"
                )
        return self

    @model_validator(mode="after")
    def _margins_reach(self) -> Self:
        for name in sorted({*self.trained_cohorts, self.reproduction.cohort}):
            cohort = self.cohorts[name]
            needed = self.augmentation.required_margin(cohort.patch_pixels)
            if cohort.margin_pixels < needed:
                raise ValueError(
                    f"cohorts.{name}.margin_pixels: {cohort.margin_pixels}, but the augmentation turns and shifts "
                    f"patches of {cohort.patch_pixels} pixels by up to {needed} pixels; raise it, or narrow the "
                    "augmentation"
                )
        return self

    @cached_property
    def phases(self) -> dict[str, Phase]:
        """All phases by name, ds1_full first, then in the order of params.yaml."""
        first = Phase(FIRST_PHASE, self.target, None, KEEP, False)
        rest = (Phase(n, e.cohort, e.start, e.decision_maker, e.frozen) for n, e in self.transfer.items())
        return {phase.name: phase for phase in (first, *rest)}

    def hyperparameters(self, phase: str) -> TrainingOptions:
        """Those of one phase, with null replaced by the top level's value."""
        top = TrainingOptions(**{key: getattr(self, key) for key in HYPERPARAMETERS})
        return top if phase == FIRST_PHASE else inherited(self.transfer[phase], top)

    def reproduction_hyperparameters(self) -> TrainingOptions:
        """Those of the reproduction, with null replaced by the top level's value."""
        return inherited(self.reproduction, self.hyperparameters(FIRST_PHASE))

    def reproduction_network(self) -> NetworkOptions:
        """The network of the reproduction and the challenge: `network` with their own cut and dropout."""
        hidden = self.network.n_hidden
        if self.network.architecture == "thesis_vgg" and self.reproduction.cut > hidden:
            raise ValueError(f"reproduction.cut: {self.reproduction.cut}, but network.dense has {hidden} layers")
        own = {
            "cut": min(self.reproduction.cut, max(hidden, 1)),
            "dropout_after_dense": self.reproduction.dropout_after_dense,
        }
        return NetworkOptions(**{**self.network.model_dump(), **own})

    def challenge_hyperparameters(self, test_cohort: str) -> TrainingOptions:
        """Those of the challenge, with null replaced by the reproduction's value; there is no scheduler (5.3.1)."""
        found = inherited(self.challenge[test_cohort], self.reproduction_hyperparameters())
        return found.model_copy(update={"plateau_factor": 1.0})

    @cached_property
    def trained_cohorts(self) -> set[str]:
        """The cohorts that a phase or an arm trains on: weights are handed on from one to the next."""
        steps = (step for name in self.ledger.arms for step in self.arm_steps(name))
        return {*(phase.cohort for phase in self.phases.values()), *(step.phase.cohort for step in steps)}

    def arm_steps(self, arm: str) -> list[Step]:
        """The phases of an arm of the ledger, complete, with the ledger's share of their epochs."""
        last = self.evaluation.after
        hyperparameters = {name: self.hyperparameters(name) for name in self.phases}
        chain = [*reversed(ancestors(last, self.phases)), last]
        asked = self.arms[arm]
        cohorts = {old: self.target if new == TARGET else new for old, new in asked.cohorts.items()}
        steps = arm_steps(arm, asked.model_copy(update={"cohorts": cohorts}), self.phases, chain, hyperparameters)
        return [step.with_epochs(self.ledger.epochs_scale) for step in steps]

    def cross_validation(self, phase: str) -> CrossValidationOptions:
        """That of one phase; null in its entry is the top level's."""
        own = self.transfer[phase].cv if phase != FIRST_PHASE else None
        return own or self.cv

    def dataset_of(self, cohort: str) -> str:
        """The data set that a cohort is cut from."""
        return self.cohorts[cohort].dataset

    def is_phantom(self, cohort: str) -> bool:
        """Whether a cohort's images were generated."""
        return self.datasets[self.dataset_of(cohort)].source == "phantom"


def _known(name: str, known: dict[str, Any], key: str, what: str) -> None:
    if name not in known:
        raise ValueError(f"{key}: there is no {what} {name!r}; there are {', '.join(known)}")


def load_settings(path: Path) -> Settings:
    """params.yaml as settings; raises SettingsError with a line for each fault.

    ruamel reads YAML 1.2, where `1e-08` (as DVC writes it) is a number; PyYAML would make it text.
    """
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist; `lesion preset demo` writes one") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} holds no settings; `lesion preset demo` writes them")
    return settings_from(content, path.name)


def settings_from(content: dict[str, Any], origin: str = "params.yaml") -> Settings:
    """Settings of the parsed content of a params.yaml; raises SettingsError."""
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(origin, fault) for fault in error.errors())) from None
    except PlanError as error:
        raise SettingsError(f"{origin}: {error}") from None


def _sentence(origin: str, fault: Any) -> str:
    # pydantic names the kinds of a value that may be of several, too
    key = ".".join(str(part) for part in fault["loc"] if not re.match(r"\[key\]|literal\[|constrained-", str(part)))
    if fault["type"] == "extra_forbidden":
        return f"{origin}: {key}: no such setting; check the spelling"
    if fault["type"] == "missing":
        return f"{origin}: {key}: the setting is missing"
    message = re.sub("^(Input|String|List|Dictionary) should", "it should", fault["msg"].removeprefix("Value error, "))
    message = re.sub(" after validation, not [0-9]+$", "", message)
    if fault["type"] == "value_error":
        return f"{origin}: {key}: {message}" if key else f"{origin}: {message}"
    return f"{origin}: {key}: {message}, not {fault['input']!r}"
