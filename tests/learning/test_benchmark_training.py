"""The benchmark of training runs from end to end, and needs nothing of a pipeline's machinery."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "training.py"
FORBIDDEN = ("mlflow", "dvc", "ray", "pydicom", "SimpleITK", "typer", "ruamel", "monai", "safetensors")


def test_it_runs_where_only_torch_and_numpy_are_and_prints_every_row(tmp_path: Path) -> None:
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in FORBIDDEN)
    arguments = ["--quick", "--pairs", "1", "--threads", "1", "--plot", str(tmp_path / "growth.png")]
    program = f"import runpy, sys; {blocked}; sys.argv = {['training.py', *arguments]!r}; "
    program += f"sys.path.insert(0, {str(BENCHMARK.parent)!r}); runpy.run_path({str(BENCHMARK)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    for row in ("a training step", "matmul limit", "a frozen phase of", "a roulette of", "5 x 4 grid", "augmenting"):
        assert row in done.stdout
    assert "failed" not in done.stdout
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("module", ["training", "stacked", "roulette", "grid"])
def test_training_needs_no_file_format_no_pipeline(module: str) -> None:
    """What a machine with a GPU has to have."""
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in FORBIDDEN)
    program = f"import sys; {blocked}; import lesion_transfer.learning.{module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
