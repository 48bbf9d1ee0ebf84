"""Stage `train`: phase ds1_full, all of the network on the target, from the roulette's winner."""

from lesion_transfer.stages.layout import Layout
from lesion_transfer.stages.training.phase import run_phase
from lesion_transfer.transfer.plan import FIRST_PHASE


def train(layout: Layout) -> None:
    """Writes models/ds1_full and reports/ds1_full.json."""
    run_phase(layout, FIRST_PHASE, stage="train")
