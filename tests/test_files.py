"""Cells of tables that a spreadsheet must not run."""

from hypothesis import given
from hypothesis import strategies as st

from lesion_transfer.files import neutral_cell, plain_cell


@given(st.text().filter(lambda text: not text.startswith("'")))
def test_a_neutral_cell_can_be_read_back(text):
    cell = str(neutral_cell(text))
    assert plain_cell(cell) == text
    assert not cell.startswith(("=", "+", "-", "@"))
