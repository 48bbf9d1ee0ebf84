"""The model card of one model in Markdown, under the headings of Mitchell et al. 2019 (Model cards)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lesion_transfer.evaluation.metrics import METRICS
from lesion_transfer.reporting.content import CohortRow, DatasetRow
from lesion_transfer.reporting.numbers import estimate_text
from lesion_transfer.reporting.report import flattened
from lesion_transfer.reporting.style import metric_label


@dataclass(frozen=True)
class ModelScores:
    """What a predictions table says of a model on findings that chose nothing; every estimate as in evaluation.json."""

    plain: Mapping[str, Mapping[str, Any]]
    """By metric, positive from a probability of `threshold` on."""
    enhanced: Mapping[str, Mapping[str, Any]] | None
    """The same of the mean over `copies` augmented copies of a finding."""
    copies: int
    probabilities: Mapping[str, Any]
    """As `evaluation.probabilities.assess_probabilities` gives it."""
    subgroups: Mapping[str, Mapping[str, Any]]
    """AUC by group: zones, and patients as wholes."""
    n_draws: int
    threshold: float = 0.5

    @property
    def metrics(self) -> list[str]:
        """The names of `plain`, in the order of all reports."""
        return [name for name in METRICS if name in self.plain]


@dataclass(frozen=True)
class ModelCard:
    """One model: what it is, what it was trained and tested on, what it reached."""

    name: str
    made_by: str
    """A sentence: how the model came about."""
    files: Sequence[str]
    """Of the model, relative to the repository."""
    model_sha256: Sequence[str]
    architecture: str
    n_parameters: int
    channels: Sequence[str]
    patch_pixels: int
    cohort: CohortRow
    """The one whose lesions it classifies."""
    target: Mapping[str, Any]
    """That cohort's settings, how an image is made."""
    training: Sequence[CohortRow]
    """What it and its ancestors were trained on, in order."""
    datasets: Sequence[DatasetRow]
    hyperparameters: Mapping[str, Any]
    seed: int
    best_epoch: int | None
    near_duplicates_sought: bool = True
    """Whether the split kept images together that nearly agree."""
    lineage: Sequence[Mapping[str, Any]] = ()
    """Ancestors, the oldest first: phase, model_sha256, epochs."""
    tested: ModelScores | None = None
    """None: no label of its test findings is known."""
    selected_on: Mapping[str, float] = field(default_factory=dict)
    """Validation scores of the best epoch, which they chose."""
    comparisons: Sequence[tuple[str, str]] = ()
    """What stands beside it: a label and an AUC with its interval, or a sentence."""
    verdicts: Sequence[tuple[str, str]] = ()
    """Whether transfer helped: by what, and the sentence."""
    test_note: str = ""
    """A sentence on the test findings, where there is more to say."""
    caveats: Sequence[str] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """Files that the numbers were computed from, with their SHA-256."""

    @property
    def phantoms(self) -> list[str]:
        return [dataset.name for dataset in self.datasets if dataset.is_phantom]


def render_model_card(card: ModelCard) -> str:
    """The card as Markdown; the same card gives the same text."""
    environment = Environment(
        loader=PackageLoader("lesion_transfer", "reporting"),
        autoescape=False,  # Markdown; `cell` keeps what comes from tables within its cell
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _cell, "estimate": estimate_text, "label": metric_label, "value": _value}
    return environment.get_template("model_card.md").render(
        card=card, settings=list(flattened(card.hyperparameters)), image=list(flattened(card.target))
    )


def _value(value: float | None) -> str:
    return "not defined: one class" if value is None else f"{value:.3f}"


def _cell(text: object) -> str:
    """Text that stays within a cell of a Markdown table and is no markup: names come from tables of others."""
    cleaned = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    for sign in "\\|`*_[]":
        cleaned = cleaned.replace(sign, f"\\{sign}")
    return cleaned
