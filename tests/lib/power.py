"""A folder on a disk that loses, when the power fails, what was not forced to it.

While `watched`, every call that changes the folder is noted: which bytes of which file were forced, and which names
were given or taken since the folder itself was forced. `after_power_failure` yields what may be there afterwards: the
names as they were forced, with the first of the later changes, or with a single one of them, as a disk without order
may keep it; and of each file the bytes that were forced, which are none for most of its life.
"""
import errno
import os
from contextlib import contextmanager


class Inode:
    """A file without its name."""
    forced = b""


class Folder:
    """One folder on such a disk."""

    def __init__(self, path):
        self.path = os.path.realpath(path)
        self.forced, self.now = {}, {}                                   # {name: Inode}
        self.pending = []                                                # changes of names

    def have(self, path):
        """What is in the folder at `path` was forced to the disk before."""
        for file in path.iterdir():
            self.now[file.name] = Inode()
            self.now[file.name].forced = file.read_bytes()
        self.forced = dict(self.now)

    def change(self, *names):
        """Give a name to an Inode, or take it away (None)."""
        change = dict(names)
        self.now = applied(self.now, change)
        self.pending.append(change)

    def after_power_failure(self):
        """[{name: bytes}]"""
        kept = [self.forced]
        for change in self.pending:
            kept.append(applied(kept[-1], change))
        kept += [applied(self.forced, change) for change in self.pending[1:]]
        return [{name: inode.forced for name, inode in names.items()} for names in kept]

    def name_of(self, path):
        """The name of a path in this folder, or None."""
        parent, name = os.path.split(os.path.abspath(path))
        return name if os.path.realpath(parent) == self.path else None


def applied(names, change):
    return {name: inode for name, inode in {**names, **change}.items() if inode is not None}


def full_disk(*args, **options):
    """In the place of a function of the system that writes."""
    raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def watched(path, files, monkeypatch, tell=lambda folder: None):
    """A Folder that follows what is done at `path`; files: core.files, whose open() makes temporary files.
    tell(folder) is called after each change."""
    folder, original = Folder(path), {name: getattr(os, name) for name in ("fsync", "replace", "unlink")}

    def opened(file, mode="r", **options):
        name = folder.name_of(file)
        if name and "w" in mode:
            folder.change((name, Inode()))
            tell(folder)
        return open(file, mode, **options)

    def fsync(number):
        place = os.readlink(f"/proc/self/fd/{number}")
        if os.path.realpath(place) == folder.path:
            folder.forced, folder.pending = dict(folder.now), []
        elif name := folder.name_of(place):
            if name not in folder.now:                                   # opened elsewhere, as log.jsonl is
                folder.change((name, Inode()))
            with open(place, "rb") as file:
                folder.now[name].forced = file.read()
        tell(folder)

    def replace(source, target):
        original["replace"](source, target)
        name, new = folder.name_of(source), folder.name_of(target)
        folder.change((new, folder.now[name]), (name, None))
        tell(folder)

    def unlink(file, **options):
        original["unlink"](file, **options)
        if name := folder.name_of(file):
            folder.change((name, None))
            tell(folder)

    with monkeypatch.context() as patch:
        patch.setattr(files, "open", opened, raising=False)
        for function in (fsync, replace, unlink):
            patch.setattr(os, function.__name__, function)
        yield folder
