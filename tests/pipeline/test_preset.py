"""`lesion preset` rewrites values and nothing else."""

import shutil
from pathlib import Path

import pytest

from lesion_transfer.settings import load_settings
from lesion_transfer.stages.layout import Layout, StageError
from lesion_transfer.stages.preset import apply_preset

ROOT = Path(__file__).parents[2]
# THESIS 7: lr, batch size, dropout, epochs, cohort, frozen.
THESIS_TABLE = {
    "ds1_full": (1e-8, 128, 0.4, 1000, "prostatex_dwi", False),
    "ds2_frozen": (1e-7, 128, 0.3, 1000, "brain", True),
    "ds2_full": (1e-8, 128, 0.3, 1000, "brain", False),
    "ds3_frozen": (1e-5, 128, 0.3, 1000, "lung", True),
    "ds3_full": (1e-8, 128, 0.3, 1000, "lung", False),
    "ds4_frozen": (1e-5, 128, 0.3, 1000, "prostatex_dwi", True),
    "ds4_full": (1e-9, 128, 0.0, 1000, "prostatex_dwi", False),
}


@pytest.fixture
def layout(tmp_path) -> Layout:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return Layout(tmp_path)


def comments(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]


def test_the_committed_settings_are_the_demo(layout):
    before = layout.params.read_bytes()
    assert apply_preset(layout, "demo") == []
    assert layout.params.read_bytes() == before


@pytest.mark.parametrize("name", ["thesis", "thesis-faithful"])
def test_there_and_back_again_is_the_same_file(layout, name):
    before = layout.params.read_text()
    apply_preset(layout, name)
    assert comments(layout.params.read_text()) == comments(before)
    assert layout.params.read_text() != before
    apply_preset(layout, "demo")
    assert layout.params.read_text() == before


def test_thesis_holds_the_table_of_the_thesis(layout):
    apply_preset(layout, "thesis")
    settings = load_settings(layout.params)
    rows = {}
    for name, phase in settings.phases.items():
        options = settings.hyperparameters(name)
        rows[name] = (options.lr, options.batch_size, options.dropout, options.epochs, phase.cohort, phase.frozen)
    assert rows == THESIS_TABLE
    assert settings.network.filters == [32, 64, 128]
    assert settings.roulette.n == 200
    factors = {
        name: settings.hyperparameters(name).augmentation_factor for name in ("ds1_full", "ds2_full", "ds3_full")
    }
    assert factors == {"ds1_full": 60, "ds2_full": 200, "ds3_full": 240}


def test_thesis_faithful_is_also_wrong_where_the_thesis_is(layout):
    apply_preset(layout, "thesis-faithful")
    settings = load_settings(layout.params)
    assert settings.cohorts["prostatex_dwi"].slice_rule == "instance_number"
    assert settings.loss == "cross_entropy_on_softmax"
    assert settings.validation == "augmented_balanced"
    assert settings.precision == "float32"
    assert {cohort.zscore_rows for cohort in settings.cohorts.values()} == {"all_rows"}


def test_the_thesis_takes_back_all_that_thesis_faithful_sets(layout):
    apply_preset(layout, "thesis")
    before = layout.params.read_text()
    apply_preset(layout, "thesis-faithful")
    assert layout.params.read_text() != before
    apply_preset(layout, "thesis")
    assert layout.params.read_text() == before


def test_the_users_own_sources_and_entries_stay(layout):
    text = layout.params.read_text().replace("    source: phantom", "    source: /my/prostatex", 1)
    layout.params.write_text(text)
    apply_preset(layout, "thesis")
    assert load_settings(layout.params).datasets["prostatex"].source == "/my/prostatex"


def test_an_unknown_preset_lists_those_there_are(layout):
    with pytest.raises(StageError, match="demo, thesis, thesis-faithful"):
        apply_preset(layout, "fast")
