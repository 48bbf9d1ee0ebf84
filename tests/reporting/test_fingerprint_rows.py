"""A fingerprint in words: what is used though something looks wrong with it is named, not only counted."""

from lesion_transfer.reporting.fingerprint import fingerprint_rows

CONTENT = {
    "n_findings": 9,
    "n_patients": 8,
    "n_images": 9,
    "findings_per_patient": {"1": 7, "2": 1},
    "labels": {"positive": 9},
    "zones": {},
    "excluded": {"uncertain_label": 2},
    "n_in_groups_of_duplicates": 0,
    "channels": {},
}


def test_concerns_are_listed_with_their_findings():
    concerns = {"air_at_centre_tissue_by_position": ["LUNGx-CT001/1/1", "LUNGx-CT002/1/1"]}
    rows = dict(fingerprint_rows({**CONTENT, "concerns": concerns}))
    assert rows["used, but look at"] == "air_at_centre_tissue_by_position: LUNGx-CT001/1/1, LUNGx-CT002/1/1"
    assert rows["left out"] == "uncertain_label (2)"
    assert "used, but look at" not in dict(fingerprint_rows({**CONTENT, "concerns": {}}))


def test_of_many_concerns_the_first_are_named_and_the_rest_counted():
    keys = [f"P{number}/1/1" for number in range(9)]
    rows = dict(fingerprint_rows({**CONTENT, "concerns": {"air_at_centre": keys}}))
    assert rows["used, but look at"] == f"air_at_centre: {', '.join(keys[:6])} and 3 more"
