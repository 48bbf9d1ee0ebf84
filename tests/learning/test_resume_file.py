"""A state on disk: what comes back is what was written, or a sentence says why not."""

import contextlib
import math
from functools import partial
from pathlib import Path

import pytest
import torch

from lesion_transfer.learning.checkpoint import state_sha256
from lesion_transfer.learning.resume import ResumeError, StateFile, StatePlace, load_state, save_state
from lesion_transfer.learning.state import TrainingState


def state(epoch: int = 2) -> TrainingState:
    tensors = {
        "network.weight": torch.full((3, 2), 0.1 * epoch),
        "network.norm.num_batches_tracked": torch.tensor(7),
        "update.0.master": torch.tensor([1e-300, -0.0], dtype=torch.float64),
        "gradients.1": torch.zeros(2, 1, 3),
    }
    values = {
        "lr": 1e-8,
        "plateau": {"best": -math.inf, "num_bad_epochs": 1},
        "best": {"epoch": 1, "kept": [0.1, 0.2]},
        "columns": ["epoch", "lr", "validation_auc"],
        "rows": [[1, 1e-8, math.nan], [2, 0.1 + 0.2, 0.5]],
    }
    return TrainingState(epoch, tensors, values)


def test_what_comes_back_is_what_was_written(tmp_path: Path) -> None:
    save_state(tmp_path / "state", state(), "abc")
    back = load_state(tmp_path / "state", "abc")
    assert back is not None
    assert back.epoch == 2
    assert state_sha256(back.tensors) == state_sha256(state().tensors)
    assert repr(back.values) == repr(state().values)
    assert repr(back.history[0]) == "{'epoch': 1, 'lr': 1e-08, 'validation_auc': nan}"


def test_without_a_file_there_is_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state", "abc") is None
    assert StateFile(StatePlace(tmp_path / "state", "abc"), "ds1_full").state is None


def test_a_state_of_another_training_is_refused_with_a_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_state(tmp_path / "state", state(), "abc")
    assert StateFile(StatePlace(tmp_path / "state", "abd"), "ds1_full").state is None
    assert "is of another training" in caplog.text
    assert "ds1_full starts anew" in caplog.text


@pytest.mark.parametrize("where", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_any_flipped_bit_is_found(tmp_path: Path, where: float) -> None:
    path = tmp_path / "state"
    save_state(path, state(), "abc")
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ResumeError, match=r"damaged|of another training"):
        load_state(path, "abc")


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_file_cut_short_is_found(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "state"
    save_state(path, state(), "abc")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ResumeError, match="damaged"):
        load_state(path, "abc")


def test_quick_epochs_are_neither_copied_nor_written_one_by_one_but_what_ends_a_training_between_two_loses_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state"
    written: list[int] = []
    made: list[int] = []

    def newest(epoch: int) -> TrainingState:
        made.append(epoch)
        return state(epoch)

    with contextlib.suppress(KeyboardInterrupt), StateFile(StatePlace(path, "abc"), "ds1_full") as file:
        keep = file.keep
        assert keep is not None
        for epoch in range(1, 200):
            keep(partial(newest, epoch))
            on_disk = load_state(path, "abc")
            assert on_disk is not None
            written.append(on_disk.epoch)
        raise KeyboardInterrupt
    assert written[0] == 1, "the first is written at once"
    assert len(set(written)) < 100
    assert made == [*sorted(set(written)), 199]
    last = load_state(path, "abc")
    assert last is not None
    assert last.epoch == 199


def test_amid_an_epoch_the_last_one_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with contextlib.suppress(KeyboardInterrupt), StateFile(StatePlace(path, "abc"), "ds1_full") as file:
        assert file.keep is not None
        file.keep(partial(state, 1))
        file.keep(lambda: None)
        raise KeyboardInterrupt
    last = load_state(path, "abc")
    assert last is not None
    assert last.epoch == 1


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".state.0a1b2c3d.tmp").write_bytes(b"half")
    (tmp_path / ".other.0a1b2c3d.tmp").write_bytes(b"somebody else's")
    StateFile(StatePlace(tmp_path / "state", "abc"), "ds1_full")
    assert [file.name for file in tmp_path.iterdir()] == [".other.0a1b2c3d.tmp"]


def test_without_a_place_nothing_is_kept() -> None:
    with StateFile(None, "ds1_full") as file:
        assert file.state is None
        assert file.keep is None


def test_a_state_that_cannot_be_written_ends_no_training(tmp_path, caplog):
    """A full disk, or on another machine of a cluster a folder that is not there."""
    (tmp_path / "file").write_text("")
    with StateFile(StatePlace(tmp_path / "file" / "state", "abc"), "ds1_full") as file:
        assert file.keep is not None
        keep = file.keep
        for _ in range(2):
            keep(state)
    assert caplog.text.count("no state is kept from here on") == 1
