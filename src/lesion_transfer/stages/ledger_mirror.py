"""The finished ledger in MLflow: one run with table and figure, and a child an arm. Changes no output of the stage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lesion_transfer.cohorts.cohort import Cohort
from lesion_transfer.reporting.forest import forest_figure
from lesion_transfer.reporting.pictures import to_screen_png_bytes
from lesion_transfer.settings import Settings
from lesion_transfer.tracking import TrackedRun

ESTIMATES = ("before", "after", "difference")
PARTS = ("value", "low", "high", "low_trainings", "high_trainings", "p", "p_holm", "sd_repeats", "sd_trainings")


def mirror_ledger(
    run: TrackedRun, content: Mapping[str, Any], settings: Settings, arms: Path, cohorts: Mapping[str, Cohort]
) -> None:
    """The primary comparison, the verdict, the forest plot, every table of predictions, and the cohorts."""
    for name, cohort in cohorts.items():
        run.log_data(
            name=name,
            source=f"data/cohorts/{name}/images.npy",
            digest=cohort.images_sha256,
            n_rows=len(cohort.findings),
            context="outer folds" if name == settings.target else "training",
        )
    run.log_metrics(_parts("primary", content["primary"]))
    run.log_metrics({name: content[name] for name in ("n", "n_positive", "n_patients", "n_folds", "n_repeats")})
    run.set_tags({"lesion.verdict": content["verdict"]})
    run.log_bytes("figures/forest.png", to_screen_png_bytes(forest_figure(content)))
    run.log_folder(arms, "arms")
    for arm in content["arm_order"]:
        params = {"arm": arm, **settings.arms[arm].model_dump(mode="json")}
        with run.child(f"ledger {arm}", params=params, tags={}) as child:
            for name in ESTIMATES:
                child.log_metrics(_parts(name, content["arms"][arm][name]))
            if arm in content["controls"]:
                child.log_metrics(_parts("control", content["controls"][arm]))


def _parts(name: str, found: Mapping[str, Any]) -> dict[str, float]:
    """difference, difference_low and the like; undefined ones are left out."""
    return {name if part == "value" else f"{name}_{part}": found[part] for part in PARTS if found.get(part) is not None}
