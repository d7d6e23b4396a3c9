"""One of several arrays of labels in a file, as `FILE:NAME`: the published human labels of CIFAR-10 and CIFAR-100.

    .pt, .pth    a dict of arrays of NumPy or tensors by torch.save, since PyTorch 1.6; nothing in it is run
    .npy         a dict that numpy.save has pickled
    .npz         named arrays
"""
import io
import os
import zipfile
from pathlib import Path

import numpy as np

from core.data import pth
from core.data.pickles import FUNCTIONS, WHOLE, recorded_array, unpickle, whole_numbers
from core.errors import InputError, need

LARGEST = 64 << 20                     # bytes of a file: labels of a million images
MORE = "has more than 67,108,864 bytes: give a file of labels or of a matrix alone"
ENDINGS = (".npy", ".npz", ".pt", ".pth")
KINDS = (*WHOLE, "f4", "f8")
TRUE = "clean_label"                   # the labels of the authors beside those of people, in the published files


def divided(text):
    """(path, name) of FILE:NAME; the name is None in a text that is a file, or that has no colon after its ending."""
    file, colon, name = text.rpartition(":")
    named = colon and not os.path.exists(text) and file.lower().endswith(ENDINGS)
    return (Path(file), name) if named else (Path(text), None)


def choose(path, name):
    """(the array (n,) int64 under that name, the array TRUE or None). Raises InputError, which names the names."""
    arrays = named_arrays(path)
    found = {key: labels_in(value) for key, value in arrays.items() if isinstance(key, str)}
    found = {key: value for key, value in found.items() if value is not None}
    names = ", ".join(map(repr, sorted(found)[:20]))
    need(found, f"{path} holds no arrays of labels with names: save the labels alone with numpy.save")
    if name is None and len(found) == 1:
        return found.popitem()[1], None
    example = min(set(found) - {TRUE} or found)
    need(name in found, f"{path} holds the labels {names:.500}: choose one of them, as {path}:{example!s:.60}")
    return found[name], found.get(TRUE)


def several(path):
    """Whether a file holds named arrays and not one: .pt, .npz, and .npy of a pickled dict."""
    if path.suffix.lower() != ".npy":
        return path.suffix.lower() in ENDINGS
    try:
        with open(path, "rb") as file:
            return header(file)[2].hasobject
    except Exception:                  # a damaged header can raise nearly anything; who reads the array says so
        return False


def named_arrays(path):
    """{name: array, Recorded or anything else} of a file. Raises InputError."""
    read = {".npy": pickled, ".npz": zipped}.get(path.suffix.lower(), saved_by_torch)
    try:
        size = path.stat().st_size
        need(size <= LARGEST, f"{path} {MORE}")
        found = read(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check the path and its permissions") from None
    except Exception as error:         # which one a damaged file raises is left open by zipfile and NumPy
        raise InputError(f"{path} is damaged: download it again") from error
    return found if isinstance(found, dict) else {}


def header(file):
    """(shape, whether columns stand one after another, dtype) of a .npy file, which is read up to its data."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version, np.lib.format.read_array_header_2_0)
    return read(file)


def pickled(path):
    """The object in a .npy file of one object."""
    with open(path, "rb") as file:
        shape, _, dtype = header(file)
        if not dtype.hasobject or shape not in ((), (1,)):
            return {}
        content = unpickle(file.read(), path)
    state = getattr(content, "state", None)
    (found,) = state[-1] if isinstance(state, tuple) and state and isinstance(state[-1], list) else [None]
    return found


def zipped(path):
    """The arrays of numbers in an .npz file. Raises InputError for a large one."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        need(sum(entry.file_size for entry in entries) <= LARGEST, f"{path} {MORE}")
        found = {}
        for entry in entries:
            with archive.open(entry) as file:
                raw = io.BytesIO(file.read(LARGEST))
            shape, _, dtype = header(raw)
            if dtype.kind in "iuf" and len(shape) <= 2:
                raw.seek(0)
                found[entry.filename.removesuffix(".npy")] = np.lib.format.read_array(raw, allow_pickle=False)
    return found


def saved_by_torch(path):
    """The object of a zip file by torch.save; tensors are arrays. Raises InputError for an older format."""
    with open(path, "rb") as file:
        need(file.read(2) == b"PK", f"{path} is no file of PyTorch 1.6 or later: load it with torch.load and save it "
                                    "again with torch.save")
        content, numbers_of = pth.unzipped(file, path, {**pth.FUNCTIONS, **FUNCTIONS}, LARGEST)
        items = content.items() if isinstance(content, dict) else ()
        return {name: pth.array(value, numbers_of(value.storage)) if isinstance(value, pth.Tensor) else value
                for name, value in items}


def labels_in(value):
    """The (n,) int64 labels that a list, an array or a Recorded array holds, also as a column or as floats; or None."""
    if isinstance(value, list):
        return whole_numbers(value)
    array = value if isinstance(value, np.ndarray) else recorded_array(value, KINDS)
    array = None if array is None else flat(array)
    return array.astype(np.int64) if array is not None and array.ndim == 1 and array.dtype.kind in "iu" else None


def flat(array):
    """(n, 1) as (n,), whole numbers in floats as whole numbers; everything else unchanged."""
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    whole = array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all()
    return array.astype(np.int64) if whole and (np.abs(array) < 1 << 53).all() else array
