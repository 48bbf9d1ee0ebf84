"""What stops a transfer, each with a sentence."""

from lesion_transfer.errors import LesionError


class PhaseError(LesionError):
    """Phases that cannot be run as they are declared, or a start that does not fit."""


class FrozenError(LesionError):
    """A frozen extractor that is not what it was before the phase."""
