"""Everything that the report shows, as data; a stage fills it in, the report only lays it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lesion_transfer.reporting.pictures import Picture

QUESTION = "Does knowledge of other body parts help to classify lesions of the target?"


@dataclass(frozen=True)
class DatasetRow:
    """Where a data set comes from; `licence` and `citation` are text, `url` an https address or empty."""

    name: str
    kind: str
    is_phantom: bool
    licence: str
    citation: str = ""
    url: str = ""
    may_identify: bool = False
    """Images that do not say that patient identity was removed were allowed."""


@dataclass(frozen=True)
class CohortRow:
    """Counts of one cohort: findings with a patch, and what was left out by reason."""

    name: str
    dataset: str
    channels: tuple[str, ...]
    n_findings: int
    n_positive: int
    n_negative: int
    n_patients: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    subsets: Mapping[str, int] = field(default_factory=dict)
    """Findings by subset (train, validation, test) of the first replicate."""

    @property
    def n_unlabelled(self) -> int:
        return self.n_findings - self.n_positive - self.n_negative


@dataclass(frozen=True)
class PhaseRow:
    """One phase: its settings as run, and its best epoch with the validation scores that chose it."""

    name: str
    cohort: str
    start: str
    """The phase whose best model it starts from; for the first "roulette", or which of the user's models."""
    decision_maker: str
    """keep, reset, or the phase whose decision maker is attached."""
    frozen: bool
    lr: float
    batch_size: int
    dropout: float
    epochs: int
    best_epoch: int | None = None
    validation_auc: float | None = None
    validation_balanced_accuracy: float | None = None
    model_sha256: str = ""


@dataclass(frozen=True)
class CheckRow:
    """What reports/checks/COHORT.json says of a cohort, and its montages."""

    name: str
    red_dots: Mapping[str, Any]
    faulty_patches: Mapping[str, Sequence[str]]
    """Findings and channels by fault: nan, black, constant."""
    patients_joined: Sequence[Sequence[str]]
    """Groups of patients whose slices are near-duplicates."""
    augmented_error_px: float | None = None
    """Of dots sent through a training's augmentation, the largest distance from where the drawn parameters say."""
    fingerprint: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Section:
    """A further part of the report: a heading, a paragraph, a table (header first) and pictures, each optional."""

    title: str
    text: str = ""
    table: tuple[tuple[str, ...], ...] = ()
    caption: str = ""
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class ReportContent:
    """The report. `evaluation` is the content of reports/evaluation.json; tables and pictures may be empty."""

    evaluation: Mapping[str, Any]
    phases: tuple[PhaseRow, ...]
    cohorts: tuple[CohortRow, ...]
    datasets: tuple[DatasetRow, ...]
    checks: tuple[CheckRow, ...] = ()
    title: str = "Lesion transfer"
    question: str = QUESTION
    target: str = ""
    ledger: Mapping[str, Any] = field(default_factory=dict)
    """The content of reports/ledger.json; empty where there is none."""
    forest: Picture | None = None
    pipeline: Picture | None = None
    before_after: Picture | None = None
    phase_summary: Picture | None = None
    global_performance: tuple[Picture, ...] = ()
    findings: tuple[Section, ...] = ()
    """Sections after the comparison: baselines, what the probabilities are worth, single lesions."""
    phase_curves: Mapping[str, tuple[Picture, ...]] = field(default_factory=dict)
    """Pictures by phase: curves, gradients."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """params.yaml as it was; nested keys are shown with dots."""
    model_cards: tuple[str, ...] = ()
    """Files beside the report, relative to its folder."""
    revision: str = ""
    """The Git revision it was made from; empty in the file that DVC versions, whose bytes depend on inputs alone."""
    run_pages: Mapping[str, str] = field(default_factory=dict)
    """By phase, the page of its MLflow run; empty as `revision`."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Files that the numbers were computed from, with their SHA-256."""

    @property
    def phantoms(self) -> tuple[str, ...]:
        return tuple(dataset.name for dataset in self.datasets if dataset.is_phantom)
