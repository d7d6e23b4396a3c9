"""Weights as PyTorch saves them (.pth, .pt), read without PyTorch, and without running what is in them.

    since PyTorch 1.6    a zip archive: data.pkl describes the tensors, data/KEY holds the numbers of a storage
    before               five pickles: a magic number, the version, the system, the tensors, the keys of the storages;
                         then for each storage 8 bytes, how many numbers it has, and the numbers

A tensor is a storage seen through an offset, a shape and strides. The arrays are views of the storages, so that memory
is bounded by the size of the file, whatever the pickle claims (and by twice that for bfloat16, which NumPy lacks and
which becomes float32).
"""
import io
import math
import os
import zipfile
from typing import NamedTuple

import numpy as np

from core.data.opcodes import LIMIT, execute
from core.errors import InputError, need

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001            # of the old format
BFLOAT16 = "bfloat16"
TYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": BFLOAT16, "DoubleStorage": "<f8",
         "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2",
         "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?"}
DIMENSIONS = 8
NESTED = ("state_dict", "model_state_dict", "model")     # where training scripts put the tensors among other things


class Storage(NamedTuple):
    """Numbers in the file that tensors share."""
    key: str
    dtype: str
    numbers: int

    @property
    def bytes(self):
        """The length of the storage in the file."""
        return self.numbers * (2 if self.dtype == BFLOAT16 else np.dtype(self.dtype).itemsize)


class Tensor(NamedTuple):
    """A storage as it is to be seen."""
    storage: Storage
    offset: int
    shape: tuple
    strides: tuple                     # in numbers


def read(path):
    """{name: read-only array} of the state dict in a file by torch.save. Raises InputError, which names the file.

    float16, float32, float64 and whole numbers keep their type, bfloat16 becomes float32. In a checkpoint the state
    dict has one of the names in NESTED.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(2)
            file.seek(0)
            tensors, storages = zipped(file, path) if start == b"PK" else in_line(file, path)
        return {name: array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check the path and its permissions") from None
    except Exception as error:         # which one a damaged file raises is left open by zipfile and pickletools
        raise InputError(f"{path} is damaged or no weights saved by PyTorch: download it again, or save the model's "
                         "state_dict() as safetensors") from error


# ---- the two formats -----------------------------------------------------------------------------------------------

class Directory(io.FileIO):
    """A file for zipfile, which reads the directory of an archive at once, however long the archive says it is."""

    def read(self, n=-1):
        """At most n bytes."""
        if n > LIMIT:
            raise zipfile.BadZipFile("a directory for thousands of tensors")
        return super().read(n)


def zipped(file, path):
    """({name: Tensor}, {key: array}) of a zip archive."""
    content, numbers_of = unzipped(file, path, FUNCTIONS, LIMIT)
    tensors, storages = state_dict(content, path), {}
    for one in sorted({tensor.storage for tensor in tensors.values()}):
        if one.key in storages:
            raise zipfile.BadZipFile("a storage of two types")
        storages[one.key] = numbers_of(one)
    return tensors, storages


def unzipped(file, path, functions, limit):
    """(the object that data.pkl of a zip archive describes, a function Storage -> its numbers).

    limit: bytes of data.pkl; functions: as core/data/opcodes.py takes them.
    """
    size = os.fstat(file.fileno()).st_size
    with Directory(path) as directory, zipfile.ZipFile(directory) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    if sum(entry.file_size for entry in entries.values()) > size or any(e.compress_type for e in entries.values()):
        raise zipfile.BadZipFile("compressed, or entries that share their bytes: PyTorch writes neither")
    archive = zipfile.ZipFile(file)
    described, = (name for name in entries if name.count("/") <= 1 and name.rpartition("/")[2] == "data.pkl")
    folder = described.removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if entries[described].file_size > limit or order in entries and archive.read(order) != b"little":
        raise zipfile.BadZipFile("a description of thousands of tensors, or another order of bytes")

    def numbers_of(one):
        entry = entries[f"{folder}data/{one.key}"]
        if entry.file_size != one.bytes:
            raise zipfile.BadZipFile("a storage of another size")
        return numbers(archive.read(entry), one.dtype)

    return execute(archive.read(described), path, functions, storage)[0], numbers_of


def in_line(file, path):
    """({name: Tensor}, {key: array}) of the format before PyTorch 1.6. Raises InputError for a damaged file."""
    found = {}

    def note(persistent_id):
        one = storage(persistent_id)
        return found.setdefault(one.key, one)

    def following():
        start = file.tell()
        value, length = execute(file.read(LIMIT), path, FUNCTIONS, note)
        file.seek(start + length)
        return value

    need(file.read(262)[257:] != b"ustar", f"{path} has the format of PyTorch before 0.1.10, which is not read: "
         "load it with torch.load and save it again with torch.save")
    file.seek(0)
    if (following(), following(), following()["little_endian"]) != (MAGIC, VERSION, True):
        raise ValueError("another format")
    tensors, storages, keys = state_dict(following(), path), {}, following()
    if not all(type(key) is str for key in keys) or sorted(keys) != sorted(found):
        raise ValueError("other storages than described")
    end = os.fstat(file.fileno()).st_size
    for one in map(found.get, keys):
        if file.tell() + 8 + one.bytes > end or int.from_bytes(file.read(8), "little") != one.numbers:
            raise ValueError("a storage of another size")
        storages[one.key] = numbers(file.read(one.bytes), one.dtype)
    return tensors, storages


# ---- tensors -------------------------------------------------------------------------------------------------------

def storage(persistent_id):
    """The Storage of a persistent id: ("storage", its type, key, device, numbers), in the old format also None."""
    kind, dtype, key, _, n, *view = persistent_id
    good = kind == "storage" and type(key) is str and whole(n) and dtype in TYPES.values() and view in ([], [None])
    if not good:
        raise ValueError("no storage")
    return Storage(key, dtype, n)


def tensor(storage, offset, shape, strides, *_):
    """What torch._utils._rebuild_tensor_v2 stands for."""
    if not (isinstance(storage, Storage) and type(shape) is type(strides) is tuple
            and len(shape) == len(strides) <= DIMENSIONS and all(map(whole, (offset, *shape, *strides)))):
        raise ValueError("no tensor")
    return Tensor(storage, offset, shape, strides)


def parameter(data, *_):
    """What torch._utils._rebuild_parameter stands for."""
    return data


def ordered():
    """What collections.OrderedDict stands for: dicts have an order."""
    return {}


FUNCTIONS = {("collections", "OrderedDict"): ordered, ("torch._utils", "_rebuild_tensor_v2"): tensor,
             ("torch._utils", "_rebuild_tensor"): tensor, ("torch._utils", "_rebuild_parameter"): parameter,
             **{("torch", name): dtype for name, dtype in TYPES.items()}}


def whole(n):
    """Whether n is a whole number that can count something."""
    return type(n) is int and 0 <= n < 1 << 48


def state_dict(content, path):
    """{name: Tensor} of what the pickle holds. Raises InputError if it has no state dict."""
    for name in NESTED:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    items = content.items() if isinstance(content, dict) else ()
    found = {name: value for name, value in items if isinstance(value, Tensor)}
    need(found and all(isinstance(name, str) for name in found),
         f"{path} has no state dict, a tensor for each name: save the model's state_dict() alone")
    return found


def numbers(raw, dtype):
    """The numbers (n,) in the bytes of a storage; bfloat16 has the upper half of the bits of a float32."""
    if dtype == BFLOAT16:
        wide = np.frombuffer(raw, "<u2").astype("<u4")
        wide <<= 16
        wide.flags.writeable = False
        return wide.view("<f4")
    return np.frombuffer(raw, dtype)


def array(tensor, numbers):
    """The tensor as a view of the numbers of its storage."""
    _, offset, shape, strides = tensor
    if 0 in shape:
        return np.zeros(shape, numbers.dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if math.prod(shape) > len(numbers) or last >= len(numbers):
        raise ValueError("a tensor that is longer than its storage")
    strides = [n * numbers.itemsize for n in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, strides)
