"""Which gradients stop a training."""

import numpy as np
import pytest

from lesion_transfer.learning.alarm import PATIENCE, GradientAlarm, nothing_alarming
from lesion_transfer.learning.errors import TrainingError
from lesion_transfer.learning.options import GradientLimits

LAYERS = ("conv", "dense1", "dense2")


def alarm(**limits: float | None) -> GradientAlarm:
    return GradientAlarm(GradientLimits(**limits), LAYERS, "ds1_full")


def values(*largest: float) -> np.ndarray:
    return np.array([[size / 2, size, 0.0] for size in largest], dtype=np.float32)


def test_a_count_that_was_put_back_goes_on() -> None:
    first, second = alarm(), alarm()
    for batch in range(1, PATIENCE):
        first.check(values(0.0, 0.1, 1.0), 1, batch)
    second.restore(first.state())
    with pytest.raises(TrainingError, match="the gradient of conv has vanished"):
        second.check(values(0.0, 0.1, 1.0), 2, 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_not_a_number_stops_at_once_and_names_the_layer_nearest_to_the_output(wrong: float) -> None:
    with pytest.raises(TrainingError, match="ds1_full, epoch 3, batch 7: the gradient of dense1 is not a number"):
        alarm(exploding=None, vanishing=None).check(values(wrong, wrong, 1.0), 3, 7)


def test_an_exploding_gradient_stops_at_once() -> None:
    watching = alarm(exploding=10.0)
    watching.check(values(1, 10, 1), 1, 1)
    with pytest.raises(TrainingError, match=r"epoch 1, batch 2: the gradient of conv explodes \(11 is above"):
        watching.check(values(11, 1, 1), 1, 2)
    alarm(exploding=None).check(values(1e30, 1, 1), 1, 1)


@pytest.mark.parametrize("tiny", [0.0, 1e-14])
def test_a_vanished_gradient_stops_when_it_stays_away(tiny: float) -> None:
    watching = alarm()
    for batch in range(1, PATIENCE):
        watching.check(values(tiny, 0.1, 1.0), 1, batch)
    watching.check(values(1e-3, 0.1, 1.0), 1, PATIENCE)
    for batch in range(1, PATIENCE):
        watching.check(values(tiny, 0.1, 1.0), 2, batch)
    with pytest.raises(TrainingError, match=f"epoch 2, batch {PATIENCE}: the gradient of conv has vanished"):
        watching.check(values(tiny, 0.1, 1.0), 2, PATIENCE)


def test_a_batch_that_is_known_to_be_calm_ends_a_count_as_checking_it_does() -> None:
    told, checked, calm = alarm(), alarm(), values(1e-3, 0.1, 1.0)
    for batch in range(1, PATIENCE):
        told.check(values(0.0, 0.1, 1.0), 1, batch)
        checked.check(values(0.0, 0.1, 1.0), 1, batch)
    assert nothing_alarming(calm[None], GradientLimits()).all()
    told.rest()
    checked.check(calm, 1, PATIENCE)
    assert told.state() == checked.state() == [0, 0, 0]


def test_a_share_of_zero_asks_for_a_gradient_that_is_exactly_zero() -> None:
    none, tiny = values(0.0, 0.1, 1.0), values(1e-30, 0.1, 1.0)
    assert nothing_alarming(np.stack([none, tiny]), GradientLimits(vanishing=0)).tolist() == [False, True]
    watching = alarm(vanishing=0)
    for batch in range(1, PATIENCE + 1):
        watching.check(tiny, 1, batch)
    for batch in range(1, PATIENCE):
        watching.check(none, 2, batch)
    with pytest.raises(TrainingError, match=f"epoch 2, batch {PATIENCE}: the gradient of conv has vanished"):
        watching.check(none, 2, PATIENCE)


def test_a_converged_network_is_no_alarm() -> None:
    watching = alarm()
    for batch in range(3 * PATIENCE):
        watching.check(values(0, 0, 0), 1, batch)
        watching.check(values(1e-30, 1e-30, 1e-31), 1, batch)
