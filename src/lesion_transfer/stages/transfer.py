"""Stage `transfer`: one phase after ds1_full, as its entry in params.yaml says."""

from lesion_transfer.stages.layout import Layout, StageError, entry
from lesion_transfer.stages.training.phase import run_phase
from lesion_transfer.transfer.plan import FIRST_PHASE


def transfer(layout: Layout, phase: str) -> None:
    """Writes models/PHASE and reports/PHASE.json."""
    if phase == FIRST_PHASE:
        raise StageError(f"{FIRST_PHASE} is the stage `train`: run `lesion train`")
    entry(layout.settings().transfer, phase, "phase")
    run_phase(layout, phase, stage=f"transfer@{phase}")
