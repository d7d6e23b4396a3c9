"""Decoded images kept in one file, so that a data set is decoded once.

An .npz file: its checksums are compared on reading. It is named after where the data are, and says inside what it was
made of: every path with its size and the times of its last change, the size of the images, and the version of the
decoder. If any of that differs, the file is not used and soon replaced.
"""
import hashlib
import os
from pathlib import Path

import numpy as np

from core.data.images import VERSION
from core.errors import InputError, need, pass_on
from core.files import atomic, disk_errors


def place(folder, source, size):
    """The file in `folder` for the images of `source` at `size`."""
    return Path(folder, hashlib.sha256(f"{size} ".encode() + os.fsencode(os.path.realpath(source))).hexdigest()[:20]
                + ".npz")


def fingerprint(root, paths, size):
    """A text that is another one if any of the files or the way to decode them has changed."""
    from PIL import __version__ as pillow_version  # imported where needed: demo.py starts sooner

    digest = hashlib.sha256(f"{VERSION} {pillow_version} {size} ".encode() + os.fsencode(os.path.realpath(root)))
    for path in paths:
        try:
            s = os.stat(os.path.join(root, path))
            state = s.st_size, s.st_mtime_ns, s.st_ctime_ns
        except OSError:
            state = None
        digest.update(f"{path}\0{state}\0".encode())
    return digest.hexdigest()


def load(file, key, shape):
    """(images `shape` uint8, shapes (n, 2) int32, depths (n, 3)), or None where nothing is stored under the key.

    Raises InputError for a damaged file.
    """
    try:
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return None
            images, shapes, depths = (stored[name] for name in ("images", "shapes", "depths"))
            need((images.dtype, images.shape, shapes.shape, depths.shape) ==
                 (np.uint8, shape, (shape[0], 2), (shape[0], 3)), "another shape")
            return images, shapes, depths
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:         # a damaged file can raise nearly anything
        pass_on(error)
        raise InputError(f"the stored images in {file} are damaged") from error


def save(file, key, images, shapes, depths):
    """Store them, whole or not at all. Raises InputError where the disk does not let."""
    with disk_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
    with atomic(file) as stream:
        np.savez(stream, key=np.array(key), images=images, shapes=shapes, depths=depths)
