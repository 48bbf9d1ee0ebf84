"""Rewriting params.yaml's values from a preset; comments, order and what the user added stay."""

import io
from collections.abc import MutableMapping
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from lesion_transfer.files import write_text
from lesion_transfer.settings import settings_from
from lesion_transfer.stages.layout import Layout, StageError

PRESETS = ("demo", "thesis", "thesis-faithful")


def preset_values(name: str) -> dict[str, Any]:
    """The values of a preset, nested as in params.yaml; thesis-faithful is thesis with its own on top."""
    if name not in PRESETS:
        raise StageError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    if name == "demo":
        values: dict[str, Any] = YAML(typ="safe").load(_text("demo"))
        return values
    values = YAML(typ="safe").load(_text("thesis"))
    if name == "thesis-faithful":
        _merge(values, YAML(typ="safe").load(_text("thesis-faithful")))
    return values


def apply_preset(layout: Layout, name: str) -> list[str]:
    """Writes the preset's values into params.yaml and returns the keys whose value changed.

    `thesis` leaves the sources of the data sets alone; `demo` puts everything back to what the repository came with.
    Keys that the preset does not name (a data set, cohort or phase of the user's own) stay as they are. Where
    params.yaml is missing, the demo's is written first. Raises SettingsError when the result is not valid.
    """
    values = preset_values(name)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.representer.add_representer(type(None), _written_null)
    text = layout.params.read_text(encoding="utf-8") if layout.params.exists() else _text("demo")
    content = yaml.load(text)
    changed = _merge(content, values)
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    settings_from(YAML(typ="safe").load(buffer.getvalue()))
    write_text(layout.params, buffer.getvalue())
    return changed


def _merge(content: MutableMapping[str, Any], values: MutableMapping[str, Any], prefix: str = "") -> list[str]:
    """Puts `values` into `content` in place, key by key; returns the dotted keys that changed."""
    changed: list[str] = []
    for key, value in values.items():
        if isinstance(value, MutableMapping) and isinstance(content.get(key), MutableMapping):
            changed += _merge(content[key], value, f"{prefix}{key}.")
        elif key not in content or content[key] != value:
            if isinstance(value, list) and isinstance(content.get(key), CommentedSeq):
                _replace_items(content[key], value)
            else:
                content[key] = value
            changed.append(f"{prefix}{key}")
    return changed


def _replace_items(items: CommentedSeq, values: list[Any]) -> None:
    """New items in place; the comment after a list hangs on its last item in ruamel, so it moves to the new last."""
    following = items.ca.items.pop(len(items) - 1, None)
    items[:] = values
    if following is not None:
        items.ca.items[len(values) - 1] = following


def _written_null(representer: RoundTripRepresenter, _: None) -> ScalarNode:
    """`null` is spelled out: an empty value looks forgotten."""
    node: ScalarNode = representer.represent_scalar("tag:yaml.org,2002:null", "null")
    return node


def _text(name: str) -> str:
    return files("lesion_transfer").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")
