"""The base of every error that is told to the user as a sentence, without a traceback."""


class LesionError(Exception):
    """Something the user can mend: the message says what is wrong, where, and what to do."""
