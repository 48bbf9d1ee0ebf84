"""The MLflow mirror on a real sqlite store: one store whatever the process, runs closed however the block ends."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lesion_transfer.stages.phase_mirror import mirror_epoch
from lesion_transfer.stages.runs import list_runs
from lesion_transfer.tracking import (
    MODEL_TAG,
    TrackingError,
    canonical,
    flatten,
    open_store,
    pipeline_id,
    tracked_run,
    tracking_uri,
    without_password,
)


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """A fresh folder as DVC_ROOT; nothing of an outer pipeline leaks in."""
    for name in (
        "MLFLOW_TRACKING_URI",
        "MLFLOW_RUN_ID",
        "LESION_PIPELINE",
        "DVC_EXP_NAME",
        "DVC_EXP_BASELINE_REV",
        "DVC_STAGE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def client(store: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{store}/mlflow.db")


def test_a_run_is_named_tagged_and_finished(store, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-lion")
    with tracked_run("ds2_full", stage="transfer@ds2_full", params={"lr": 1e-8, "network": {"cut": 1}}, tags={}) as run:
        run.log_metrics({"auc": 0.5, "undefined": float("nan")}, step=3)
        run.log_bytes("figures/auc.png", b"png")
        run.log_data(name="brain", source="data/x.npy", digest="d" * 64, n_rows=3, context="training")
    found = client(store).get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "ds2_full"
    assert found.data.params == {"lr": "1e-08", "network.cut": "1"}
    assert found.data.metrics == {"auc": 0.5}
    assert found.data.tags["dvc.exp_name"] == found.data.tags["lesion.pipeline"] == "puffy-lion"
    assert found.data.tags["dvc.stage"] == "transfer@ds2_full"
    assert [data.dataset.name for data in found.inputs.dataset_inputs] == ["brain"]
    assert (store / "mlartifacts" / run.run_id / "artifacts" / "figures" / "auc.png").read_bytes() == b"png"


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_block_that_raises_closes_its_run_and_that_of_the_member_at_hand(store, error, status):
    with (
        pytest.raises(error),
        tracked_run("train", stage="train", params={}, tags={}) as run,
        run.child("train 000", params={}, tags={}) as member,
    ):
        raise error
    assert [client(store).get_run(one.run_id).info.status for one in (run, member)] == [status] * 2


def test_a_terminated_process_closes_its_run_as_failed(store):
    code = (
        "import time\nfrom lesion_transfer.tracking import tracked_run\n"
        "with tracked_run('train', stage='train', params={}, tags={}) as run:\n"
        "    print(run.run_id, flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert client(store).get_run(run_id).info.status == "FAILED"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_a_write_to_the_store_comes_after_it(store, number):
    """Within it, it left sqlite's transaction open: the database was locked, and the run stayed RUNNING."""

    def signalled(connection, cursor, statement, *rest):
        if statement.startswith("INSERT INTO metrics"):
            signal.raise_signal(number)

    with (
        pytest.raises((KeyboardInterrupt, SystemExit)),
        tracked_run("train", stage="train", params={}, tags={}) as run,
        sqlalchemy_events(signalled),
    ):
        run.log_metrics({"auc": 0.5}, step=1)
    found = client(store).get_run(run.run_id)
    assert found.info.status == ("KILLED" if number == signal.SIGINT else "FAILED")
    assert found.data.metrics == {"auc": 0.5}


@contextmanager
def sqlalchemy_events(function) -> Iterator[None]:
    """Inside the block the function is called after every statement of any engine, within its transaction."""
    event.listen(Engine, "after_cursor_execute", function)
    try:
        yield
    finally:
        event.remove(Engine, "after_cursor_execute", function)


def test_processes_that_race_on_a_fresh_store_all_write(store):
    """Without the lock four processes broke the new sqlite file for good."""
    code = (
        "from lesion_transfer.tracking import tracked_run\nwith tracked_run('r', stage='r', params={}, tags={}): pass\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.wait(timeout=240) for process in processes] == [0] * 4, processes[0].stderr
    assert [run.status for run in list_runs()] == ["FINISHED"] * 4


def test_the_inherited_run_of_mlflow_run_becomes_the_parent_once(store, monkeypatch):
    with tracked_run("pipeline", stage="main", params={}, tags={}) as parent:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.run_id)
    children = []
    for name in ("train", "transfer"):
        with tracked_run(name, stage=name, params={"lr": 0.1}, tags={}) as run:
            children.append(run.run_id)
    assert len({parent.run_id, *children}) == 3
    tags = [client(store).get_run(child).data.tags["mlflow.parentRunId"] for child in children]
    assert tags == [parent.run_id] * 2


def test_a_model_leads_to_the_run_that_made_it(store):
    with tracked_run("ds1_full", stage="train", params={}, tags={MODEL_TAG: "abc"}) as first:
        assert first.find_model("abc") is None, "a run that has not finished made no model yet"
    with tracked_run("ds2_frozen", stage="transfer", params={}, tags={}) as second:
        assert second.find_model("abc") == first.run_id
        assert second.find_model("other") is None


def test_a_relative_store_is_resolved_against_the_project(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert tracking_uri(store) == f"sqlite:///{store}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(store) == "http://127.0.0.1:5000"


def test_a_server_that_does_not_answer_is_told_and_one_that_refuses_is_mlflows_to_tell(store, monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with pytest.raises(TrackingError, match=rf"no MLflow server answers at http://127.0.0.1:{port} \(.*refused"):
        open_store()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
    with pytest.raises(TrackingError, match=rf"answers at http://127.0.0.1:{port} \(.*refused") as caught:
        open_store()
    assert "secret" not in str(caught.value)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for login in ("", "me:secret@"):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{login}127.0.0.1:{server.server_port}")
            with pytest.raises(TrackingError, match=r"cannot be used: .*501") as caught:
                open_store()
            assert "secret" not in str(caught.value)
        server.shutdown()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:secret@host:5000/a", "http://host:5000/a"),
        ("postgresql://me:secret@host/db", "postgresql://host/db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////tmp/a@b/mlflow.db", "sqlite:////tmp/a@b/mlflow.db"),
    ],
)
def test_no_password_is_shown(address, shown):
    assert without_password(address) == shown


@pytest.mark.parametrize("text", ["1e-8", "1e-08", "0.00000001"])
def test_one_value_has_one_spelling(text):
    assert canonical(float(text)) == "1e-08"


def test_nested_settings_are_flattened_with_dots():
    assert flatten({"a": {"b": {"c": 1}}, "d": [1, 2]}) == {"a.b.c": 1, "d": [1, 2]}


def test_stages_of_one_dvc_process_share_the_pipeline(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    program = tmp_path / "dvc"
    code = "from lesion_transfer.tracking import pipeline_id; print(pipeline_id())"
    run = f"subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    program.write_text(f"import subprocess, sys, time\n{run}\n{run}\n")
    ids = [subprocess.run([sys.executable, str(program)], capture_output=True, text=True).stdout.split() for _ in "ab"]
    assert ids[0][0] == ids[0][1]
    assert ids[0][0] != ids[1][0]
    assert ids[0][0].startswith("repro-")


def test_several_dvc_processes_of_one_execution_share_the_pipeline_that_is_named(monkeypatch):
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setenv("LESION_PIPELINE", "demo-1")
    assert pipeline_id() == "demo-1"
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-lion")
    assert pipeline_id() == "puffy-lion"


def test_a_learning_rate_that_the_scheduler_took_to_zero_is_logged(store):
    """A factor of 0.01 does so after some 480 epochs without a gain (THESIS 7)."""
    with tracked_run("train", stage="train", params={}, tags={}) as run:
        mirror_epoch(run, {"epoch": 1, "lr": 0.0, "validation_auc": 0.5}, 0)
    metrics = client(store).get_run(run.run_id).data.metrics
    assert metrics == {"lr": 0.0, "validation_auc": 0.5, "global_epoch": 1.0}


def test_a_run_that_was_deleted_in_the_ui_is_not_opened_again(store):
    with pytest.raises(KeyboardInterrupt), tracked_run("train", stage="train", params={}, tags={}) as run:
        raise KeyboardInterrupt
    client(store).delete_run(run.run_id)
    with tracked_run("train", stage="train", params={}, tags={}, continues=run.run_id) as other:
        pass
    assert other.run_id != run.run_id
    found = client(store).get_run(other.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.tags["lesion.continues_run"] == run.run_id


def test_a_store_made_from_a_folder_that_goes_away_keeps_its_artifacts_in_the_project(store, tmp_path, monkeypatch):
    """As the temporary folder of a queued experiment does."""
    (tmp_path / "exps").mkdir()
    monkeypatch.chdir(tmp_path / "exps")
    with tracked_run("train", stage="train", params={}, tags={}):
        pass
    roots = [one.artifact_location for one in client(store).search_experiments()]
    assert len(roots) == 2
    assert not [root for root in roots if "exps" in root]


def test_a_store_that_is_none_is_a_sentence(store):
    (store / "mlflow.db").write_text("garbage")
    with pytest.raises(TrackingError, match=r"the MLflow store sqlite:.*mlflow\.db cannot be used: "):
        list_runs()


def test_listing_makes_no_store(store):
    assert list_runs() == []
    assert list(store.iterdir()) == []


def test_a_deleted_experiment_is_a_sentence_with_the_way_back(store):
    with tracked_run("train", stage="train", params={}, tags={}) as run:
        pass
    client(store).delete_experiment(run.experiment_id)
    with pytest.raises(TrackingError, match=f"mlflow experiments restore --experiment-id {run.experiment_id}"):
        list_runs()
