"""What a DICOM header says of whether its patient can be told from it."""

from pydicom import Dataset

KEYWORDS = ("PatientIdentityRemoved", "DeidentificationMethod", "BurnedInAnnotation")


def identity_problem(dataset: Dataset) -> str:
    """Why an image must not be used unasked; empty where it says that patient identity was removed.

    It says so by PatientIdentityRemoved (0012,0062) YES or, where that is absent, by naming a De-identification Method
    (0012,0063); PS3.3 C.7.1.1, PS3.15 Annex E. Pixels that show identity (0028,0301) count as identity.
    """
    removed = str(dataset.get("PatientIdentityRemoved") or "").strip().upper()
    if not removed and dataset.get("DeidentificationMethod"):
        removed = "YES"
    if removed != "YES":
        says = "says that patient identity was not removed" if removed else "does not say that identity was removed"
        return f"{says} (0012,0062)"
    if str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES":
        return "says that its pixels show who the patient is (0028,0301)"
    return ""
