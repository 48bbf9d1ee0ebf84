"""How fast members are trained, against a plain reference in the same run and the machine's matrix multiplication.

The reference (training_of_2020.py) and ours take turns, pair by pair; a ratio is the median of the pairs' ratios.
    python benchmarks/training.py [--pairs 5] [--only "training step"] [--plot growth.png]
    python benchmarks/training.py --device cuda --minutes 5      # and the thesis's pipeline on a GPU
"""

import argparse
import contextlib
import ctypes
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from training_gpu import gpu_section
from training_growth import growth
from training_of_2020 import Sizes, Training, roulette, write_patches
from training_ours import Case, grid_members, images_and_labels, one_by_one, options, side_by_side, start

from lesion_transfer.learning.alarm import GradientAlarm
from lesion_transfer.learning.allocator import M_MMAP_MAX, M_TRIM_THRESHOLD, keep_freed_memory
from lesion_transfer.learning.batches import LiveAugmented
from lesion_transfer.learning.forth_and_back import ForthAndBack
from lesion_transfer.learning.gradients import GradientRecorder
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import place
from lesion_transfer.learning.options import GradientLimits
from lesion_transfer.learning.roulette import roulette as our_roulette
from lesion_transfer.learning.training import train
from lesion_transfer.learning.updates import WeightUpdate

M_MMAP_THRESHOLD = -3
"""Of glibc's malloc.h."""
Timed = Callable[[], float]
"""Does a piece of work and returns its seconds."""


@dataclass
class Row:
    """One comparison: the seconds of each pair."""

    name: str
    goal: str
    note: str
    ours: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)

    def cells(self) -> str:
        ratios = [reference / ours for reference, ours in zip(self.reference, self.ours, strict=True)]
        median = statistics.median
        spread = f"{min(ratios):.3g} .. {max(ratios):.3g}"
        return (
            f"| {self.name} | {median(self.reference):.3g} s | {median(self.ours):.3g} s | {median(ratios):.3g} | "
            f"{spread} | {self.goal} | {self.note} |"
        )


@dataclass(frozen=True)
class Bench:
    """What all rows share."""

    case: Case
    device: torch.device
    pairs: int
    folder: Path

    def patches(self, name: str, rows: slice, copies: int) -> Path:
        """A folder of the reference's files of some rows of the case's images."""
        images, labels = images_and_labels(self.case)
        folder = self.folder / name
        if not folder.exists():
            write_patches(folder, images[rows].numpy(), labels[rows].numpy(), copies, self.sizes, seed=1)
        return folder

    @property
    def sizes(self) -> Sizes:
        case = self.case
        return Sizes(case.filters, case.dense, 1, case.patch_pixels, case.batch_size, dropout=0.3)

    def seconds(self, work: Callable[[], object]) -> float:
        self.finish()
        begun = time.perf_counter()
        work()
        self.finish()
        return time.perf_counter() - begun

    def finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def measured(self, row: Row, reference: Timed, ours: Timed, warm: Callable[[], object] | None = None) -> Row:
        """Both in turn, pair by pair, each with its own way of the C library with freed memory; first one of `warm`
        each time, which does not count."""
        for _ in range(self.pairs):
            give_freed_memory_back()
            row.reference.append(reference())
            keep_freed_memory()
            if warm is not None:
                warm()
            row.ours.append(ours())
        return row


def training_step(bench: Bench) -> list[str]:
    """An epoch's batches through the whole network, forth and back, with their gradient statistics; seconds a batch.

    Float32, and under autocast, whose matrix products a processor with bfloat16 instructions does many times as fast.
    """
    case = bench.case
    folder, validation = bench.patches("augmented", case.train, case.factor), bench.patches("plain", case.validation, 0)
    reference = Training(folder, validation, bench.sizes, False, bench.device)
    n_steps = math.ceil(case.patches_an_epoch / case.batch_size)
    note = f"{case.patches_an_epoch} patches in {n_steps} batches of {case.batch_size} and the rest"
    lines = []
    for autocast, dtype in (("off", torch.float32), ("bfloat16", torch.bfloat16)):
        ours = OurSteps(bench, autocast)
        row = Row(f"a training step, autocast: {autocast}", "3.5", note)
        bench.measured(
            row,
            lambda: bench.seconds(lambda: list(reference.steps())) / n_steps,
            lambda ours=ours: bench.seconds(ours) / n_steps,
            warm=ours,
        )
        with FlopCounterMode(display=False) as counter:
            ours()
        work = counter.get_total_flops() / n_steps / 1e9
        limits = [matmul_gflops(bench, dtype) for _ in row.ours]
        shares = [work / seconds / limit for seconds, limit in zip(row.ours, limits, strict=True)]
        kind, goal = str(dtype).removeprefix("torch."), "0.5" if autocast == "off" else ""
        lines += [
            row.cells(),
            f"| share of the {kind} matmul limit | {statistics.median(limits):.0f} GFLOP/s | "
            f"{work / statistics.median(row.ours):.0f} GFLOP/s | {statistics.median(shares):.2f} | "
            f"{min(shares):.2f} .. {max(shares):.2f} | {goal} | {work:.1f} GFLOP a step |",
        ]
    return lines


class OurSteps:
    """The steps of `learning.training.train`, an epoch a call."""

    def __init__(self, bench: Bench, autocast: str) -> None:
        case = bench.case
        self.network = start(case, 0)
        place(self.network, bench.device)
        images, labels = images_and_labels(case)
        self.source = LiveAugmented(images.to(bench.device), case.plan(labels), case.augmentation, case.patch_pixels)
        self.update = WeightUpdate(self.network.parameters(), 1e-4, "float32")
        recorder = GradientRecorder(self.network)
        self.alarm = GradientAlarm(GradientLimits(), recorder.layers, "benchmark")
        self.network.train()

        def forward(network: torch.nn.Module, inputs: Tensor) -> Tensor:
            with torch.autocast(bench.device.type, torch.bfloat16, enabled=autocast != "off", cache_enabled=False):
                return network(inputs).to(inputs.dtype)

        self.step = ForthAndBack(
            self.network, forward, loss_function("cross_entropy"), self.update, recorder, case.batch_size
        )

    def __call__(self) -> None:
        for batch in self.source.epoch(1):
            gradients, _ = self.step.read(self.step(*batch))
            self.alarm.check(gradients, 1, 1)
            self.update.step()


def frozen_phase(bench: Bench) -> list[str]:
    """Only the decision maker learns: the reference computes the whole network, ours features once."""
    case = bench.case
    folder, validation = bench.patches("augmented", case.train, case.factor), bench.patches("plain", case.validation, 0)
    reference = Training(folder, validation, bench.sizes, True, bench.device)
    row = Row(
        f"a frozen phase of {case.epochs:,} epochs",
        "50",
        f"{case.patches_an_epoch} patches an epoch; of the reference one epoch was measured, times {case.epochs:,}",
    )

    def ours() -> None:
        train(
            start(case, 0),
            case.data(),
            options(case, epochs=case.epochs),
            case.augmentation,
            frozen=True,
            seed=1,
            name="benchmark",
            patch_pixels=case.patch_pixels,
            device=bench.device,
        )

    bench.measured(row, lambda: case.epochs * bench.seconds(reference.epoch), lambda: bench.seconds(ours))
    return [row.cells()]


def roulette_of_many(bench: Bench) -> list[str]:
    """Untrained networks, ranked on the validation rows."""
    case = bench.case
    validation = bench.patches("plain", case.validation, 0)
    lines = []
    for autocast in ("off", "bfloat16"):
        row = Row(
            f"a roulette of {case.roulette_n}, autocast: {autocast}",
            "2.4",
            f"{case.n_validation} findings; a quarter of the reference measured, times 4",
        )

        def ours(autocast: str = autocast) -> None:
            our_roulette(case.network, case.data(), case.roulette_n, 1, 1, patch_pixels=case.patch_pixels,
                         device=bench.device, autocast=autocast)  # fmt: skip

        bench.measured(
            row,
            lambda: 4 * bench.seconds(lambda: roulette(validation, bench.sizes, case.roulette_n // 4, bench.device)),
            lambda ours=ours: bench.seconds(ours),
        )
        lines.append(row.cells())
    return lines


def frozen_grid(bench: Bench) -> list[str]:
    """5 folds x 4 rates of a frozen phase, one after the other by our own engine, and side by side."""
    case = bench.case
    case = replace(case, filters=tuple(max(2, n // 8) for n in case.filters))
    members = grid_members(case)
    row = Row(
        f"a 5 x 4 grid of {case.grid_epochs} frozen epochs",
        "1.8",
        f"about {case.patches_an_epoch * 4 // 5} patches an epoch, an eighth of the filters, for decision makers are "
        "compared; the reference is our own engine, one by one",
    )
    bench.measured(
        row,
        lambda: bench.seconds(lambda: one_by_one(case, members, bench.device)),
        lambda: bench.seconds(lambda: side_by_side(case, members, bench.device)),
    )
    return [row.cells()]


def augmenting(bench: Bench) -> list[str]:
    """A patch augmented and ready to be learnt from: SciPy and a file, or one call for a batch on the device."""
    case = bench.case
    images, labels = images_and_labels(case)
    source = LiveAugmented(images.to(bench.device), case.plan(labels), case.augmentation, case.patch_pixels)
    row = Row("augmenting 1,000 patches", "", "SciPy and one .npy each, done once; ours a batch at a time, every time")
    rounds = iter(range(10_000))

    def reference() -> float:
        folder = bench.folder / f"round{next(rounds)}"
        write = bench.seconds(lambda: write_patches(folder, images.numpy(), labels.numpy(), 1, bench.sizes, 1))
        return 1000 * write / len(list(folder.iterdir()))

    def ours() -> float:
        return 1000 * bench.seconds(lambda: [None for _ in source.epoch(1)]) / case.patches_an_epoch

    return [bench.measured(row, reference, ours).cells()]


def give_freed_memory_back() -> None:
    """What glibc does by itself once it has seen large pieces freed: maps those above 32 MB, trims above 64 MB; and
    what our turn has kept goes, so that the reference does not live on it."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 65536), libc.mallopt(M_MMAP_THRESHOLD, 2**25), libc.mallopt(M_TRIM_THRESHOLD, 2**26)
        libc.malloc_trim(0)


def matmul_gflops(bench: Bench, dtype: torch.dtype, n: int = 1536) -> float:
    """The best of five products of two n x n matrices of this type."""
    left: Tensor = torch.randn(n, n, device=bench.device, dtype=dtype)
    return 2 * n**3 / 1e9 / min(bench.seconds(lambda: left @ left) for _ in range(5))


ROWS = {
    "training step": training_step,
    "frozen phase": frozen_phase,
    "roulette": roulette_of_many,
    "grid": frozen_grid,
    "augmenting": augmenting,
}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(bench: Bench, names: Sequence[str], guarded: bool) -> None:
    say("| | reference | ours | ratio | range of pairs | goal | |\n|---|---|---|---|---|---|---|")
    for name in names:
        try:
            say("\n".join(ROWS[name](bench)))
        except Exception as error:
            if not guarded:
                raise
            say(f"| {name} | failed: {type(error).__name__}: {str(error).splitlines()[0][:200]} | | | | | |")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=[*ROWS, "gpu", "growth"])
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, its figures mean nothing")
    parser.add_argument("--plot", type=Path, help="a file for how the cost grows")
    parser.add_argument("--minutes", type=float, default=5.0, help="when the GPU section starts nothing new")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    device = torch.device(asked.device)
    case = Case.quick() if asked.quick else Case()
    ends = time.monotonic() + 60 * asked.minutes
    name = torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    say(f"torch {torch.__version__}, {device.type} ({name}), {asked.threads} threads, median of {asked.pairs} pairs\n")
    if device.type == "cuda" and asked.only in (None, "gpu"):
        gpu_section(say, ends, asked.quick)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(case, device, asked.pairs, Path(folder))
        names = [row for row in ROWS if asked.only in (None, row)]
        if names:
            table(bench, names, guarded=device.type == "cuda")
    if asked.plot is not None or asked.only == "growth":
        growth(case, device, asked.plot, say)


if __name__ == "__main__":
    main()
