"""Pickles of plain data and byte arrays, as Python 2 and 3 write them, read without running anything in them.

A pickle is a program. This reader lets it build dicts, lists, numbers and strings. What it asks to call is written down
and not called, and only what an array needs may be asked for:
enough to say how long the array is and which bytes it has.
"""
import io
import pickle
import pickletools

import numpy as np

from core.errors import InputError

ARRAY_GLOBALS = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
                 ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class Recorded:
    """A call that a pickle asks for, written down instead of made."""

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, None

    def __setstate__(self, state):
        self.state = state


class Unpickler(pickle.Unpickler):
    """Python's own, but that every global is Recorded. Persistent ids are refused by the class above."""

    def __init__(self, raw, where):
        super().__init__(io.BytesIO(raw), encoding="bytes")         # for what Python 2 wrote as str: keys and pixels
        self.where = where

    def find_class(self, module, name):
        """Recorded, for what an array needs; InputError for everything else."""
        if (module, name) not in ARRAY_GLOBALS:
            raise InputError(f"{self.where} asks to run {module + '.' + name!r:.80}, "
                             "which no array needs (it was not run): use the official download")
        return Recorded


def unpickle(raw, where):
    """The object in the pickle `raw`, with Recorded for arrays. Raises InputError, which calls the pickle `where`."""
    try:
        for code, argument, _ in pickletools.genops(raw):          # finds a string cut short before memory is set aside
            if "PUT" in code.name and argument > len(raw):          # and a memo that would need gigabytes
                raise pickle.UnpicklingError(f"memo entry {argument}")
        return Unpickler(raw, where).load()
    except InputError:
        raise
    except Exception as error:                                # which one a damaged pickle raises is left open by Python
        raise InputError(f"{where} is truncated or damaged: download it again") from error


def text(value):
    """Python 2's str, read as bytes, as str; anything else unchanged."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def field(content, name):
    """content[name], whether Python 2 or 3 wrote the keys; None where there is none."""
    return {text(key): value for key, value in content.items()}.get(name) if isinstance(content, dict) else None


def uint8_rows(value, width):
    """The (n, width) uint8 array that `value` records, n at least 1; None if it records anything else."""
    match value:
        case Recorded(state=(_, (int(n), int(m)), Recorded(arguments=("u1" | b"u1", *_)), columns_first, raw)):
            match raw:
                case Recorded(arguments=(str(letters), "latin1")):  # Python 3 in protocol 2: a letter for each byte
                    raw = letters.encode("latin1", "ignore")        # what is no byte is dropped, and the length tells
            if isinstance(raw, bytes) and n >= 1 and m == width and len(raw) == n * m:
                return np.frombuffer(raw, np.uint8).reshape((n, m), order="F" if columns_first else "C")
