"""Files that are there whole or not at all."""
import errno
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core.errors import InputError


@contextmanager
def atomic(path):
    """A binary file to write in the place of `path`, which is replaced only when the block has ended well.

    The bytes go to a temporary file in the same folder, are forced to the disk, and take the name in one operation. After an
    error the old file, or none, is there. An error of the disk becomes an InputError.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk_errors(path):
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def disk_errors(path):
    """OSErrors of the block as InputErrors that name `path` and the remedy."""
    remedies = {errno.ENOSPC: "the disk is full: free some space, or choose another disk with --out",
                errno.EDQUOT: "your disk quota is used up: free some space, or choose another disk with --out",
                errno.EFBIG: "the file would exceed the size allowed here: raise that limit, or choose another place with --out",
                errno.EACCES: "no permission to write there: choose another folder with --out",
                errno.EROFS: "this disk can only be read: choose another folder with --out"}
    try:
        yield
    except OSError as error:
        remedy = remedies.get(error.errno, f"{error.strerror or error}: choose another folder with --out")
        raise InputError(f"cannot write {path}: {remedy}") from None


def save_array(path, array):
    """A .npy file, whole or not at all."""
    with atomic(path) as file:
        np.save(file, array, allow_pickle=False)


def save_arrays(path, arrays):
    """An .npz file of named arrays, whole or not at all."""
    with atomic(path) as file:
        np.savez(file, **arrays)


def save_text(path, text):
    """A text file in UTF-8, whole or not at all."""
    with atomic(path) as file:
        file.write(text.encode())
