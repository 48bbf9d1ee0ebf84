"""Every kind has a reader with the three functions."""

import inspect
from typing import get_args

from lesion_transfer.datasets.options import Kind
from lesion_transfer.datasets.registry import READERS


def test_every_kind_has_a_reader_of_one_form():
    assert set(READERS) == set(get_args(Kind))
    for reader in READERS.values():
        assert _positional(reader.published_tables) == ["source"]
        assert list(inspect.signature(reader.image_files).parameters) == ["source"]
        assert _positional(reader.read_findings) == ["source", "tables", "channels", "slice_rule"]


def _positional(function) -> list[str]:
    parameters = inspect.signature(function).parameters.items()
    return [name for name, parameter in parameters if parameter.default is parameter.empty]
