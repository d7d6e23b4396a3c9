"""A folder as one archive, replaced atomically and limited in size.

    left_out = pack(folder, archive)       the names of the largest files, which exceed the limit
"""
import io
import os
import tarfile
import time
import zlib

LARGEST = 15 * 2**20                   # bytes of the archive
LEFT_OUT = ("weights.npz", "checkpoint.npz", "checkpoint-previous.npz")    # model.safetensors has the weights, too
HALF_WRITTEN = (".part", ".tgz")       # also archives, if they are written to the folder itself
HEADER = 512                           # bytes of a file's entry beside its content


def pack(folder, archive):
    """Write the archive to a temporary file that then replaces the old one. Raises OSError."""
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
    """(path, bytes) of the files below the folder; files that vanish meanwhile are skipped."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in LEFT_OUT and path.suffix not in HALF_WRITTEN:
            try:
                yield path, path.read_bytes()
            except OSError:
                pass


def fitting(files, room):
    """The names of the files that fit into an archive of `room` bytes, smallest first."""
    sizes, chosen = {name: HEADER + len(zlib.compress(raw, 1)) for name, raw in files.items()}, set()
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        room -= sizes[name]
        if room >= 0:
            chosen.add(name)
    return chosen
