"""Every kind has a reader with the three functions."""

import inspect
from typing import get_args

from lesion_transfer.datasets.options import Kind
from lesion_transfer.datasets.registry import READERS


def test_every_kind_has_a_reader_of_one_form():
    assert set(READERS) == set(get_args(Kind))
    for reader in READERS.values():
        assert list(inspect.signature(reader.published_tables).parameters) == ["source"]
        assert list(inspect.signature(reader.image_files).parameters) == ["source"]
        positional = [
            name
            for name, parameter in inspect.signature(reader.read_findings).parameters.items()
            if parameter.default is parameter.empty
        ]
        assert positional == ["source", "tables", "channels", "slice_rule"]
