"""The program `lesion`, also `python -m lesion_transfer`: the code of the checkout that it is called in."""

import os
import sys
from pathlib import Path

_MOVED = "LESION_SOURCE"


def main() -> None:
    """Calls the command line, of the checkout around the current folder where that is not the installed one.

    DVC runs a queued experiment in a checkout of its own and records its code: that code has to run, not the code in
    the folder of the editable installation, which may have been edited since.
    """
    own = Path(__file__).parents[1]
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "dvc.yaml").is_file():
            source = folder / "src"
            is_checkout = (source / "lesion_transfer" / "__main__.py").is_file()
            if is_checkout and not source.samefile(own) and os.environ.get(_MOVED) != str(source):
                os.environ[_MOVED] = str(source)
                os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
                os.execv(sys.executable, [sys.executable, "-m", "lesion_transfer", *sys.argv[1:]])
            break
    from lesion_transfer.cli import main as run

    run()


if __name__ == "__main__":
    main()
