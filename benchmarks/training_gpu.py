"""The GPU section of benchmarks/training.py: the thesis's pipeline projected, and ways to train many members.

Every measurement stands on its own: one that fails says so in its row, and none starts after the time is over.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import torch
from torch import Tensor
from training_ours import Case, grid_members, options, side_by_side, start

from lesion_transfer.learning.forth_and_back import ForthAndBack
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import LesionNetwork, place
from lesion_transfer.learning.training import train

Say = Callable[[str], None]
FULL_PHASES, FROZEN_PHASES, EPOCHS = 4, 3, 1000
# 198 negatives and 66 positives, 60 times the larger class: 23,760 patches an epoch (THESIS 5.2.1)
THESIS = Case(n_train=264, n_validation=32, factor=60)


def gpu_section(say: Say, ends: float, quick: bool) -> None:
    """Prints as it goes; `ends`: time.monotonic() after which nothing new starts."""
    case = Case.quick() if quick else THESIS
    _as_set(True)
    steps(say, ends, case)
    frozen_population(say, ends, case)
    epochs(say, ends, case)


def epochs(say: Say, ends: float, case: Case) -> None:
    """Seconds an epoch of `train`, gradient statistics, scores and all, and what seven phases would take."""
    say(
        f"| {case.patches_an_epoch:,} patches an epoch, batch {case.batch_size} | full phase, steps one by one | "
        "full phase, replayed | frozen phase, replayed | bank |"
    )
    say("|---|---|---|---|---|")
    seconds: dict[str, tuple[float, float, float]] = {}
    for deterministic, autocast in ((True, "bfloat16"), (True, "off"), (False, "bfloat16"), (False, "off")):
        name = f"deterministic: {str(deterministic).lower()}, autocast: {autocast}"

        def measure(deterministic: bool = deterministic, autocast: str = autocast, name: str = name) -> str:
            _as_set(deterministic)
            full, _ = _epoch_seconds(case, autocast, frozen=False)
            frozen, bank = _epoch_seconds(case, autocast, frozen=True)
            seconds[name] = full, frozen, bank
            with patch.object(ForthAndBack, "replays", lambda step, inputs: False):
                one_by_one, _ = _epoch_seconds(case, autocast, frozen=False, n=2)
            return f"{one_by_one:.3f} s | {full:.3f} s | {frozen:.3f} s | {bank:.2f} s"

        _row(say, ends, name, measure)
    for name, (full, frozen, bank) in seconds.items():
        total = EPOCHS * (FULL_PHASES * full + FROZEN_PHASES * frozen) + FROZEN_PHASES * bank
        say(
            f"\nProjection, not a measurement: {FULL_PHASES} full and {FROZEN_PHASES} frozen phases of "
            f"{EPOCHS:,} epochs of {case.patches_an_epoch:,} patches in {name}: {total / 3600:.2f} h."
        )
    say("")


def steps(say: Say, ends: float, case: Case) -> None:
    """Milliseconds a step of one member of K, whole network, no statistics, no transfer of the loss."""
    say("| a full step, ms a member | K = 1 | K = 5 | K = 20 |\n|---|---|---|---|")
    for autocast in (False, True):
        kind = "bfloat16" if autocast else "float32"
        for name, strategy in (
            ("one after the other", _eager_steps),
            ("one after the other, CUDA graphs", _graphed_steps),
        ):
            cells = []
            for k in (1, 5, 20):

                def measure(k: int = k, autocast: bool = autocast, strategy=strategy) -> str:
                    return f"{1000 * strategy(case, k, autocast) / k:.2f}"

                cells.append(_guarded(ends, measure))
            say(f"| {name}, {kind} | {' | '.join(cells)} |")
    say("")


def frozen_population(say: Say, ends: float, case: Case) -> None:
    """Seconds an epoch of K frozen members side by side, with everything that an epoch has."""
    say("| frozen phase side by side | seconds an epoch | a member |\n|---|---|---|")
    for k in (1, 5, 20):

        def measure(k: int = k) -> str:
            members = grid_members(replace(case, grid_epochs=4))[:: 20 // k]
            times = _timed_epochs(lambda tell: side_by_side(case, members, torch.device("cuda"), tell))
            return f"{times:.3f} | {times / k:.4f}"

        _row(say, ends, f"K = {k}", measure)
    say("")


def _epoch_seconds(case: Case, autocast: str, frozen: bool, n: int = 4) -> tuple[float, float]:
    """The median of the epochs after the first of n, and what the first took longer (a bank, a capture)."""
    chosen = options(case, epochs=n).model_copy(update={"autocast": autocast, "precision": "compensated"})
    marks: list[float] = []
    begun = time.perf_counter()
    train(
        start(case, 0), case.data(), chosen, case.augmentation, frozen=frozen, seed=1, name="benchmark",
        patch_pixels=case.patch_pixels, device="cuda", on_epoch=lambda _: marks.append(time.perf_counter()),
    )  # fmt: skip
    epochs = [after - before for before, after in pairwise(marks)]
    median = statistics.median(epochs)
    return median, max(0.0, marks[0] - begun - median)


def _timed_epochs(work: Callable[[Callable[[], None]], None]) -> float:
    """Seconds between the first and the last call of a function that is called after each epoch, an epoch."""
    marks: list[float] = []
    work(lambda: marks.append(time.perf_counter()))
    return (marks[-1] - marks[0]) / max(1, len(marks) - 1)


def _batch(case: Case) -> tuple[Tensor, Tensor]:
    images = torch.randn(case.batch_size, 1, case.patch_pixels, case.patch_pixels, device="cuda")
    return images.to(memory_format=torch.channels_last), torch.arange(case.batch_size, device="cuda") % 2


def _members(case: Case, k: int) -> list[LesionNetwork]:
    networks = [start(case, number) for number in range(k)]
    for network in networks:
        place(network, "cuda")
        network.train()
    return networks


def _seconds(work: Callable[[], object], rounds: int = 8) -> float:
    """Seconds a call, after two that do not count."""
    work(), work()
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(rounds):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - begun) / rounds


def _stepper(case: Case, network: LesionNetwork, autocast: bool, capturable: bool) -> Callable[[], None]:
    images, labels = _batch(case)
    loss_of = loss_function("cross_entropy")
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True, capturable=capturable)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=autocast, cache_enabled=not capturable):
            logits = network(images)
        loss_of(logits.float(), labels).backward()
        optimizer.step()

    return step


def _eager_steps(case: Case, k: int, autocast: bool) -> float:
    all_of_them = [_stepper(case, network, autocast, False) for network in _members(case, k)]
    return _seconds(lambda: [step() for step in all_of_them])


def _graphed_steps(case: Case, k: int, autocast: bool) -> float:
    graphs, pool = [], torch.cuda.graph_pool_handle()
    for network in _members(case, k):
        step = _stepper(case, network, autocast, True)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            step()
        # the graph works on the memory of what its step holds
        graphs.append((graph, step))
    return _seconds(lambda: [graph.replay() for graph, _ in graphs])


def _as_set(deterministic: bool) -> None:
    """As stages/training/compute.py has it; a deterministic cuBLAS needs its variable before the first use."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not deterministic


def _row(say: Say, ends: float, name: str, measure: Callable[[], str]) -> None:
    say(f"| {name} | {_guarded(ends, measure)} |")


def _guarded(ends: float, measure: Callable[[], str]) -> str:
    """The measurement, or why there is none."""
    if time.monotonic() > ends:
        return "not started: the time was over"
    try:
        return measure()
    except Exception as error:
        return f"failed: {type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
    finally:
        torch.cuda.empty_cache()
