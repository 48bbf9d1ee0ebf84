"""Cells of tables that a spreadsheet must not run, and the hash of the code."""

from hypothesis import given
from hypothesis import strategies as st

from lesion_transfer import files
from lesion_transfer.files import code_sha256, neutral_cell, plain_cell


@given(st.text().filter(lambda text: not text.startswith("'")))
def test_a_neutral_cell_can_be_read_back(text):
    cell = str(neutral_cell(text))
    assert plain_cell(cell) == text
    assert not cell.startswith(("=", "+", "-", "@"))


def test_the_hash_of_code_knows_every_byte_every_name_and_the_parts_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    (tmp_path / "room").mkdir()
    one, other = tmp_path / "room" / "one.py", tmp_path / "other.py"
    one.write_text("a = 1\n")
    other.write_text("b = 1\n")

    def hashed(*parts: str) -> str:
        code_sha256.cache_clear()
        return code_sha256(*parts)

    found = [hashed(), hashed("room"), hashed("other.py")]
    assert hashed("room", "other.py") == hashed("room", "other.py")
    other.write_text("b = 2\n")
    assert hashed("room") == found[1]
    found += [hashed(), hashed("other.py")]
    one.rename(tmp_path / "room" / "another.py")
    found += [hashed(), hashed("room")]
    assert len(set(found)) == len(found)
    code_sha256.cache_clear()
