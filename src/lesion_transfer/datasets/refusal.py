"""How the readers say that one finding cannot be used, wherever in the reading that turns out."""

import os
from pathlib import Path

from lesion_transfer.datasets.finding import Exclusion
from lesion_transfer.datasets.reasons import Reason
from lesion_transfer.imaging.walk import as_utf8


class RefusalError(Exception):
    """One finding cannot be used; becomes an Exclusion. `detail` is a sentence for people.

    A detail names files relative to the source: it ends in a table whose bytes must not depend on where the data lie.
    Of names that are no UTF-8 it spells out the bytes, for no table could hold them.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = as_utf8(detail)
        super().__init__(self.detail)

    def exclusion(self, finding_key: str, patient_id: str, finding_id: str) -> Exclusion:
        """The Exclusion of this finding."""
        return Exclusion(finding_key, patient_id, finding_id, self.reason, self.detail)


def relative_to_source(text: str, source: Path) -> str:
    """A message with the names of files below source relative to it."""
    return text.replace(f"{source}{os.sep}", "")
