"""Tables that people wrote and damaged: nothing is read beside its column, and no row is lost in silence."""

import pytest

from lesion_transfer.datasets.finding import DatasetError
from lesion_transfer.datasets.refusal import RefusalError
from lesion_transfer.datasets.tables import checked_id, checked_label, read_table

HEADER = "id,label,zone"
ROWS = [f"P{number},True,PZ" for number in range(6)]


def table(tmp_path, *lines: str):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("marks", [[2], [2, 4]])
def test_a_stray_quotation_mark_does_not_swallow_rows(tmp_path, marks):
    rows = [row.replace("PZ", '"PZ') if number in marks else row for number, row in enumerate(ROWS)]
    with pytest.raises(DatasetError, match=r"table\.csv is not a CSV table that can be read.*quotation marks"):
        read_table(table(tmp_path, HEADER, *rows), ["id"])


def test_a_cell_over_several_lines_is_no_row(tmp_path):
    with pytest.raises(DatasetError, match="ends in line 3 goes over several lines"):
        read_table(table(tmp_path, HEADER, 'P0,True,"PZ', 'P1,True,PZ"', *ROWS[2:]), ["id"])


def test_cells_beyond_the_last_column_make_a_row_unusable(tmp_path):
    whole, surplus, blanks = read_table(table(tmp_path, HEADER, ROWS[0], "P1,True,1,5", "P2,True,PZ,,"), ["id"])
    assert [checked_id(whole, "id"), checked_id(blanks, "id")] == ["P0", "P2"]
    for judge, column in ((checked_id, "id"), (checked_label, "label"), (checked_label, "absent")):
        with pytest.raises(RefusalError, match=r"line 3 of table\.csv has 4 cells, and the table 3 columns") as raised:
            judge(surplus, column)
        assert raised.value.reason == "bad_row"


def test_a_needed_column_that_comes_twice_is_refused(tmp_path):
    path = table(tmp_path, "id,label,id", "P0,True,P1")
    with pytest.raises(DatasetError, match="has the column id twice"):
        read_table(path, ["id"])
    assert read_table(path, ["label"])[0]["label"] == "True"
