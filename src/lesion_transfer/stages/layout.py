"""Where everything lies: the only place that spells the paths of INTERFACES."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lesion_transfer.errors import LesionError
from lesion_transfer.settings import Settings, load_settings

T = TypeVar("T")


class StageError(LesionError):
    """A stage cannot run: a sentence that says what is missing and which command makes it."""


@dataclass(frozen=True)
class Layout:
    """The files of one checkout."""

    root: Path

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def settings_checked(self) -> Path:
        return self.root / "data" / "settings_checked.txt"

    @property
    def cohort_datasets(self) -> Path:
        """Which data set each cohort is cut from."""
        return self.root / "data" / "cohort_datasets.csv"

    def recipe(self, kind: str) -> Path:
        """The phantom recipe of a kind of data set."""
        return self.root / "phantom" / f"{kind}.yaml"

    def raw(self, dataset: str) -> Path:
        return self.root / "data" / "raw" / dataset

    def manifest(self, dataset: str) -> Path:
        return self.raw(dataset) / "manifest.csv"

    def tables(self, dataset: str) -> Path:
        return self.raw(dataset) / "tables"

    def generated(self, dataset: str) -> Path:
        """The phantom's own files; an empty folder where the source is the user's."""
        return self.raw(dataset) / "images"

    def source(self, settings: Settings, dataset: str) -> Path:
        """The folder that holds the images: generated, or the user's own copy.

        Raises StageError for a copy in a folder that a stage empties, or around one: it would be deleted, or change.
        """
        given = settings.datasets[dataset].source
        if given == "phantom":
            return self.generated(dataset)
        source = (self.root / given).absolute()
        emptied = [place.resolve() for name in settings.datasets for place in (self.tables(name), self.generated(name))]
        real = source.resolve()
        if any(real.is_relative_to(place) or place.is_relative_to(real) for place in emptied):
            raise StageError(
                f"params.yaml: datasets.{dataset}.source: {given} holds, or lies in, what the pipeline writes to "
                "data/raw; keep your own files in a folder of their own"
            )
        return source

    def cohort(self, cohort: str) -> Path:
        return self.root / "data" / "cohorts" / cohort

    def check(self, cohort: str) -> Path:
        return self.reports / "checks" / f"{cohort}.json"

    def check_pictures(self, cohort: str) -> Path:
        return self.reports / "checks" / cohort

    def checked(self, cohort: str) -> Path:
        return self.root / "data" / "checked" / f"{cohort}.txt"

    def split(self, dataset: str) -> Path:
        return self.root / "data" / "splits" / f"{dataset}.csv"

    @property
    def assigned_folder(self) -> Path:
        return self.root / "data" / "assigned"

    def assigned(self, cohort: str) -> Path:
        return self.assigned_folder / f"{cohort}.csv"

    @property
    def outer_folds(self) -> Path:
        """Of the ledger: every finding of the target's data set by repeat and fold."""
        return self.root / "data" / "outer_folds.csv"

    @property
    def models(self) -> Path:
        return self.root / "models"

    def model(self, phase: str, replicate: int = 0) -> Path:
        """A phase's folder; replicates beyond the first lie in it, in members/rNNN."""
        folder = self.models / phase
        return folder if replicate == 0 else folder / "members" / f"r{replicate:03d}"

    def predictions(self, phase: str) -> Path:
        return self.model(phase) / "predictions.csv"

    def challenge_model(self, epoch: int, replicate: int = 0) -> Path:
        return self.model("challenge", replicate) / f"epoch_{epoch:03d}"

    @property
    def arms(self) -> Path:
        """The ledger's predictions, ARM/PHASE/predictions.csv."""
        return self.models / "arms"

    @property
    def ledger(self) -> Path:
        return self.reports / "ledger.json"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def metrics(self, phase: str) -> Path:
        return self.reports / f"{phase}.json"

    @property
    def evaluation(self) -> Path:
        return self.reports / "evaluation.json"

    @property
    def baselines(self) -> Path:
        return self.reports / "baselines.json"

    @property
    def baseline_predictions(self) -> Path:
        return self.reports / "baselines.csv"

    @property
    def curves(self) -> Path:
        return self.reports / "curves.csv"

    @property
    def reproduction_report(self) -> Path:
        return self.reports / "reproduction.md"

    def challenge_file(self, name: str) -> Path:
        """A submission: epoch_NNN, that of another replicate rNNN_epoch_NNN, or ensemble."""
        return self.reports / "challenge" / f"{name}.csv"

    @property
    def report(self) -> Path:
        return self.reports / "report.html"

    def model_card(self, model: str | None) -> Path:
        """That of the transfer's last model (None), or of another."""
        return self.reports / ("model_card.md" if model is None else f"model_cards/{model}.md")

    def settings(self) -> Settings:
        """params.yaml, checked as a whole."""
        return load_settings(self.params)


def find_layout(start: Path | None = None) -> Layout:
    """The checkout around `start` (default: here); StageError where no folder above holds a dvc.yaml."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            return Layout(folder)
    raise StageError(f"{here} is not inside a project: no folder above it holds a dvc.yaml. Change into your clone.")


def entry(entries: Mapping[str, T], name: str, what: str) -> T:
    """The entry `name` of a section of params.yaml; StageError that lists the names there are."""
    try:
        return entries[name]
    except KeyError:
        raise StageError(f"there is no {what} {name!r} in params.yaml; there are {', '.join(entries)}") from None


def require(path: Path, made_by: str) -> Path:
    """`path` when it exists; StageError with the command that makes it otherwise."""
    if not path.exists():
        raise StageError(f"{path} is missing; `dvc repro` or `{made_by}` makes it, `dvc pull` fetches it.")
    return path


def read_json(path: Path, made_by: str) -> dict[str, Any]:
    """A JSON object that an earlier stage wrote."""
    content: dict[str, Any] = json.loads(require(path, made_by).read_text(encoding="utf-8"))
    return content
