"""Small files in the encodings in which CIFAR-10 is found, for the tests of its readers."""
import pickle
import struct
import tarfile

import numpy as np
import pytest

from core.data import cifar10
from core.errors import InputError

FOLDER = "cifar-10-batches-py"
NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def contents(rows=20, test_rows=7, seed=0):
    """{file name: what its pickle holds}: five batches of `rows` images, the classes in turn, and a test batch."""
    rng = np.random.default_rng(seed)
    files = {"batches.meta": {"num_cases_per_batch": rows, "label_names": NAMES, "num_vis": 3072}}
    for name in [f"data_batch_{b}" for b in range(1, 6)] + ["test_batch"]:
        n = test_rows if name == "test_batch" else rows
        files[name] = {"batch_label": f"this is {name}", "labels": rng.permutation(np.arange(n) % 10).tolist(),
                       "data": rng.integers(256, size=(n, 3072), dtype=np.uint8),
                       "filenames": [f"{i:06d}.png" for i in range(n)]}
    return files


def write_folder(folder, files, dump):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(dump(content))
    return folder


def write_archive(path, folder):
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(folder, FOLDER)
    return path


def python3(value):
    return pickle.dumps(value, protocol=2)


def python2(value):
    """Pickle protocol 2 as written by Python 2, whose strings are bytes."""
    return b"\x80\x02" + opcodes(value) + b"."


def opcodes(value):
    match value:
        case dict():
            return b"}(" + b"".join(opcodes(item) for pair in value.items() for item in pair) + b"u"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case str():
            return opcodes(value.encode())
        case bytes():
            return (b"U" + struct.pack("<B", len(value)) if len(value) < 256 else b"T"
                    + struct.pack("<i", len(value))) + value
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            return b"J" + struct.pack("<i", value)
        case np.ndarray():
            kind = call("numpy", "dtype", *map(opcodes, (value.dtype.str[1:], 0, 1)))
            kind += opcodes((3, "|", None, None, None, -1, -1, 0)) + b"b"
            array = call("numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\n", opcodes((0,)), opcodes("b"))
            state = opcodes(1) + opcodes(value.shape) + kind + opcodes(False) + opcodes(value.tobytes())
            return array + b"(" + state + b"tb"


def call(module, name, *arguments):
    """Opcodes that call the global module.name on arguments, themselves opcodes."""
    return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR"


def complaint(path, **options):
    """What load says about `path`: one sentence that begins with the fault and ends with the remedy."""
    with pytest.raises(InputError) as error:
        cifar10.load(path, **options)
    text = str(error.value)
    assert str(path) in text and "\n" not in text and ": " in text
    return text
