"""The share of weight updates that rounding swallows, by learning rate and precision: a Markdown table on stdout.

The network of the thesis (filters 32, 64, 128; dense 256, 64, 16) on noise with a bright dot in the positives, one
thread, N_STEPS Adam steps; "lost" is the mean over all steps, "moved" the share of weights that differ at the end.
    python benchmarks/update_loss.py
"""

import sys

import torch
from torch.nn import functional

from lesion_transfer.learning.network import build_network, place
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.updates import WeightUpdate

N_STEPS, BATCH = 20, 16
RATES = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9)


def shares(lr: float, precision: str) -> tuple[float, float]:
    """Lost and moved, of one training."""
    network = build_network(NetworkOptions(), 1, 0.0, torch_generator(1, "network"))
    place(network, "cpu", torch.float64 if precision == "float64" else torch.float32)
    network.train()
    update = WeightUpdate(network.parameters(), lr, precision)
    before, generator, lost = update.weights(), torch_generator(1, "data"), 0.0
    for _ in range(N_STEPS):
        labels = torch.arange(BATCH) % 2
        images = torch.randn(BATCH, 1, 65, 65, generator=generator)
        images[labels == 1, :, 28:37, 28:37] += 1
        update.zero_grad()
        functional.cross_entropy(network(images.to(network.dtype)), labels).backward()
        lost += update.measured_step() / N_STEPS
    return lost, update.moved_share(before)


def main() -> None:
    torch.set_num_threads(1)
    lines = ["| lr | float32 lost | float32 moved | compensated lost | compensated moved |", "|---|---|---|---|---|"]
    for lr in RATES:
        cells = [f"{share:.1%}" for precision in ("float32", "compensated") for share in shares(lr, precision)]
        lines.append(f"| {lr:g} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
