"""Exceptions that the user can fix."""


class InputError(Exception):
    """Something given to the program cannot be used.

    The text is one sentence, without its full stop, that names the thing and the remedy. demo.py
    prints it and ends with status 2; every other exception is a fault of the program and keeps its
    traceback.
    """


class NotFinite(InputError):
    """The loss or a parameter has become infinite or nan."""


def need(good, text):
    """Raises InputError(text) unless good."""
    if not good:
        raise InputError(text)
