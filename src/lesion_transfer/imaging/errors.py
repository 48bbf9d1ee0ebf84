"""What can be wrong with an image file, each as a sentence that says what, where and what to do."""

from lesion_transfer.errors import LesionError


class ImagingError(LesionError):
    """An image, or what its header says, cannot be used."""


class UnreadableFileError(ImagingError):
    """A file is damaged, hostile, or in a form that is not read here."""


class GeometryError(ImagingError):
    """An image does not say, or not consistently, where in the patient it lies."""
