"""What can go wrong when a data set is fetched."""

from lesion_transfer.errors import LesionError


class DownloadError(LesionError):
    """The data set cannot be fetched: a sentence that says what, why and what to do."""
