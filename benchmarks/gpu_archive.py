"""A folder as one archive that is whole at any moment, and small enough to be given back by a machine that is lent.

    left_out = pack(folder, archive)       the names of files that the archive has no room for: the largest
"""
import io
import os
import tarfile
import time
import zlib

LARGEST = 15 * 2**20                   # bytes of the archive
LEFT_OUT = ("weights.npz", "checkpoint.npz", "checkpoint-previous.npz")    # model.safetensors has the weights, too
HALF_WRITTEN = (".part", ".tgz")       # and archives, should they go into the folder themselves
HEADER = 512                           # bytes of a file's entry beside its content


def pack(folder, archive):
    """Write the archive beside itself and replace the old one when it is whole. OSError if that fails."""
    half = archive.with_name(f"{archive.name}.part")
    files = {path.relative_to(folder.parent).as_posix(): raw for path, raw in contents(folder)}
    chosen = fitting(files, LARGEST)
    with tarfile.open(half, "w:gz", compresslevel=1) as tar:
        for name in sorted(chosen):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(files[name]), time.time()
            tar.addfile(member, io.BytesIO(files[name]))
    os.replace(half, archive)
    return sorted(files.keys() - chosen)


def contents(folder):
    """(path, bytes) of the files below the folder, as they are now: another process may be writing or removing them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in LEFT_OUT and path.suffix not in HALF_WRITTEN:
            try:
                yield path, path.read_bytes()
            except OSError:
                pass


def fitting(files, room):
    """The names of the files that fit into an archive of `room` bytes, the small ones first."""
    sizes, chosen = {name: HEADER + len(zlib.compress(raw, 1)) for name, raw in files.items()}, set()
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        room -= sizes[name]
        if room >= 0:
            chosen.add(name)
    return chosen
