"""The files below a folder: symbolic links followed, loops survived, always in the same order."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(folder: Path, unreadable: Callable[[str], object] = lambda _: None) -> Iterator[Path]:
    """Every regular file below `folder`, sorted by folder and name; hidden ones and broken links are passed over.

    A folder that is reached twice is entered once, and none of the folders above `folder` is entered at all, so that
    a link back up cannot pull in the rest of the disk. unreadable: is told of each folder that may not be looked into,
    in a sentence that begins with the folder and a separator; the walk goes on without it.
    """

    def refused(error: OSError) -> None:
        unreadable(f"{error.filename}{os.sep}: the folder cannot be read ({error.strerror}); make it readable.")

    root = folder.resolve()
    entered = {_identity(parent) for parent in root.parents}
    for place, folders, names in os.walk(folder, onerror=refused, followlinks=True):
        here = Path(place)
        identity = _identity(here)
        if identity is None or identity in entered:
            folders.clear()
            continue
        entered.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        denied = 0
        for name in sorted(names):
            try:
                if not name.startswith(".") and _is_regular(here / name):
                    yield here / name
            except PermissionError:
                denied += 1
        if denied:
            unreadable(f"{here}{os.sep}: {denied} files in it cannot be reached; make the folder and them readable.")


def as_utf8(text: str) -> str:
    """The text with the bytes of file names that are no UTF-8 written out, `Pr\\xfcfung`: it can be saved and shown."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def name_problem(file: Path, folder: Path) -> str:
    """Why no table can name a file below `folder`, in a sentence; empty where one can."""
    name = file.relative_to(folder).as_posix()
    if as_utf8(name) == name:
        return ""
    return (
        f"{as_utf8(name)}: the name is not UTF-8, so that no table can hold it; rename files and folders, for instance "
        "with convmv -f latin1 -t utf8 -r --notest FOLDER."
    )


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
    except PermissionError:
        raise
    except OSError:
        return False
