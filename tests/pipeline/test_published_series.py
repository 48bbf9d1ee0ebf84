"""`lesion series`: the published image tables by rule."""

import shutil
from pathlib import Path

import pytest

from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.published import published_series

ROOT = Path(__file__).parents[2]
TRANSVERSE = "0.5,0,0,-90,0,0.5,0,-90,0,0,3,0,0,0,0,1"
SAGITTAL = "0,0,3,-90,0.5,0,0,-90,0,-0.5,0,0,0,0,0,1"
ROWS = [
    ("t2_tse_tra", TRANSVERSE),
    ("t2_tse_sag", SAGITTAL),
    ("ep2d_diff_tra_DYNDIST", TRANSVERSE),
    ("ep2d_diff_tra_DYNDIST", TRANSVERSE),
    ("something new", TRANSVERSE),
    ("Twist_dynamic_Wip576_TT=8.0s", TRANSVERSE),
    ("Twist_dynamic_Wip576_TT=12.2s", TRANSVERSE),
]


@pytest.fixture
def layout(tmp_path) -> Layout:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return Layout(tmp_path)


def test_rows_are_counted_by_rule_and_what_is_no_channel_is_listed(layout):
    layout.tables("prostatex").mkdir(parents=True)
    lines = [f'P,1,1 2 3,"{matrix}",{name},{number}' for number, (name, matrix) in enumerate(ROWS)]
    text = "\n".join(["ProxID,fid,pos,WorldMatrix,DCMSerDescr,DCMSerNum", *lines])
    (layout.tables("prostatex") / "ProstateX-Images-Train.csv").write_text(text)
    by_rule, left = published_series(layout, "prostatex")
    cells = [list(column.cells) for column in by_rule.columns]
    assert list(zip(*cells, strict=True)) == [
        ("dwi_measured", "dwi", "2"),
        ("dynamic_or_proton_density", "", "2"),
        ("not_transverse", "", "1"),
        ("t2", "t2", "1"),
        ("unknown_name", "", "1"),
    ]
    assert list(zip(*(column.cells for column in left.columns), strict=True)) == [
        ("Twist_dynamic_Wip576_TT=...", "2"),
        ("something new", "1"),
        ("t2_tse_sag", "1"),
    ]


def test_a_table_whose_rows_are_all_channels_leaves_nothing_to_list(layout):
    layout.tables("prostatex").mkdir(parents=True)
    rows = f'ProxID,fid,pos,WorldMatrix,DCMSerDescr,DCMSerNum\nP,1,1 2 3,"{ROWS[0][1]}",{ROWS[0][0]},1'
    (layout.tables("prostatex") / "ProstateX-Images-Train.csv").write_text(rows)
    _, left = published_series(layout, "prostatex")
    assert left == "Every row's series is a channel.\n"


def test_it_says_what_is_missing(layout):
    with pytest.raises(StageError, match="lesion acquire prostatex"):
        list(published_series(layout, "prostatex"))
    with pytest.raises(StageError, match="only those of prostatex"):
        list(published_series(layout, "brain"))
