"""What counts as saying that patient identity was removed."""

import pytest

from lesion_transfer.imaging.privacy import identity_problem


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"PatientIdentityRemoved": "YES"}, ""),
        ({"PatientIdentityRemoved": None}, "does not say"),
        ({"PatientIdentityRemoved": ""}, "does not say"),
        ({"PatientIdentityRemoved": "NO"}, "was not removed"),
        ({"PatientIdentityRemoved": None, "DeidentificationMethod": "Per DICOM PS 3.15 AnnexE"}, ""),
        ({"PatientIdentityRemoved": "NO", "DeidentificationMethod": "Per DICOM PS 3.15 AnnexE"}, "was not removed"),
        ({"PatientIdentityRemoved": "YES", "BurnedInAnnotation": "YES"}, "pixels show"),
        ({"PatientIdentityRemoved": "YES", "BurnedInAnnotation": "NO"}, ""),
    ],
)
def test_a_header(make_dicom, tags, said):
    problem = identity_problem(make_dicom(**tags))
    assert (said in problem) if said else problem == ""
