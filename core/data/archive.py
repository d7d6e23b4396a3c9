"""Images in an archive of class folders, .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz, read where they are.

Nothing is written to the disk. Archives are not trusted: entries are counted, what they unpack to is limited by the
size of the archive, names that lead out of it and links are left out, and the bytes of an image are only held while it
is decoded. A folder in the archive is given as `photos.zip/train`.
"""
import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from core.data import kinds
from core.data.folder import SYSTEM, listing_of
from core.data.images import CHUNK, FEW, decode_piece, shared_out
from core.data.listing import Finding, bad_name, printable
from core.errors import InputError, need

ENDINGS = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar", ".gz",
           ".zst")
MOST = 1_000_000                       # entries
DIRECTORY = 256 << 20                  # bytes of the directory of a .zip
DICTIONARY = 128 << 20                 # bytes of memory that a .tar.xz may ask for; xz -9 takes 65 million
LARGEST = 256 << 20                    # bytes of an image
NAME = 64 << 10                        # bytes of a name in a .tar
RATIO, FREE = 200, 256 << 20           # times its size that an archive may unpack to, and bytes that any may
AT_ONCE = 16 << 20                     # bytes of images that a process is given
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, ValueError,
           OSError, NotImplementedError, RuntimeError, IndexError, OverflowError)


def archive_of(path):
    """(path of the archive, folder in it) that `path` names, or None: x.zip, or x.zip/a/b where x.zip is a file."""
    path, inner = Path(path), []
    while path.name:
        if path.name.lower().endswith(ENDINGS) and os.path.isfile(path):
            return path, "/".join(inner[::-1])
        inner.append(path.name)
        path = path.parent
    return None


def first_names(path, most=20):
    """The names of the first entries of a .tar.gz; of a damaged one those before the damage."""
    found = []
    with suppress(InputError, *DAMAGED):
        archive = Archive.__new__(Archive)
        archive.path, archive.kind, archive.size = Path(path), "gz", os.path.getsize(path)
        found.extend(member.name for _, (_, member, _) in zip(range(most), tar_members(archive)))
    return found


def read_archive(path, inner=""):
    """Listing of the images in the class folders of an archive, or of a folder in it, sorted by their paths.

    A single folder at the top that holds all others is no class. Raises InputError.
    """
    archive = Archive(path)
    names, folders, findings = sorted_out(archive.entries, inner)
    where = f"{path}/{inner}" if inner else str(path)
    need(names or not inner, f"{where} is not a folder with images in the archive: check the path")
    top = top_folder(names)
    names = {name.removeprefix(top): number for name, number in names.items()}
    folders = [folder.removeprefix(top) for folder in folders if folder.startswith(top) and folder != top.rstrip("/")]
    archive.numbers = names
    beside = [name for name in names if "/" not in name]
    findings += [Finding("beside", printable(name)) for name in beside]
    listing = listing_of(where, [name for name in names if "/" in name],
                         sorted({folder.split("/")[0] for folder in folders}), findings)
    return listing._replace(packed=archive)


def named_in_archive(folder, texts):
    """(Archive, places) where a table in `folder` names images in an archive, as `photos.zip/cat/1.jpg`; else None.

    places: paths relative to the folder, None where there is no such image. Such tables are written after a run on an
    archive. Raises InputError for a damaged archive.
    """
    first = next((archive_of(os.path.join(folder, text)) for text in texts if text), None)
    if first is None:
        return None
    archive = Archive(first[0])
    numbers, *_ = sorted_out(archive.entries, "")
    ends = {}                                                # {the last parts of a name: names that end so}
    for name in numbers:
        parts = name.split("/")
        for k in range(len(parts)):
            ends.setdefault("/".join(parts[k:]), []).append(name)
    names = [text and found_in(archive, ends, os.path.join(folder, text)) for text in texts]
    root = Path(os.path.relpath(archive.path, folder)).as_posix()
    archive.numbers = {f"{root}/{name}": numbers[name] for name in names if name}
    return archive, [name and f"{root}/{name}" for name in names]


def found_in(archive, ends, path):
    """The name of the entry that a path in an archive means: its own, or the one that shares most of its last parts."""
    place, inner = archive_of(path) or ("", "")
    if not inner or not os.path.samefile(place, archive.path):
        return None
    parts = inner.split("/")
    names = next((ends[tail] for k in range(len(parts)) if (tail := "/".join(parts[k:])) in ends), [])
    return inner if inner in names else names[0] if len(names) == 1 else None


def top_folder(names):
    """The folder, with its /, that all names are in, if there are folders in it: "photos/", else ""."""
    first = {name.partition("/")[0] for name in names}
    inside = [name.partition("/")[2] for name in names]
    if len(first) != 1 or not all("/" in name for name in inside):
        return ""
    top = f"{first.pop()}/"
    return top + top_folder(inside)


def sorted_out(entries, inner):
    """({name: number} of the images below `inner`, folders, findings) of all entries, (name, kind, number) each."""
    images, folders, findings, hidden = {}, set(), [], set()
    for name, kind, number in entries:
        parts = name.replace("\\", "/" if "/" not in name else "\\").split("/")
        out = parts[0] == "" or ".." in parts or parts[0][1:2] == ":"
        parts = [part for part in parts if part not in ("", ".")]
        path = "/".join(parts)
        if inner and not path.startswith(f"{inner}/") or not parts:
            continue
        bad = next(filter(None, map(bad_name, parts)), None)
        unseen = next((k for k, part in enumerate(parts) if part.startswith(".") and part != ".."
                       or part.lower() in SYSTEM), None)
        path = path[len(inner) + 1:] if inner else path
        if out or bad:
            findings.append(Finding("name", printable(name)[:300], bad or "leads out of the archive"))
        elif unseen is not None:
            hidden.add("/".join(parts[:unseen + 1]))
        elif kind == "folder":
            folders.add(path)
        elif kind != "file":
            findings.append(Finding("link" if kind == "link" else "other", path, kind if kind == "link" else ""))
        elif (ending := kinds.ending_of(parts[-1])) not in kinds.SUFFIXES:
            foreign = kinds.KIND_OF.get(ending)
            findings.append(Finding("foreign", path, kinds.with_remedy(foreign)) if foreign else Finding("other", path))
        else:
            findings += [Finding("name", path, "twice in the archive: the last counts")] * (path in images)
            images[path] = number
    folders |= {path.rpartition("/")[0] for path in images if "/" in path}
    return images, folders, findings + [Finding("hidden", printable(path)) for path in sorted(hidden)]


class Archive:
    """The entries of an archive, and their bytes."""

    def __init__(self, path):
        """Raises InputError for a file that is no such archive, is damaged, encrypted, or unpacks to too much."""
        self.path, self.numbers = Path(path), {}
        self.files = [os.path.abspath(path)]                 # on which the stored images depend
        try:
            with open(path, "rb") as file:
                start = file.read(600)
            self.kind = kind_of(start, path)
            self.size = os.path.getsize(path)
            self.entries = list(zip_entries(self) if self.kind == "zip" else tar_entries(self))
        except InputError:
            raise
        except PermissionError as error:
            raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from None
        except DAMAGED as error:
            raise InputError(f"{path} is damaged or no archive: copy or download it again") from error

    def contents(self, numbers):
        """Yield (number, bytes, None), or (number, None, why not), of some entries in the order of the archive."""
        left, done = set(numbers), set()
        try:
            for number, found, why in (zip_contents if self.kind == "zip" else tar_contents)(self, left):
                done.add(number)
                yield number, found, why
        except (*DAMAGED, InputError) as error:
            words = " ".join(str(error).split())[:100] or type(error).__name__
            yield from ((number, None, f"the archive is damaged before it, {words}") for number in sorted(left - done))

    def rows_by_number(self, paths, rows):
        """{number of an entry: row} of some of the paths by row."""
        return {self.numbers[paths[row]]: row for row in rows}

    def decode(self, paths, rows, size, jobs, levels=None, resample="LANCZOS"):
        """Yield (rows, images, shapes, reasons, depths) of some of the paths by row, in pieces, in the archive's order.

        levels: {kind: (black, white)} of images of more than 8 bits (core/data/depth.py).
        """
        row_of, taken, lost = self.rows_by_number(paths, rows), deque(), {}
        work = partial(decode_piece, size=size, resample=resample, levels=levels)
        pieces = self.pieces(row_of, taken, lost)
        for found in shared_out(work, pieces, jobs if len(row_of) > FEW else 1):
            yield taken.popleft(), *found
        n = len(lost)
        nothing = np.zeros((n, size, size, 3), np.uint8), np.zeros((n, 2), np.int32)
        yield [row_of[number] for number in lost], *nothing, list(lost.values()), np.zeros((n, 3))

    def originals(self, paths, rows, levels=None):
        """Yield (row, bytes) of those of some paths by row that can be read, in the archive's order."""
        row_of = self.rows_by_number(paths, rows)
        yield from ((row_of[number], raw) for number, raw, _ in self.contents(row_of) if raw is not None)

    def pieces(self, row_of, taken, lost):
        """Yield lists of the bytes of a few images. `taken` gets their rows, `lost` the reasons of those without."""
        piece, numbers, held = [], [], 0
        for number, raw, why in self.contents(row_of):
            if raw is None:
                lost[number] = why
                continue
            if piece and (len(piece) == CHUNK or held + len(raw) > AT_ONCE):
                taken.append([row_of[k] for k in numbers])
                yield piece
                piece, numbers, held = [], [], 0
            piece.append(raw)
            numbers.append(number)
            held += len(raw)
        taken.append([row_of[k] for k in numbers])
        yield piece


def kind_of(start, path):
    """zip, or how a .tar is compressed, by the first bytes of a file. Raises InputError for other archives."""
    marks = {b"PK\3\4": "zip", b"PK\5\6": "zip", b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz"}
    kind = next((kind for mark, kind in marks.items() if start.startswith(mark)), None)
    others = {b"7z\xbc\xaf\x27\x1c": ".7z", b"Rar!": ".rar", b"\x28\xb5\x2f\xfd": ".zst"}
    other = next((kind for mark, kind in others.items() if start.startswith(mark)), None)
    need(other is None, f"{path} is an archive of a kind that is not read ({other}): unpack it, or pack it as .zip or "
                        ".tar.gz")
    need(kind or start[257:262] == b"ustar" or Path(path).suffix.lower() == ".tar",
         f"{path} is damaged or no archive: copy or download it again")
    return kind or "tar"


def check_amount(unpacked, archive):
    """Raises InputError for an archive that unpacks to far more than images do."""
    need(unpacked <= RATIO * archive.size + FREE, f"{archive.path} unpacks to more than {RATIO} times its size, which "
                                                  "no "
         "archive of images does: unpack it yourself if you trust it")


def check_count(count, path):
    """Raises InputError for an archive of too many entries."""
    need(count <= MOST, f"{path} has more than {MOST:,} entries: unpack it")


# ---- .zip ------------------------------------------------------------------------------------------------------------

class Limited(io.FileIO):
    """A file for zipfile, which reads the directory of an archive at once, however long the archive says it is."""

    def read(self, n=-1):
        """At most n bytes."""
        if n > DIRECTORY:
            raise zipfile.BadZipFile("a directory of millions of entries")
        return super().read(n)


def zip_entries(archive):
    """Yield (name, kind, number) of all entries. Raises InputError for an encrypted archive and for one of too much."""
    with Limited(archive.path) as file, zipfile.ZipFile(file) as opened:
        archive.directory = opened.infolist()
    check_count(len(archive.directory), archive.path)
    check_amount(sum(entry.file_size for entry in archive.directory), archive)
    for number, entry in enumerate(archive.directory):
        need(not entry.flag_bits & 1, f"{archive.path} is encrypted: unpack it")
        link = entry.external_attr >> 28 == 0xA               # the mode of a file of Unix: S_IFLNK
        yield entry.filename, "folder" if entry.is_dir() else "link" if link else "file", number


def zip_contents(archive, wanted):
    """Yield (number, bytes, why not) of the wanted entries."""
    with zipfile.ZipFile(archive.path) as opened:
        for number in sorted(wanted, key=lambda number: archive.directory[number].header_offset):
            entry = archive.directory[number]
            if entry.file_size > LARGEST:
                yield number, None, f"{entry.file_size:,} bytes are more than {LARGEST:,}: make it smaller"
                continue
            try:
                yield number, opened.read(entry), None
            except DAMAGED as error:
                yield number, None, " ".join(str(error).split())[:100] or type(error).__name__


# ---- .tar ------------------------------------------------------------------------------------------------------------

class Header(tarfile.TarInfo):
    """A header that may say that a name follows, but no name of megabytes."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        """The header in 512 bytes. Raises tarfile.ReadError, also where tarfile would take damage for the end."""
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:                       # a block of zeros: the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError("a damaged header, or none") from error
        if found.type in (b"L", b"K", b"x", b"g", b"X") and found.size > NAME:
            raise tarfile.ReadError("a name of megabytes")
        return found


class Unpacked:
    """A compressed file, unpacked as far as check_amount allows."""

    def __init__(self, file, archive):
        if archive.kind == "xz":                             # what a header may ask for is gigabytes of a dictionary
            lzma.LZMADecompressor(memlimit=DICTIONARY).decompress(file.read(1 << 16), max_length=1)
            file.seek(0)
        opened = {"gz": lambda file: gzip.GzipFile(fileobj=file), "bz2": bz2.BZ2File, "xz": lzma.LZMAFile}
        self.stream, self.archive, self.count = opened[archive.kind](file), archive, 0

    def read(self, n):
        """At most n bytes. Raises InputError once it is too much."""
        raw = self.stream.read(n)
        self.count += len(raw)
        check_amount(self.count, self.archive)
        return raw


def tar_members(archive):
    """Yield (open tar file, member, number) of all members. Raises InputError for too many or too much."""
    with open(archive.path, "rb") as file:
        how = {"fileobj": file, "mode": "r:"} if archive.kind == "tar" else {
            "fileobj": Unpacked(file, archive), "mode": "r|", "bufsize": 1 << 18}
        with tarfile.open(**how, tarinfo=Header, errors="surrogateescape") as opened:
            number = 0
            while (member := opened.next()) is not None:
                check_count(number, archive.path)
                yield opened, member, number
                number += 1
                opened.members.clear()                       # kept otherwise: a kilobyte for each


def tar_entries(archive):
    """Yield (name, kind, number) of all members."""
    for _, member, number in tar_members(archive):
        kind = "folder" if member.isdir() else "link" if member.issym() or member.islnk() else "other"
        yield member.name, "file" if member.isreg() else kind, number


def tar_contents(archive, wanted):
    """Yield (number, bytes, why not) of the wanted members."""
    left = len(wanted)
    for opened, member, number in tar_members(archive):
        if number not in wanted:
            continue
        left -= 1
        if member.size > LARGEST:
            yield number, None, f"{member.size:,} bytes are more than {LARGEST:,}: make it smaller"
        else:
            yield number, opened.extractfile(member).read(), None
        if not left:
            return
