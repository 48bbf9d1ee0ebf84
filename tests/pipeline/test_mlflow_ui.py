"""The MLflow UI in a real browser shows the seven phases of the pipeline."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PHASES = ["ds1_full", "ds2_frozen", "ds2_full", "ds3_frozen", "ds3_full", "ds4_frozen", "ds4_full"]
SECONDS_TO_START = 120


@pytest.fixture
def address(reproduced) -> Iterator[str]:
    """`mlflow ui` on the tiny project's store, on a free port of this machine only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {**reproduced.environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    store = ["--backend-store-uri", f"sqlite:///{reproduced.root}/mlflow.db"]
    server = subprocess.Popen(
        [*command, *store], cwd=reproduced.root, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(SECONDS_TO_START):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(1)
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=30)


def test_the_runs_of_all_phases_stand_side_by_side(browser, address, reproduced, tmp_path):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{reproduced.root}/mlflow.db")
    experiment = client.get_experiment_by_name("lesion-transfer")
    assert experiment is not None
    page = browser.new_page(viewport={"width": 1500, "height": 900})
    page.goto(f"{address}/#/experiments/{experiment.experiment_id}/runs")
    for phase in PHASES:
        page.get_by_text(phase, exact=True).first.wait_for(timeout=60_000)
    page.screenshot(path=os.environ.get("LESION_SCREENSHOT", tmp_path / "runs.png"))
    page.close()
