"""What stops a training, each with a sentence that says what happened and where."""

from lesion_transfer.errors import LesionError


class LearningError(LesionError):
    """The base of every error of this room."""


class NetworkError(LearningError):
    """A network that cannot be built as its options say."""


class TrainingError(LearningError):
    """A training that cannot start or go on."""


class CheckpointError(LearningError):
    """A model folder that is missing, incomplete or does not match what it says about itself."""


class NotFiniteError(LearningError):
    """A network whose outputs are not finite: its scores mean nothing."""
