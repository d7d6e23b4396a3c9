"""The official files of CIFAR-10 and CIFAR-100, read without trust: a folder or an archive -> bytes.

Copies come from anywhere, so sizes are limited before reading, and members of an archive are looked up by their exact
names and read in place: nothing is extracted.
"""
import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path

from core.errors import InputError

FOLDER = "cifar-10-batches-py"
BATCHES = {"data_batch_1": "c99cafc152244af753f735de768cd75f", "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
           "data_batch_3": "54ebc095f3ab1f0389bbae665268c751", "data_batch_4": "634d18415352ddfa80567beed471001a",
           "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb", "test_batch": "40351d587109b95175f43aff81a1287e"}
FILES = (*BATCHES, "batches.meta")      # the values above: MD5 of the official ones
LAYOUTS = {FOLDER: FILES,              # by the folder of the download, in the version for Python and the binary one
           "cifar-10-batches-bin": (*(f"{name}.bin" for name in BATCHES), "batches.meta.txt"),
           "cifar-100-python": ("train", "test", "meta"),
           "cifar-100-binary": ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt")}
OFFICIAL = {**BATCHES, "train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
ARCHIVE_SIZE, ARCHIVE_MD5 = 170_498_071, "c58f30108f718f92721af3b95e74349a"
LARGEST = 64 << 20                   # bytes of one file: twice what an official batch of CIFAR-10 has
TIMES = {"train": 4, "train.bin": 4}   # CIFAR-100 has one batch of 50,000


def md5(raw):
    """The checksum that the authors publish; not used against forgery."""
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()


def layout_in(path):
    """The folder in LAYOUTS that a folder is, holds, or has files of; None for any other folder."""
    for name in LAYOUTS:
        if path.name == name or (path / name).is_dir():
            return name
    for name, files in LAYOUTS.items():
        there = [(path / file).is_file() for file in files]
        if any(there) if name.startswith("cifar-10-") else all(there[:3]):     # `test` alone can be anybody's
            return name
    return None


def read_files(path, layout=FOLDER):
    """Yield (name, bytes) of each file of the layout, in any order. Raises InputError for a missing or damaged file."""
    path = Path(path)
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist: give the folder {FOLDER} or the archive cifar-10-python.tar.gz")
        yield from folder_files(path, layout) if path.is_dir() else archive_files(path, layout)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise InputError(f"{path} is not a .tar.gz archive, or is truncated or damaged: download it again") from error
    except OSError as error:
        raise InputError(f"{error.filename or path} cannot be read, {error.strerror}: "
                         "check it and its permissions") from error


def folder_files(path, layout):
    """Yield (name, bytes) of each file of the layout in a folder. Raises InputError for a missing or too large file."""
    folder = path / layout if (path / layout).is_dir() else path
    for name in LAYOUTS[layout]:
        file = folder / name
        if not file.is_file():
            raise InputError(f"{file} is missing or not a file: give the folder {layout} as it was downloaded")
        check_size(file.stat().st_size, file, name)
        with open(file, "rb") as stream:
            yield name, stream.read()


def archive_files(path, layout):
    """Yield (name, bytes) of each file of the layout in the archive, which is read once from its beginning to its end.

    Raises InputError for a missing or damaged archive.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file: give the folder {FOLDER} or the archive cifar-10-python.tar.gz")
    with open(path, "rb") as file:
        # Other pixels are welcome, so a strange checksum alone is no fault. But an archive of exactly the official size
        # is the official one, and must be intact.
        if path.stat().st_size == ARCHIVE_SIZE and md5(file.read()) != ARCHIVE_MD5:
            raise InputError(f"{path} has the size of the official archive but not its checksum: download it again")
        file.seek(0)
        expected = {f"{layout}/{name}": name for name in LAYOUTS[layout]}
        with BoundedGzip(fileobj=file) as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as tar:
            for member in tar:                           # in the archive's order: going back would unpack it once more
                if name := expected.pop(member.name, None):
                    if not member.isreg():
                        raise InputError(f"{name} in {path} is not a plain file: download the archive again")
                    check_size(member.size, f"{name} in {path}", name)
                    yield name, tar.extractfile(member).read()
            while stream.read(1 << 20):                  # gzip compares its checksum at the very end
                pass
    for member in expected:
        raise InputError(f"{path} does not contain {member}: download the archive again")


def check_size(size, where, name):
    """Raises InputError for a file that is too large to be read whole."""
    if size > LARGEST * TIMES.get(name, 1):
        raise InputError(f"{where} has {size:,} bytes, far more than an official file: download it again")


class BoundedGzip(gzip.GzipFile):
    """A gzip stream that unpacks no more than the files can hold, whatever sizes its headers claim."""

    def read(self, size=-1):
        """As gzip's. Raises InputError once it is too much."""
        if self.tell() > len(FILES) * LARGEST:
            raise InputError(f"{self.name} unpacks to far more than the official archive: download it again")
        return super().read(size)
