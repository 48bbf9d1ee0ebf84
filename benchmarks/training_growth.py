"""How the cost of training grows with members, findings, epochs and patch size; for benchmarks/training.py."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib
import torch
from training_ours import Case, grid_members, one_by_one, options, side_by_side, start

from lesion_transfer.learning.training import train

matplotlib.use("Agg")
from matplotlib import pyplot as plt


@dataclass(frozen=True)
class Curve:
    """Seconds by what grows."""

    label: str
    x: Sequence[int]
    seconds: Sequence[float]


def growth(case: Case, device: torch.device, plot: Path | None, say: Callable[[str], None]) -> None:
    """Measures each point once, prints the figures and saves them as a picture of four panels."""
    small = replace(case, filters=tuple(max(2, n // 4) for n in case.filters), grid_epochs=min(10, case.grid_epochs))
    panels = {
        "members of a frozen grid": _members(small, device),
        "findings that train": _findings(small, device),
        "epochs": _epochs(small, device),
        "patch, pixels a side": _patches(small, device),
    }
    for axis, curves in panels.items():
        for curve in curves:
            points = ", ".join(f"{x}: {seconds:.3g} s" for x, seconds in zip(curve.x, curve.seconds, strict=True))
            say(f"{axis}, {curve.label}: {points}")
    if plot is None:
        return
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    for ax, (name, curves) in zip(axes.flat, panels.items(), strict=True):
        for curve in curves:
            ax.plot(curve.x, curve.seconds, "o-", label=curve.label)
        ax.set(xlabel=name, ylabel="seconds", ylim=(0, None), xlim=(0, None))
        ax.legend()
    figure.savefig(plot, dpi=120)
    plt.close(figure)


def _members(case: Case, device: torch.device) -> list[Curve]:
    counts = (1, 5, 20)
    alone, together = [], []
    for k in counts:
        members = grid_members(case)[:: 20 // k]
        alone.append(_seconds(device, partial(one_by_one, case, members, device)))
        together.append(_seconds(device, partial(side_by_side, case, members, device)))
    return [Curve("one by one", counts, alone), Curve("side by side", counts, together)]


def _findings(case: Case, device: torch.device) -> list[Curve]:
    counts = [case.n_train * n for n in (1, 2, 4)]
    cases = [replace(case, n_train=n, factor=max(1, case.factor // 4)) for n in counts]
    return _both(cases, counts, device, epochs=1)


def _epochs(case: Case, device: torch.device) -> list[Curve]:
    counts = (1, 2, 4)
    curves = []
    for frozen in (False, True):
        small = replace(case, factor=max(1, case.factor // 4))
        seconds = [_seconds(device, partial(_train, small, frozen, n, device)) for n in counts]
        curves.append(Curve(_kind(frozen), counts, seconds))
    return curves


def _patches(case: Case, device: torch.device) -> list[Curve]:
    sizes = [case.patch_pixels + n for n in (0, 16, 32)]
    cases = [replace(case, patch_pixels=n, factor=max(1, case.factor // 4)) for n in sizes]
    return _both(cases, sizes, device, epochs=1)


def _both(cases: Sequence[Case], x: Sequence[int], device: torch.device, epochs: int) -> list[Curve]:
    return [
        Curve(_kind(frozen), x, [_seconds(device, partial(_train, one, frozen, epochs, device)) for one in cases])
        for frozen in (False, True)
    ]


def _kind(frozen: bool) -> str:
    return "frozen, its bank included" if frozen else "whole network"


def _train(case: Case, frozen: bool, epochs: int, device: torch.device) -> None:
    train(
        start(case, 0),
        case.data(),
        options(case, epochs=epochs),
        case.augmentation,
        frozen=frozen,
        seed=1,
        name="benchmark",
        patch_pixels=case.patch_pixels,
        device=device,
    )


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun
