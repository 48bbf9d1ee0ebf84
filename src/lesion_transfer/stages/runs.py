"""Tool `lesion runs`: which runs MLflow holds, and which of them made a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD

from lesion_transfer.tracking import MODEL_TAG, SQLITE, open_store, project_root, tracking_uri


@dataclass(frozen=True)
class ListedRun:
    """One run as `lesion runs` shows it; best_validation_auc is None where the run has none."""

    run_id: str
    name: str
    status: str
    pipeline: str
    lr: str
    best_validation_auc: float | None
    model_sha256: str


def list_runs(names: Sequence[str] = (), *, members: bool = False) -> list[ListedRun]:
    """The runs of the experiment, newest first; only those of the phases in `names`, if given.

    members: also the trainings of a grid, the replicates, initialisations and arms under each run, called PHASE MEMBER.
    Nothing where there is no store; none is made.
    """
    if not _is_store():
        return []
    client, experiment_id = open_store()
    stages = "" if members else "tags.`dvc.stage` LIKE '%'"
    found = client.search_runs(
        [experiment_id], stages, order_by=["start_time DESC"], max_results=SEARCH_MAX_RESULTS_THRESHOLD
    )
    return [
        ListedRun(
            run.info.run_id,
            str(run.info.run_name),
            run.info.status,
            run.data.tags.get("lesion.pipeline", ""),
            run.data.params.get("lr", ""),
            run.data.metrics.get("best_validation_auc"),
            run.data.tags.get(MODEL_TAG, ""),
        )
        for run in found
        if not names or str(run.info.run_name).partition(" ")[0] in names
    ]


def runs_of_models(model_sha256s: Sequence[str]) -> dict[str, list[str]]:
    """The ids of the runs that made each model, newest first; nothing where there is no store (none is made)."""
    if not _is_store():
        return {}
    client, experiment_id = open_store()
    made: dict[str, list[str]] = {}
    for sha256 in dict.fromkeys(model_sha256s):
        query = f"tags.`{MODEL_TAG}` = '{sha256}'"
        runs = client.search_runs([experiment_id], query, order_by=["start_time DESC"])
        made[sha256] = [run.info.run_id for run in runs]
    return made


def _is_store() -> bool:
    uri = tracking_uri(project_root())
    return not uri.startswith(SQLITE) or Path(uri.removeprefix(SQLITE)).is_file()
