"""The bridge between DVC and MLflow: one run a stage or phase, in a store that every worker finds.

history.csv is the truth, MLflow its mirror: nothing here decides a byte that a later stage depends on.
"""

import json
import logging
import math
import os
import platform
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.parse import urlsplit

import psutil
from filelock import FileLock

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, RunStatus, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.time import get_current_time_millis
from sqlalchemy.exc import SQLAlchemyError

from lesion_transfer.errors import LesionError
from lesion_transfer.signals import WholeCalls, terminable

EXPERIMENT = "lesion-transfer"
MODEL_TAG = "lesion.model_sha256"
PROCESS_TAG = "lesion.process"
STOPPED_TAG = "lesion.stopped"
SQLITE = "sqlite:///"
SECONDS_TO_ANSWER = 10
METRICS_A_BATCH = 900  # the server refuses batches of more than 1,000 metrics
log = logging.getLogger(__name__)


class TrackingError(LesionError):
    """The MLflow store cannot be used: a sentence that says which and why."""


def project_root() -> Path:
    """The repository that keeps the store: DVC_ROOT (in queue runs the parent repository), else git's top level."""
    if dvc_root := os.environ.get("DVC_ROOT"):
        return Path(dvc_root)
    found = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else Path.cwd()


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, else mlflow.db in the repository; always absolute, for stages also run in other folders."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    prefix, path = uri[: len(SQLITE)], uri[len(SQLITE) :]
    return f"{SQLITE}{root / path}" if prefix == SQLITE else uri


def without_password(uri: str) -> str:
    """The address as it may be shown: without USER:PASSWORD@."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def _answers(uri: str) -> None:
    """Raises TrackingError where no server is at this address: MLflow itself would try again for minutes."""
    try:
        urllib.request.urlopen(without_password(uri), timeout=SECONDS_TO_ANSWER).close()
    except (OSError, ValueError, HTTPException) as error:
        # an answer of any kind is one, and what else is wrong with it is MLflow's to say
        reason = getattr(error, "reason", error)
        if isinstance(reason, OSError) and not isinstance(reason, (ssl.SSLError, HTTPError)):
            raise TrackingError(
                f"no MLflow server answers at {without_password(uri)} ({reason}). Start it, or correct "
                "MLFLOW_TRACKING_URI; unset, the "
                "store is mlflow.db in this repository."
            ) from error


def open_store() -> tuple[MlflowClient, str]:
    """A client and the experiment's id; a store that does not exist yet is made once, under a file lock.

    Processes that race on a fresh sqlite file leave it broken for good, hence the lock.
    """
    root = project_root()
    uri = tracking_uri(root)
    shown = without_password(uri)
    if uri.startswith("http"):
        _answers(uri)
    (root / ".lesion").mkdir(exist_ok=True)
    with FileLock(root / ".lesion" / "mlflow.lock"):
        mlflow.set_tracking_uri(uri)
        try:
            # a new store puts the artifacts of MLflow's own experiment, Default, below the folder it is made in
            with chdir(root):
                client = MlflowClient(tracking_uri=uri)
            if uri.startswith(SQLITE):
                client = cast(MlflowClient, WholeCalls(client))
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment is not None and experiment.lifecycle_stage == LifecycleStage.DELETED:
                raise TrackingError(
                    f"the experiment {EXPERIMENT} was deleted in the MLflow store {shown}. Bring it back with "
                    f"MLFLOW_TRACKING_URI={shown} mlflow experiments restore "
                    f"--experiment-id {experiment.experiment_id}, "
                    f"or remove it for good with mlflow gc --backend-store-uri {shown} "
                    f"--experiment-ids {experiment.experiment_id}"
                )
            if experiment is not None:
                return client, experiment.experiment_id
            artifacts = (root / "mlartifacts").as_uri() if uri.startswith(SQLITE) else None
            return client, client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        except (mlflow.MlflowException, SQLAlchemyError) as error:
            said = str(error).strip().splitlines()[0].replace(uri, shown)
            raise TrackingError(f"the MLflow store {shown} cannot be used: {said}") from error


def pipeline_id() -> str:
    """One value for all stages of one execution: the experiment's name, else the dvc process that started us.

    LESION_PIPELINE is it where one execution is several dvc processes, as in `make demo`.
    """
    if name := os.environ.get("DVC_EXP_NAME") or os.environ.get("LESION_PIPELINE"):
        return name
    for process in psutil.Process().parents():
        try:
            if any(Path(part).name == "dvc" for part in process.cmdline()[:3]):
                return f"repro-{process.create_time():.0f}-{process.pid}"
        except psutil.Error:
            continue
    return f"single-{psutil.Process().create_time():.0f}-{os.getpid()}"


def canonical(value: object) -> str:
    """The one spelling of a parameter's value: 1e-8, 1e-08 and 0.00000001 are the same text."""
    return repr(value) if isinstance(value, float) else str(value)


def flatten(content: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings as dotted keys, spelled as in params.yaml."""
    flat: dict[str, object] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@dataclass(frozen=True)
class TrackedRun:
    """An open MLflow run; every call writes at once."""

    client: MlflowClient
    run_id: str
    experiment_id: str

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Finite values only (an undefined AUC of one epoch leaves a gap, infinity would be stored as 1.8e308)."""
        self.log_history([(step, values)])

    def log_history(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """The metrics of many steps in as few calls as the server takes; as log_metrics otherwise."""
        now = get_current_time_millis()
        metrics = [Metric(key, float(v), now, n) for n, values in rows for key, v in values.items() if math.isfinite(v)]
        for start in range(0, len(metrics), METRICS_A_BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + METRICS_A_BATCH])

    def log_params(self, params: Mapping[str, object]) -> None:
        """Parameters, nested ones as dotted keys, each in its one spelling."""
        listed = [Param(key, canonical(value)) for key, value in flatten(params).items()]
        for start in range(0, len(listed), 100):
            self.client.log_batch(self.run_id, params=listed[start : start + 100])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags, in one call."""
        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def log_bytes(self, artifact: str, content: bytes) -> None:
        """Stores `content` as the artifact `folder/name`."""
        folder, _, name = artifact.rpartition("/")
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / name
            path.write_bytes(content)
            self.client.log_artifact(self.run_id, str(path), folder or None)

    def log_folder(self, folder: Path, artifact: str) -> None:
        """Stores every file of `folder` below the artifact folder."""
        self.client.log_artifacts(self.run_id, str(folder), artifact)

    def log_data(self, *, name: str, source: str, digest: str, n_rows: int, context: str) -> None:
        """Records a data set of the run: its name, where it lies in the repository, its hash, what it was used for."""
        dataset = Dataset(
            name=name,
            digest=digest[:36],
            source_type="local",
            source=json.dumps({"uri": source}),
            profile=json.dumps({"num_rows": n_rows}),
        )
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    @contextmanager
    def child(
        self,
        name: str,
        *,
        params: Mapping[str, object],
        tags: Mapping[str, str],
        seconds: float = 0.0,
        stopped: str = "",
    ) -> Iterator["TrackedRun"]:
        """A run under this one, of a member of its population that was trained for `seconds` and is logged now.

        So it is open for the block alone: a worker that is killed leaves no run behind. stopped: why it could not go
        on; the run is closed as FAILED then, with the reason as a tag.
        """
        joined = {
            "mlflow.runName": name,
            "mlflow.parentRunId": self.run_id,
            "lesion.pipeline": pipeline_id(),
            "lesion.member": name,
            **_experiment(),
            PROCESS_TAG: _process(),
            **({STOPPED_TAG: stopped} if stopped else {}),
            **tags,
        }
        begun = get_current_time_millis() - round(1000 * seconds)
        run_id = self.client.create_run(self.experiment_id, start_time=begun, run_name=name, tags=joined).info.run_id
        child = TrackedRun(self.client, run_id, self.experiment_id)
        with _closing(self.client, run_id, RunStatus.FAILED if stopped else RunStatus.FINISHED):
            child.log_params(params)
            yield child

    def last_step(self, metric: str) -> int:
        """The largest step at which this metric was logged, 0 where it never was."""
        return max((entry.step for entry in self.client.get_metric_history(self.run_id, metric)), default=0)

    def find_model(self, model_sha256: str) -> str | None:
        """The latest finished run of this experiment that made the model with this hash, or None."""
        query = f"tags.`{MODEL_TAG}` = '{model_sha256}' and attributes.status = 'FINISHED'"
        runs = self.client.search_runs([self.experiment_id], query, max_results=1, order_by=["start_time DESC"])
        return runs[0].info.run_id if runs else None


@contextmanager
def tracked_run(
    name: str, *, stage: str, params: Mapping[str, object], tags: Mapping[str, str], continues: str | None = None
) -> Iterator[TrackedRun]:
    """An MLflow run for the block: FINISHED when it ends, FAILED when it raises or is terminated, KILLED on Ctrl-C.

    continues: the run that an interrupted process left; it is opened again, or, where it is not in this store, named in
    the tag lesion.continues_run. Runs of processes of this machine that are no more are closed as KILLED.
    """
    client, experiment_id = open_store()
    _close_orphans(client, experiment_id)
    joined = {
        "mlflow.runName": name,
        "mlflow.source.name": stage,
        "dvc.stage": stage,
        **_experiment(),
        "lesion.pipeline": pipeline_id(),
        PROCESS_TAG: _process(),
        **({"mlflow.parentRunId": parent} if (parent := _parent(client)) else {}),
        **tags,
    }
    run_id = _reopened(client, experiment_id, continues, joined)
    if run_id is None:
        joined |= {"lesion.continues_run": continues} if continues else {}
        run_id = client.create_run(experiment_id, run_name=name, tags=joined).info.run_id
    run = TrackedRun(client, run_id, experiment_id)
    with _closing(client, run_id), terminable():
        run.log_params(params)
        yield run


@contextmanager
def _closing(client: MlflowClient, run_id: str, end: int = RunStatus.FINISHED) -> Iterator[None]:
    """Closes a run after the block: as `end`, FAILED where it raises, KILLED on Ctrl-C."""
    status = RunStatus.FAILED
    try:
        yield
        status = end
    except KeyboardInterrupt:
        status = RunStatus.KILLED
        raise
    finally:
        client.set_terminated(run_id, RunStatus.to_string(status))


def _reopened(client: MlflowClient, experiment_id: str, run_id: str | None, tags: Mapping[str, str]) -> str | None:
    """Opens an interrupted run again, under the tags of this process; None where it is not in this store (any more).

    Its children are deleted: they are logged anew as their members come back.
    """
    if run_id is None:
        return None
    try:
        found = client.get_run(run_id)
    except mlflow.MlflowException:
        return None
    if found.info.lifecycle_stage == LifecycleStage.DELETED:
        return None
    before = found.data.tags
    client.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
    for child in client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"):
        client.delete_run(child.info.run_id)
    resumed = {**tags, "lesion.resumed": str(int(before.get("lesion.resumed", 0)) + 1)}
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in resumed.items()])
    return run_id


def _process() -> str:
    """This process, so that another one can see later that it is no more."""
    return f"{platform.node()}/{os.getpid()}/{psutil.Process().create_time():.0f}"


def _close_orphans(client: MlflowClient, experiment_id: str) -> None:
    """Closes as KILLED what processes of this machine left open when they were killed."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        node, _, process = run.data.tags.get(PROCESS_TAG, "").rpartition("/")[0].rpartition("/")
        if node == platform.node() and not _alive(int(process), run.data.tags[PROCESS_TAG]):
            client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))


def _alive(pid: int, tag: str) -> bool:
    try:
        return tag.endswith(f"/{psutil.Process(pid).create_time():.0f}")
    except psutil.Error:
        return False


def _parent(client: MlflowClient) -> str | None:
    """The run that `mlflow run` opened for the whole pipeline, if it is in this store: stages are its children.

    MLFLOW_RUN_ID is inherited by every stage; resuming it would make seven phases overwrite one another.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return None
    try:
        return str(client.get_run(run_id).info.run_id)
    except mlflow.MlflowException:
        log.warning("the parent run %s is not in this MLflow store; the run stands alone", run_id)
        return None


def run_page(run: TrackedRun, run_id: str) -> str:
    """Where the MLflow UI shows a run of the same store: a tracking server's address, else that of `make ui`."""
    uri = tracking_uri(project_root())
    server = without_password(uri) if uri.startswith("http") else "http://127.0.0.1:5000"
    return f"{server}/#/experiments/{run.experiment_id}/runs/{run_id}"


def baseline_revision() -> str:
    """The Git revision that DVC's experiment, or this checkout, starts from; empty outside Git."""
    return os.environ.get("DVC_EXP_BASELINE_REV") or _head()


def _experiment() -> dict[str, str]:
    return {"dvc.exp_name": os.environ.get("DVC_EXP_NAME", ""), "dvc.baseline_rev": baseline_revision()}


def _head() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""
