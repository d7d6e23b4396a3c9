"""Pickles of plain data and arrays, as Python 2 and 3 write them, read without running anything in them.

A pickle is a program. core/data/opcodes.py lets it build dicts, lists, numbers and strings, at a bounded cost. What it
asks to call is written down (Recorded) and not called, and only what an array needs may be asked for: enough to say
how long the array is and which bytes it has.
"""
import math

import numpy as np

from core.data.opcodes import Recorded, execute
from core.errors import InputError

MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
SHORT = 1000                           # letters that are encoded at once; more, as of pixels, only where they are used


def encode(letters=None, encoding=None, *_):
    """What _codecs.encode stands for: the bytes of a short text, which may be a key, or the call Recorded."""
    short = type(letters) is str and encoding == "latin1" and len(letters) < SHORT
    return letters.encode("latin1", "ignore") if short else Recorded(letters, encoding)


FUNCTIONS = {**{(module, name): Recorded for module in MULTIARRAY for name in ("_reconstruct", "scalar")},
             **{(module, "_frombuffer"): Recorded for module in ("numpy.core.numeric", "numpy._core.numeric")},
             ("numpy", "ndarray"): Recorded, ("numpy", "dtype"): Recorded, ("_codecs", "encode"): encode}
REMEDY = "which no array needs (it was not run): use the official download"
WHOLE = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


def unpickle(raw, where):
    """The object in the pickle `raw`, with Recorded for arrays. Raises InputError, which calls the pickle `where`."""
    try:
        return execute(raw, where, FUNCTIONS, None, REMEDY)[0]
    except InputError:
        raise
    except Exception as error:                                # which one a damaged pickle raises is left open by Python
        raise InputError(f"{where} is truncated or damaged: download it again") from error


def text(value):
    """Python 2's str, read as bytes, as str; anything else unchanged."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def field(content, name):
    """content[name], whether Python 2 or 3 wrote the keys; None where there is none."""
    return content.get(name, content.get(name.encode())) if isinstance(content, dict) else None


def uint8_rows(value, width):
    """The (n, width) uint8 array that `value` records, n at least 1; None if it records anything else."""
    array = recorded_array(value, ("u1",))
    return array if array is not None and array.ndim == 2 and len(array) and array.shape[1] == width else None


def whole_numbers(value):
    """The (n,) int64 array that `value` is: a list of whole numbers, of NumPy or not, or an array; else None."""
    if isinstance(value, list):
        value = [recorded_scalar(item) if isinstance(item, Recorded) else item for item in value]
        good = set(map(type, value)) == {int} and -(1 << 62) < min(value) and max(value) < 1 << 62
        return np.array(value, np.int64) if good else None
    array = recorded_array(value, WHOLE)
    return array.astype(np.int64) if array is not None and array.ndim == 1 and len(array) else None


def recorded_scalar(value):
    """The whole number of NumPy that `value` records, as int; else None."""
    match value:
        case Recorded(state=None, arguments=(kind, raw)):
            kind, raw = dtype_of(kind, WHOLE), bytes_of(raw)
            if kind and raw is not None and len(raw) == kind.itemsize:
                return int(np.frombuffer(raw, kind)[0])


def recorded_array(value, kinds):
    """The array that `value` records if its type is one of `kinds`, else None."""
    match value:
        case Recorded(state=(_, tuple(shape), kind, columns_first, raw)):
            order = "F" if columns_first is True else "C"
        case Recorded(state=None, arguments=(raw, kind, tuple(shape), ("C" | "F") as order)):     # protocol 5
            pass
        case _:
            return None
    kind, raw = dtype_of(kind, kinds), bytes_of(raw)
    if kind is None or raw is None or len(shape) > 4 or not all(type(n) is int and 0 <= n < 1 << 32 for n in shape):
        return None
    if math.prod(shape) * kind.itemsize != len(raw):
        return None
    return np.frombuffer(raw, kind).reshape(shape, order=order)


def dtype_of(value, kinds):
    """The type of NumPy that `value` records if it is one of `kinds`, in the order of bytes of its state; else None."""
    match value:
        case Recorded(arguments=(str(name), *_), state=(_, ("<" | ">" | "|") as order, *_)) if name in kinds:
            return np.dtype(order + name)
        case Recorded(arguments=(str(name), *_), state=None) if name in kinds:
            return np.dtype(name)


def bytes_of(value):
    """The bytes that `value` is or records; None if it is something else."""
    match value:
        case Recorded(arguments=(str(letters), "latin1")):    # Python 3 in protocol 2: a letter for each byte
            value = letters
    if isinstance(value, str):                                # Python 2's bytes are read as latin1, too
        value = value.encode("latin1", "ignore")              # what is no byte is dropped, and the length tells
    return bytes(value) if isinstance(value, (bytes, bytearray)) else None
