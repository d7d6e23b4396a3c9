"""Exceptions that the user can fix."""
import errno
import os
import sys

MEMORY = ("memory ran out: close other programs, or choose a smaller --size, --K or --batch, "
          "or fewer --ranks")
FILES = "too many files are open: raise that limit (ulimit -n), or choose fewer --ranks"
PROCESSES = ("the system starts no more processes or threads: close other programs, or raise that "
             "limit (ulimit -u)")
LIMITS = {errno.ENOMEM: MEMORY, errno.EMFILE: FILES, errno.ENFILE: FILES, errno.EAGAIN: PROCESSES,
          errno.ENAMETOOLONG: "a path is longer than this system allows: shorten it"}
WORDS = {"allocate memory": MEMORY, "failed to map segment": MEMORY, "open files": FILES,
         "start new thread": PROCESSES}        # of libraries that are loaded, and of Python itself


class InputError(Exception):
    """Something given to the program cannot be used.

    The text is one sentence, without its full stop, that names the thing and the remedy. demo.py
    prints it and ends with status 2; every other exception is a fault of the program and keeps its
    traceback.
    """


class NotFinite(InputError):
    """The loss or a parameter has become infinite or nan."""


class Refused(InputError):
    """The system gives no more memory, files or space: nothing is wrong with what was given, and
    a run can be resumed."""


def refused(error):
    """The Refused that says the same as an exception of the system; None if it is no limit."""
    if isinstance(error, MemoryError):
        return Refused(MEMORY)
    if isinstance(error, OSError) and error.errno in LIMITS:
        return Refused(LIMITS[error.errno])
    if isinstance(error, (OSError, ImportError, RuntimeError)):
        return next((Refused(text) for words, text in WORDS.items() if words in str(error)), None)
    return None


def pass_on(error):
    """Raises what the system refuses, for readers that take any other exception for a damaged
    file: Refused."""
    if told := refused(error):
        raise told from None


def last_words(kind, error, trace):
    """A sys.excepthook: a limit of the system is one sentence and status 2, even while libraries
    are imported."""
    if (told := refused(error)) is None:
        sys.__excepthook__(kind, error, trace)
        return
    os.write(2, f"error: {told}\n".encode())
    os._exit(2)


def need(good, text):
    """Raises InputError(text) unless good."""
    if not good:
        raise InputError(text)
