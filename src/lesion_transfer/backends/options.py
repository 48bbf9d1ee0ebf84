"""What params.yaml says of where tasks are computed; none of it changes a result."""

from typing import Annotated, Literal

from pydantic import Field

from lesion_transfer.options import Options


class BackendOptions(Options):
    """One after the other in the stage's own process, or side by side on Ray's workers (to which the rest applies)."""

    kind: Literal["in_process", "ray"] = "in_process"
    workers: Annotated[int, Field(ge=1)] | None = None
    """Tasks that run at the same time; null: one a GPU where the device is one, else one a CPU core."""
    address: Annotated[str, Field(min_length=1)] | None = None
    """HOST:PORT of a running Ray cluster, or auto for the one of this machine; null: a private one for the stage."""
