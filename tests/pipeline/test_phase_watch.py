"""What the terminal tells while a phase trains."""

import logging

import pytest
from ruamel.yaml import YAML

from lesion_transfer.learning.estimate import ON_ONE_BATCH, ON_THE_FIRST_EPOCH
from lesion_transfer.settings import settings_from
from lesion_transfer.stages.phase_watch import PhaseWatch


@pytest.fixture
def options(request):
    content = YAML(typ="safe").load((request.config.rootpath / "params.yaml").read_text())
    return settings_from({**content, "epochs": 4, "precision": "float32"}).hyperparameters("ds1_full")


class Bar:
    """A progress bar that remembers."""

    def __init__(self) -> None:
        self.completed: list[int] = []

    def __call__(self, completed: int, total: int | None = None, note: str = "") -> None:
        self.completed.append(completed)


def row(epoch: int, lost: float = 0.0) -> dict[str, float]:
    return {"epoch": epoch, "lr": 1e-9, "lost_update_share": lost, "validation_auc": 0.5}


def test_the_time_is_told_before_the_first_epoch_and_after_it(options, caplog):
    caplog.set_level(logging.INFO)
    watch = PhaseWatch("ds1_full", [options], Bar())
    watch.estimate(0, 50.0, 4, ON_ONE_BATCH)
    assert caplog.messages == ["ds1_full: about 0:03:20 for 4 epochs of 50 s (timed on one batch)"]
    watch.epoch(0, row(1))
    watch.estimate(0, 40.0, 3, ON_THE_FIRST_EPOCH)
    assert caplog.messages[1:] == ["ds1_full: about 0:02:00 for 3 epochs of 40 s (timed on the first epoch)"]


def test_members_side_by_side_share_the_time_of_their_first_epoch(options, caplog):
    caplog.set_level(logging.INFO)
    watch = PhaseWatch("grid", [options] * 3, Bar())
    for number in range(3):
        watch.estimate(number, 1.0, 4, ON_ONE_BATCH)
    for number in range(3):
        watch.epoch(number, row(1))
    for number in range(3):
        watch.estimate(number, 1.0, 3, ON_THE_FIRST_EPOCH)
    assert len(caplog.messages) == 2
    assert "for 12 epochs of 1 s" in caplog.messages[0]
    assert "for 9 epochs of" in caplog.messages[1]


def test_a_resumed_phase_counts_the_epochs_that_are_left_of_this_and_later_members(options, caplog):
    caplog.set_level(logging.INFO)
    watch = PhaseWatch("ds1_full", [options] * 3, Bar())
    watch.finished(0)
    watch.estimate(1, 1.0, 2, ON_ONE_BATCH)
    watch.estimate(2, 1.0, 4, ON_ONE_BATCH)
    assert caplog.messages == ["ds1_full: about 0:00:06 for 6 epochs of 1 s (timed on one batch)"]


def test_the_bar_ends_full_with_members_resumed_or_stopped_early(options):
    bar = Bar()
    watch = PhaseWatch("ds1_full", [options] * 2, bar)
    watch.epoch(0, row(3))
    watch.finished(0)
    watch.epoch(1, row(1))
    watch.finished(1)
    assert bar.completed == [3, 4, 5, 8]


def test_mostly_lost_updates_are_warned_of_once_with_the_setting_that_mends_it(options, caplog):
    watch = PhaseWatch("ds4_full", [options], Bar())
    for epoch, lost in ((1, 0.5), (2, 0.73), (3, 0.9)):
        watch.epoch(0, row(epoch, lost))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        "ds4_full, epoch 2: rounding swallows 73% of the weights' updates at a learning rate of 1e-09 in float32; "
        "set precision: compensated (of this phase, or at the top of params.yaml)"
    ]
