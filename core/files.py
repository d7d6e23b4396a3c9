"""Atomic writing of files, and sealed files, whose checksum detects a single wrong bit.

A sealed file is an .npz file (no pickles in it) whose last 64 bytes, the comment of its zip
archive, are the SHA-256 of all bytes before them. The one that was there before is kept as
`previous(path)`, so that at any moment one of the two is whole.
"""
import errno
import hashlib
import json
import os
import tempfile
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from core.errors import InputError, Refused, need, pass_on, refused

SEAL = 64                              # bytes: a SHA-256 in hexadecimal digits
BLOCK = 1 << 20                        # bytes that are read at a time
JSON_LIMIT = 64 << 20                  # bytes of a JSON file that is read


@contextmanager
def atomic(path, keep=None):
    """A binary file to write in the place of `path`,
    which is replaced only when the block has ended well.

    The bytes go to a temporary file in the same folder, are forced to the disk, and take the name
    in one operation; so does the folder's entry. The file that was there takes the name `keep` if
    one is given. After an error the old file, or none, is there.
    Raises InputError for an error of the disk.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk_errors(path):
        try:
            with open(temporary, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if keep and path.exists():
                os.replace(path, keep)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def is_inside(path, folder):
    """Whether a path is in an existing folder, or is that folder, whatever links lead there."""
    there = os.path.isdir(folder)
    return there and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def check_writable(folder):
    """Raises InputError if no file can be written to a folder, or to the one in which it would be
    made; none is left there."""
    with disk_errors(folder):
        above = Path(os.path.abspath(folder)).parents
        place = next(path for path in (folder, *above) if path.is_dir())
        tempfile.TemporaryFile(dir=place).close()


def force(path):
    """Force a file to the disk that was written by appending.
    Raises InputError for an error of the disk."""
    with disk_errors(path), open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder):
    """Force a folder's entries to the disk, where the system and the disk know how."""
    if os.name == "posix":
        with suppress(OSError):        # some network disks do not; the files themselves are safe
            entry = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(entry)
            finally:
                os.close(entry)


@contextmanager
def disk_errors(path):
    """Raises Refused, with `path` and the remedy, in place of an OSError of the block."""
    remedies = {
        errno.ENOSPC: "the disk is full: free some space and resume the run, or choose another "
                      "disk with --out",
        errno.EDQUOT: "your disk quota is used up: free some space and resume the run, or choose "
                      "another with --out",
        errno.EFBIG: "the file would exceed the size allowed here: raise that limit, or choose "
                     "another place with --out",
        errno.ENOENT: "its folder is not there (any more): put it back, or choose another one "
                      "with --out",
        errno.EACCES: "no permission to write there: choose another folder with --out",
        errno.EROFS: "this disk can only be read: choose another folder with --out"}
    try:
        yield
    except OSError as error:
        remedy = remedies.get(error.errno,
                              f"{error.strerror or error}: choose another folder with --out")
        raise Refused(f"cannot write {path}: {refused(error) or remedy}") from None


def save_array(path, array):
    """A .npy file, whole or not at all. Raises InputError for an error of the disk."""
    with atomic(path) as file:
        np.save(file, array, allow_pickle=False)


def save_arrays(path, arrays):
    """An .npz file of named arrays, whole or not at all.
    Raises InputError for an error of the disk."""
    with atomic(path) as file:
        np.savez(file, **arrays)


def save_text(path, text):
    """A text file in UTF-8, whole or not at all. Raises InputError for an error of the disk."""
    with atomic(path) as file:
        file.write(text.encode())


def read_up_to(path, limit):
    """The bytes of a file of at most `limit` bytes.
    Raises OSError, and ValueError for a larger one."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise ValueError(f"more than {limit:,} bytes")
        return file.read(size)


def load_json(path):
    """The value in a JSON file. Raises OSError, and ValueError for everything that is not JSON."""
    text = read_up_to(path, JSON_LIMIT)
    try:
        return json.loads(text.decode())
    except RecursionError:
        raise ValueError("too many brackets within each other") from None


def sha256(path):
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return digest_of(iter(lambda: file.read(BLOCK), b""))


def digest_of(blocks):
    """The SHA-256 of blocks of bytes, in hexadecimal digits."""
    sha = hashlib.sha256()
    for block in blocks:
        sha.update(block)
    return sha.hexdigest()


# ---- sealed files --------------------------------------------------------------------------------

def previous(path):
    """Where the sealed file is kept that `path` held before."""
    return Path(path).with_name(f"{Path(path).stem}-previous{Path(path).suffix}")


def save_sealed(path, arrays):
    """An .npz file of named arrays with its seal;
    the one that was there is kept as previous(path). Raises InputError for an error of the disk."""
    with atomic(path, previous(path)) as file:
        np.savez(file, **arrays)
        file.seek(-2, os.SEEK_END)        # where an archive without a comment says that it has none
        file.write(SEAL.to_bytes(2, "little"))
        digest = seal_of(file, file.tell())
        file.seek(0, os.SEEK_END)
        file.write(digest)


def load_sealed(path):
    """{name: array} of a sealed file that is whole.
    Raises InputError for one that somebody else has sealed."""
    try:
        with zipfile.ZipFile(path) as archive:           # as large in memory as on the disk
            need(not any(entry.compress_type for entry in archive.infolist()), "compressed")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:                           # it can raise nearly anything
        pass_on(error)
        raise InputError(f"{path} is no checkpoint of this program: start a new run") from None


def newest(path):
    """That one of path and previous(path) to go on with: the first that is whole, or None."""
    return next((p for p in (path, previous(path)) if is_whole(p)), None)


def recover(path):
    """Put the previous file in the place of a sealed one that is missing or damaged.
    Returns whether it was damaged.

    Raises InputError where there are such files and none is whole.
    """
    there, found = [p for p in (path, previous(path)) if p.exists()], newest(path)
    need(found or not there, f"the checkpoints in {path.parent} are damaged: "
                             "delete that folder and start a new run")
    if found and found != path:
        with disk_errors(path):
            os.replace(found, path)
    return path in there and found != path


def is_whole(path):
    """Whether a file's seal is that of its bytes."""
    try:
        with open(path, "rb") as file:
            length = file.seek(0, os.SEEK_END) - SEAL
            return length > 0 and seal_of(file, length) == file.read()
    except OSError:                                          # a disk that cannot read it again
        return False


def seal_of(file, length):
    """The SHA-256 of the first `length` bytes of an open file, in hexadecimal digits;
    what is read next comes after them."""
    file.seek(0)
    lengths = (min(BLOCK, length - start) for start in range(0, length, BLOCK))
    return digest_of(map(file.read, lengths)).encode()


def with_metadata(raw, about):
    """The bytes of a safetensors file with these metadata, in this order.

    The library writes them in any.
    """
    length = int.from_bytes(raw[:8], "little")
    header = {"__metadata__": about, **json.loads(raw[8:8 + length])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)    # the numbers behind it lie at multiples of 8 bytes
    return len(text).to_bytes(8, "little") + text + raw[8 + length:]
