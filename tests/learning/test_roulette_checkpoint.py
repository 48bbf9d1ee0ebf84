"""The roulette's winner, and models on disk that are what they say."""

import json
from pathlib import Path

import pytest
import torch

from lesion_transfer.learning.architectures.registry import ARCHITECTURES
from lesion_transfer.learning.checkpoint import load_model, save_model, state_sha256
from lesion_transfer.learning.errors import CheckpointError
from lesion_transfer.learning.losses import loss_function
from lesion_transfer.learning.network import build_network
from lesion_transfer.learning.options import NetworkOptions
from lesion_transfer.learning.roulette import RouletteResult, roulette
from lesion_transfer.learning.scoring import ScoredRows, predict_probabilities, score
from lesion_transfer.learning.streams import torch_generator
from lesion_transfer.learning.training import TrainingData

OPTIONS = NetworkOptions(filters=[4, 4, 4], dense=[16, 8])
PATCH = 36


def data(labels: list[int]) -> TrainingData:
    images = torch.randn(len(labels), 1, 40, 40, generator=torch_generator(0, "images"))
    rows = torch.arange(len(labels))
    return TrainingData(images, torch.tensor(labels), rows[:0], rows)


def spin(n: int, labels: list[int], seed: int = 0) -> RouletteResult:
    return roulette(OPTIONS, data(labels), n, seed, 1, patch_pixels=PATCH)


def test_the_best_auc_wins_and_its_state_is_the_members() -> None:
    result = spin(8, [0, 1, 0, 1, 1, 0, -1])
    aucs = [row["validation_auc"] for row in result.table]
    assert [row["member"] for row in result.table] == list(range(8))
    assert aucs[result.best_member] == max(aucs)
    assert result.best_member == aucs.index(max(aucs))
    generator = torch_generator(0, "roulette", "member", str(result.best_member))
    again = build_network(OPTIONS, 1, 0.0, generator, PATCH)
    assert state_sha256(again.state_dict()) == state_sha256(result.best_state)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_member_is_scored_as_the_network_that_it_is_drawn_as(architecture) -> None:
    options = NetworkOptions(architecture=architecture, filters=[4, 4, 4], dense=[16, 8])
    images = torch.randn(8, 1, 65, 65, generator=torch_generator(0, "images"))
    rows = torch.arange(8)
    labels = rows % 2
    result = roulette(options, TrainingData(images, labels, rows[:0], rows), 3, 0, 1)
    for row in result.table:
        network = build_network(options, 1, 0.0, torch_generator(0, "roulette", "member", str(row["member"])))
        alone = score(network, ScoredRows(images, labels), loss_function("cross_entropy"))
        assert row["validation_loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert row["validation_auc"] == pytest.approx(alone["auc"], abs=1 / 16)  # ties, up to rounding


def test_autocast_rounds_the_scores_of_the_same_members() -> None:
    tables = [
        roulette(OPTIONS, data([0, 1] * 4), 4, 0, 1, patch_pixels=PATCH, autocast=autocast).table
        for autocast in ("off", "bfloat16")
    ]
    losses = [[row["validation_loss"] for row in table] for table in tables]
    assert all(one != other for one, other in zip(*losses, strict=True))
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_a_longer_roulette_begins_with_the_shorter_one_and_another_seed_differs() -> None:
    labels = [0, 1, 0, 1]
    assert spin(5, labels).table[:3] == spin(3, labels).table
    assert spin(3, labels, seed=1).table != spin(3, labels).table


def test_ties_and_nan_go_to_the_lowest_number() -> None:
    assert spin(3, [0, 0]).best_member == 0
    tied = spin(20, [0, 1])
    assert tied.best_member == [row["validation_auc"] for row in tied.table].index(1.0)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    network = build_network(OPTIONS, 1, 0.3, torch_generator(0, "x"), PATCH)
    save_model(tmp_path / "model", network.state_dict(), {**network.description(), "phase": "ds1_full"})
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was_saved(saved: Path) -> None:
    network, info = load_model(saved)
    original = build_network(OPTIONS, 1, 0.3, torch_generator(0, "x"), PATCH)
    images = torch.randn(3, 1, 36, 36, generator=torch_generator(0, "images"))
    assert info["phase"] == "ds1_full"
    assert info["model_sha256"] == state_sha256(original.state_dict()) == state_sha256(network.state_dict())
    assert not network.training
    assert network.dropout == 0.3
    assert (predict_probabilities(network, images, PATCH) == predict_probabilities(original, images, PATCH)).all()


def test_the_same_model_gives_the_same_files(saved: Path, tmp_path: Path) -> None:
    network, info = load_model(saved)
    reversed_state = dict(reversed(network.to(memory_format=torch.channels_last).state_dict().items()))
    save_model(tmp_path / "again", reversed_state, info)
    for name in ("model.safetensors", "model.json"):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.safetensors"]


def test_float64_weights_come_back_in_float64(tmp_path: Path) -> None:
    network = build_network(OPTIONS, 1, 0.3, torch_generator(0, "x"), PATCH).double()
    save_model(tmp_path, network.state_dict(), network.description())
    assert load_model(tmp_path)[0].dtype == torch.float64


def test_the_hash_sees_names_types_shapes_and_numbers() -> None:
    state = {"a": torch.zeros(2, 3), "b": torch.ones(2)}
    variants = [
        {"c": state["a"], "b": state["b"]},
        {**state, "b": state["b"].double()},
        {**state, "a": state["a"].reshape(3, 2)},
        {**state, "b": torch.tensor([1.0, 1.0 + 2**-23])},
    ]
    assert len({state_sha256(each) for each in [state, *variants]}) == 5
    assert state_sha256(dict(reversed(state.items()))) == state_sha256(state)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load_model(saved)


def test_a_pickle_is_refused(saved: Path) -> None:
    torch.save(torch.zeros(3), saved / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_model(saved)


def test_weights_of_another_model_are_refused(saved: Path, tmp_path: Path) -> None:
    other = build_network(OPTIONS, 1, 0.3, torch_generator(1, "x"), PATCH)
    save_model(tmp_path / "other", other.state_dict(), other.description())
    (tmp_path / "other" / "model.safetensors").replace(saved / "model.safetensors")
    with pytest.raises(CheckpointError, match="model_sha256 differs"):
        load_model(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"in_channels": 3},
        {"in_channels": "1"},
        {"patch_pixels": 65},
        {"patch_pixels": 3},
        {"dropout": None},
        {"network": {**OPTIONS.model_dump(), "filters": [4, 4, 5]}},
        {"network": {**OPTIONS.model_dump(), "flters": [4, 4, 4]}},
        {"network": {**OPTIONS.model_dump(), "cut": 9}},
    ],
)
def test_a_description_that_does_not_fit_the_weights_is_refused(saved: Path, changes: dict[str, object]) -> None:
    edit(saved / "model.json", **changes)
    with pytest.raises(CheckpointError, match="does not describe the weights"):
        load_model(saved)


def test_json_without_the_keys_or_no_json_is_refused(saved: Path) -> None:
    (saved / "model.json").write_text("{}")
    with pytest.raises(CheckpointError, match="needs the keys network"):
        load_model(saved)
    (saved / "model.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        load_model(saved)


def test_a_model_that_nobody_could_build_again_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="needs network, patch_pixels"):
        save_model(tmp_path / "model", {}, {"in_channels": 1, "dropout": 0.0})
    assert not (tmp_path / "model").exists()
