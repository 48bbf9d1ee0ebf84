"""The files below a folder: symbolic links followed, loops survived, always in the same order."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file below `folder`, sorted by folder and name; hidden ones and broken links are passed over.

    A folder that is reached twice is entered once, and none of the folders above `folder` is entered at all, so that
    a link back up cannot pull in the rest of the disk.
    """
    root = folder.resolve()
    entered = {_identity(parent) for parent in root.parents}
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place)
        identity = _identity(here)
        if identity is None or identity in entered:
            folders.clear()
            continue
        entered.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and _is_regular(here / name):
                yield here / name


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_regular(path: Path) -> bool:
    # Opening a named pipe would wait for ever, and a broken link has nothing to read.
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
