"""A model on disk: model.safetensors and model.json, written whole, checked when read; nothing is ever unpickled."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lesion_transfer.files import replacing, write_json
from lesion_transfer.learning.errors import CheckpointError, LearningError
from lesion_transfer.learning.network import LesionNetwork
from lesion_transfer.learning.options import NetworkOptions

WEIGHTS_FILE = "model.safetensors"
INFO_FILE = "model.json"
REQUIRED = ("network", "in_channels", "dropout", "patch_pixels")


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """One hash of every tensor's name, type, shape and bytes, in order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1f".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def save_model(folder: Path, state: Mapping[str, Tensor], info: Mapping[str, Any]) -> str:
    """Writes the two files and returns the model's hash, which model.json gets as `model_sha256`.

    info: JSON values, among them those of `LesionNetwork.description()`. Raises CheckpointError where one is missing.
    """
    missing = [key for key in REQUIRED if key not in info]
    if missing:
        raise CheckpointError(f"A model needs {', '.join(missing)} in its info, or nobody can build it again.")
    sha256 = state_sha256(state)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with replacing(folder / WEIGHTS_FILE) as temporary:
        save_file(tensors, temporary)
    write_json(folder / INFO_FILE, {**info, "model_sha256": sha256})
    return sha256


def load_model(folder: Path) -> tuple[LesionNetwork, dict[str, Any]]:
    """The network on the CPU in eval mode, in the floating-point type it was saved in, and model.json.

    Raises CheckpointError where a file is missing or unreadable, or weights and model.json do not belong together.
    """
    info = _read_info(folder / INFO_FILE)
    state = _read_weights(folder / WEIGHTS_FILE)
    if info.get("model_sha256") != state_sha256(state):
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} is not what {INFO_FILE} beside it was written for (model_sha256 differs): "
            "get both again, with dvc pull or by repeating the stage."
        )
    try:
        options = NetworkOptions.model_validate(info["network"])
        network = LesionNetwork(options, info["in_channels"], info["dropout"], info["patch_pixels"])
        network.to(next((tensor.dtype for tensor in state.values() if tensor.is_floating_point()), torch.float32))
        network.load_state_dict(state)
    except (pydantic.ValidationError, LearningError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / INFO_FILE} does not describe the weights beside it: {error}") from error
    return network.eval(), info


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"There is no model: {path} is missing. Run the stage that trains it, or dvc pull."
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(info, dict) or any(key not in info for key in REQUIRED):
        raise CheckpointError(f"{path} is not a model of this package: it needs the keys {', '.join(REQUIRED)}.")
    return info


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(
            f"There is no model: {path} is missing. Run the stage that trains it, or dvc pull."
        ) from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is not a safetensors file ({error}); pickled weights are never loaded."
        ) from error
