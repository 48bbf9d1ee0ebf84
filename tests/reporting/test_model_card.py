from dataclasses import replace

import pytest

from lesion_transfer.reporting.content import DatasetRow
from lesion_transfer.reporting.model_card import ModelCard, ModelScores, estimate_text, render_model_card


@pytest.fixture
def card(content):
    found = content.evaluation["after"]
    scores = ModelScores(
        plain={name: found[name] for name in found if name != "phase"},
        enhanced=None,
        copies=0,
        probabilities={
            "brier": found["auc"],
            "ece": found["auc"],
            "temperature": None,
            "operating_point": None,
            "confusion": {
                "threshold": 0.5,
                "true_positive": 1,
                "false_negative": 2,
                "false_positive": 3,
                "true_negative": 4,
            },
        },
        subgroups={"zone PZ": found["auc"]},
        n_draws=2000,
    )
    return ModelCard(
        name="ds4_full",
        made_by="A sentence.",
        files=["models/ds4_full"],
        model_sha256=["ab" * 32],
        architecture="thesis_vgg",
        n_parameters=1234,
        channels=["dwi"],
        patch_pixels=65,
        cohort=content.cohorts[0],
        target={"crop_mm": 65.0},
        training=content.cohorts,
        datasets=content.datasets,
        hyperparameters={"lr": 1e-8},
        seed=1,
        best_epoch=3,
        tested=scores,
    )


def test_says_licences_counts_and_what_it_is_not_for(card):
    text = render_model_card(card)
    for part in (
        "**Not for clinical use.**",
        "| brain | brain (phantom) | 200 findings (110 positive, 90 negative) of 180 patients | 160 | 40 | unknown",
        "https://doi.org/10.7937/K9TCIA.2017.MURS5CL",
        "no slice 3",
        "| lr | 1e-08 |",
        "| from 0.500 on | 1 | 2 | 3 | 4 |",
        "| temperature | not defined: one class |",
        "too few positives (8 < 10)",
    ):
        assert part in text


def test_there_is_no_phantom_warning_on_real_data(card):
    real = [replace(dataset, is_phantom=False) for dataset in card.datasets]
    assert "hantom" not in render_model_card(replace(card, datasets=real))


def test_it_claims_of_identity_and_near_duplicates_only_what_the_settings_say(card):
    real = [replace(dataset, is_phantom=False) for dataset in card.datasets]
    text = render_model_card(replace(card, datasets=real))
    assert "DICOM images that do not say that patient identity was removed were refused" in text
    assert "near-duplicates stand in one subset only" in text
    text = render_model_card(
        replace(card, datasets=[replace(real[0], may_identify=True), *real[1:]], near_duplicates_sought=False)
    )
    assert f"**Images of {real[0].name} need not be de-identified**" in text
    assert "were refused" not in text
    assert "nobody looked for near-duplicates" in text
    phantoms = [replace(dataset, is_phantom=True) for dataset in card.datasets]
    assert "were refused" not in render_model_card(replace(card, datasets=phantoms))


def test_a_model_without_known_labels_shows_no_number(card):
    text = render_model_card(replace(card, tested=None, test_note="13 of 14 have images."))
    assert "No number: the labels of its test findings are not published." in text
    assert "13 of 14 have images." in text
    assert "AUC |" not in text


def test_a_name_cannot_leave_its_cell_or_become_markup(card):
    hostile = "x|y\n# [z](http://a) <b>"
    datasets = [DatasetRow("prostatex", "prostatex", False, hostile), *card.datasets[1:]]
    text = render_model_card(replace(card, datasets=datasets))
    assert r"| x\|y # \[z\](http://a) &lt;b> |" in text
    assert "\n# [z]" not in text


def test_an_undefined_number_says_why():
    few = {"value": 0.7, "low": 0.6, "high": 0.8, "note": "too few positives (8 < 10)"}
    assert estimate_text(few) == "0.700 (0.600 to 0.800); too few positives (8 < 10)"
    assert estimate_text({"value": None, "low": None, "high": None, "note": "not defined: why"}) == "not defined: why"
    assert estimate_text(None) == "\N{EN DASH}"
