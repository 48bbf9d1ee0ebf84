"""Writing so that a reader never sees half a file, and hashing what was written."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

PACKAGE = Path(__file__).parent
"""Where this code stands."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; it takes the place of `path` when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def clear_temporaries(path: Path) -> None:
    """Removes what processes killed while `replacing(path)` left beside it; a path's name may be *, for all names."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Writes indented JSON with sorted keys; nan and infinity are refused (they are not JSON)."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def neutral_cell(cell: object) -> object:
    """Text that a spreadsheet would run as a formula (= + - @ first) gets an apostrophe before it."""
    if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@"}:
        return "'" + cell
    return cell


def plain_cell(cell: str) -> str:
    """The text of which `neutral_cell` made this one."""
    return cell[1:] if neutral_cell(cell[1:]) == cell else cell


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a table without its index; floats as repr would (shortest that round-trips), formulas neutralised."""
    texts = [name for name, dtype in table.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
    safe = table.assign(**{str(name): table[name].map(neutral_cell) for name in texts})
    with replacing(path) as temporary:
        safe.to_csv(temporary, index=False, lineterminator="\n")


def source_files(parts: Iterable[str]) -> list[Path]:
    """The modules of this package below some of its folders, and single ones of it: what a result is computed with."""
    paths = [PACKAGE / part for part in parts]
    return [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]


@cache
def code_sha256(*parts: str) -> str:
    """One hash of `source_files` and their names, as they are when it is first asked for; of no parts: of all."""
    files = source_files(parts or [""])
    listed = "".join(f"{file_sha256(file)}  {file.relative_to(PACKAGE).as_posix()}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
