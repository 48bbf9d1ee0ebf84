"""The same phantom has the same bytes: twice, and whatever vector units the CPU has."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__

from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom import write_phantom

RECIPES = Path(__file__).parents[2] / "phantom"

# of the tiny phantoms of conftest.py; a change of recipe or painter changes them, a change of machine must not
PINNED = {
    "prostatex": "f0ba290c4f419e402bb5eef8cde3af17973c9c21b28f57e0f55e7a5e9b8887a7",
    "lungx": "78367fa21272d96a4974a600ba6d59603b5c3839c461948fd130e855845a22af",
    "brain": "7818e3632692b058bcd60e68ed922dc493b0a5b27d861f04dfe1546530afd6a3",
}

_WRITE = """
import sys
from pathlib import Path
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom import write_phantom
recipes, out = map(Path, sys.argv[1:3])
vector_units = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
assert not vector_units or sys.argv[3] == "fast", vector_units
for kind in ("prostatex", "lungx", "brain"):
    write_phantom(kind, recipes / f"{kind}.yaml", out / kind, PhantomOptions(n_patients=2, n_slices=1), 3)
"""


def folder_sha256(folder: Path) -> str:
    """One hash over all names and bytes below a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@pytest.mark.parametrize("kind", ["prostatex", "lungx", "brain"])
def test_the_bytes_of_a_tiny_phantom_are_pinned(tiny: dict[str, Path], kind: str) -> None:
    assert folder_sha256(tiny[kind]) == PINNED[kind]


@pytest.mark.parametrize("kind", ["prostatex", "lungx", "brain"])
def test_two_writes_are_equal_and_seeds_are_not(tmp_path: Path, kind: str) -> None:
    options = PhantomOptions(n_patients=2, n_slices=1)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_phantom(kind, RECIPES / f"{kind}.yaml", tmp_path / name, options, seed)
    assert folder_sha256(tmp_path / "a") == folder_sha256(tmp_path / "b") != folder_sha256(tmp_path / "c")


def test_a_cpu_without_vector_units_writes_the_same_bytes(tmp_path: Path) -> None:
    # numpy's faster loops off, libjpeg-turbo's too
    plain = {"NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__), "JSIMD_FORCENONE": "1"}
    for name, environment in (("fast", {}), ("plain", plain)):
        command = [sys.executable, "-W", "ignore", "-c", _WRITE, str(RECIPES), str(tmp_path / name), name]
        subprocess.run(command, env={**os.environ, **environment}, check=True)
    assert folder_sha256(tmp_path / "fast") == folder_sha256(tmp_path / "plain")


def test_progress_counts_patients(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    options = PhantomOptions(n_patients=3, n_slices=1)
    write_phantom("brain", RECIPES / "brain.yaml", tmp_path, options, 0, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_kind_without_a_phantom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no phantom of kind 'patch_archive'"):
        write_phantom("patch_archive", RECIPES / "brain.yaml", tmp_path, PhantomOptions(n_patients=2), 0)


def test_a_wrong_recipe_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "brain.yaml"
    recipe.write_text((RECIPES / "brain.yaml").read_text().replace("noise: 5", "noize: 5"))
    with pytest.raises(DatasetError, match=r"brain\.yaml is wrong at .*noise.*noize"):
        write_phantom("brain", recipe, tmp_path / "out", PhantomOptions(n_patients=2), 0)
    with pytest.raises(DatasetError, match="is missing"):
        write_phantom("brain", tmp_path / "none.yaml", tmp_path / "out", PhantomOptions(n_patients=2), 0)
