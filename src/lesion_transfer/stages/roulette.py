"""Stage `roulette`: of n random initialisations the one that ranks the target's validation rows best."""

import pandas as pd

from lesion_transfer.files import write_csv, write_json
from lesion_transfer.learning.checkpoint import load_model, save_model
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.roulette import roulette as spin
from lesion_transfer.stages.compute import prepare_compute
from lesion_transfer.stages.layout import Layout, require
from lesion_transfer.stages.training_data import load_training_data
from lesion_transfer.tracking import MODEL_TAG, tracked_run


def roulette(layout: Layout) -> None:
    """Writes models/roulette (the winner, and history.csv with a row a member) and reports/roulette.json."""
    settings = layout.settings()
    device = prepare_compute(settings)
    loaded = load_training_data(layout, settings, settings.target)
    channels, patch_pixels = len(loaded.cohort.channels), loaded.cohort.patch_pixels
    params = {"seed": settings.seed, "target": settings.target, "roulette.n": settings.roulette.n} | {
        f"network.{key}": value for key, value in settings.network.model_dump().items()
    }
    with tracked_run("roulette", stage="roulette", params=params, tags={}) as run:
        result = spin(
            settings.network,
            loaded.data,
            settings.roulette.n,
            settings.seed,
            channels,
            dropout=settings.dropout,
            patch_pixels=patch_pixels,
            device=device,
            loss=loss_function(settings.loss),
        )
        folder = layout.model("roulette")
        network = LesionNetwork(settings.network, channels, settings.dropout, patch_pixels)
        info = {**network.description(), "phase": "roulette", "best_member": result.best_member}
        sha256 = save_model(folder, result.best_state, info)
        table = pd.DataFrame(result.table)
        write_csv(folder / "history.csv", table)
        best = result.table[result.best_member]
        metrics = {key: value for key, value in best.items() if key != "member"}
        write_json(
            layout.metrics("roulette"),
            {
                "best_member": result.best_member,
                "n": settings.roulette.n,
                "validation": metrics,
                "model_sha256": sha256,
            },
        )
        run.log_metrics({"best_member": result.best_member, **metrics})
        run.log_folder(folder, "model")
        run.set_tags({MODEL_TAG: sha256})


def load_winner(layout: Layout) -> tuple[LesionNetwork, str]:
    """The roulette's winner and its hash."""
    network, info = load_model(require(layout.model("roulette"), "lesion roulette"))
    return network, str(info["model_sha256"])
