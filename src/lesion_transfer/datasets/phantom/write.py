"""The one entry: writes the phantom of a kind of data set into a folder."""

from collections.abc import Callable
from pathlib import Path

from lesion_transfer.datasets.options import PhantomOptions
from lesion_transfer.datasets.phantom.brain import write_brain
from lesion_transfer.datasets.phantom.lungx import write_lungx
from lesion_transfer.datasets.phantom.prostatex import write_prostatex
from lesion_transfer.datasets.phantom.recipes import BrainRecipe, LungxRecipe, ProstatexRecipe, load_recipe

Progress = Callable[[int, int], None]


def write_phantom(
    kind: str,
    recipe: Path,
    out: Path,
    options: PhantomOptions,
    seed: int,
    progress: Progress | None = None,
) -> None:
    """Writes into `out` what the published data set of this kind looks like: tables and images.

    kind: prostatex, lungx or brain. recipe: the YAML file of that kind. progress: called with (patients done, all).
    Equal arguments give equal bytes. ValueError where the kind has no phantom, DatasetError where the recipe is wrong.
    """
    report = progress or (lambda _done, _total: None)
    out.mkdir(parents=True, exist_ok=True)
    match kind:
        case "prostatex":
            write_prostatex(load_recipe(recipe, ProstatexRecipe), out, options, seed, report)
        case "lungx":
            write_lungx(load_recipe(recipe, LungxRecipe), out, options, seed, report)
        case "brain":
            write_brain(load_recipe(recipe, BrainRecipe), out, options, seed, report)
        case _:
            raise ValueError(
                f"There is no phantom of kind {kind!r}, only of prostatex, lungx and brain: "
                "give `source` the folder of your own copy."
            )
