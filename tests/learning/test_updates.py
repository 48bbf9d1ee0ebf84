"""What tiny learning rates do to weights, and the plateau rule that must work on them too."""

import pytest
import torch
from torch import nn

from lesion_transfer.learning.updates import Plateau, WeightUpdate

N_STEPS = 50


def weights_after(precision: str, lr: float) -> torch.Tensor:
    gamma = nn.Parameter(torch.ones(8, dtype=torch.float64 if precision == "float64" else torch.float32))
    update = WeightUpdate([gamma], lr, precision)
    for _ in range(N_STEPS):
        update.zero_grad()
        gamma.sum().backward()
        update.step()
    return gamma.detach()


def test_float32_loses_every_step_of_1e_8_on_a_gamma_of_one() -> None:
    assert torch.equal(weights_after("float32", 1e-8), torch.ones(8))


@pytest.mark.parametrize(("precision", "tolerance"), [("compensated", 2**-24), ("float64", 1e-14)])
def test_compensated_and_float64_keep_them(precision: str, tolerance: float) -> None:
    moved = weights_after(precision, 1e-8)
    assert (moved < 1).all()
    # Adam moves a weight of constant gradient by the learning rate a step
    assert (moved.double() - (1 - N_STEPS * 1e-8)).abs().max() <= tolerance


def test_at_an_ordinary_rate_all_precisions_agree() -> None:
    results = [weights_after(precision, 1e-3).double() for precision in ("float32", "compensated", "float64")]
    assert torch.allclose(results[0], results[2], atol=1e-5)
    assert torch.allclose(results[1], results[2], atol=1e-7)


@pytest.mark.parametrize(("precision", "share"), [("float32", 0.5), ("compensated", 0.0)])
def test_a_measured_step_tells_what_rounding_lost(precision: str, share: float) -> None:
    weights = nn.Parameter(torch.tensor([1.0, 1.0, 1e-3, 1e-3, 1.0]))
    update = WeightUpdate([weights], 1e-8, precision)
    # the last one has no gradient: nothing wanted, nothing lost
    (weights * torch.tensor([1.0, 1, 1, 1, 0])).sum().backward()
    assert update.measured_step() == share


def test_zero_grad_leaves_none_so_that_momentum_moves_nothing_unasked() -> None:
    used, unused = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    update = WeightUpdate([used, unused], 0.1, "compensated")
    (used + unused).sum().backward()
    update.step()
    kept = unused.item()
    update.zero_grad()
    used.sum().backward()
    update.step()
    assert unused.item() == kept


def test_the_plateau_rule_reduces_from_1e_8() -> None:
    update = WeightUpdate([nn.Parameter(torch.ones(1))], 1e-8, "float32")
    plateau = Plateau(update, 0.01, 2)
    seen = []
    for auc in (0.7, 0.7, 0.7, 0.7, 0.8):
        plateau.step(auc)
        seen.append(update.lr)
    # reduced at the third epoch without progress: patience 2
    assert seen == [1e-8, 1e-8, 1e-8, pytest.approx(1e-10), pytest.approx(1e-10)]


def test_nan_is_no_progress_and_no_stall_and_a_factor_of_one_is_off() -> None:
    update = WeightUpdate([nn.Parameter(torch.ones(1))], 1e-3, "float32")
    for plateau in (Plateau(update, 0.01, 0), Plateau(update, 1.0, 0)):
        for auc in (float("nan"),) * 5:
            plateau.step(auc)
        assert update.lr == 1e-3
    for _ in range(5):
        Plateau(update, 1.0, 0).step(0.5)
    assert update.lr == 1e-3
