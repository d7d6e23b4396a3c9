"""What a path names, decided once: digits, CIFAR-10, or a folder or table of images; and those images as an array.

S pixels to the side of an image, n images that the source names, N of them that can be read.
"""
import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data import cache
from core.data.cifar10_files import FILES, FOLDER
from core.data.folder import scan
from core.data.images import FEW, decode
from core.data.listing import Finding
from core.data.table import read_table
from core.errors import InputError, need


class Source(NamedTuple):
    """What the data are and where."""
    kind: str                          # digits, cifar10 or own
    path: str
    listing: object = None             # core.data.listing.Listing of own images


class Decoded(NamedTuple):
    """The images of one folder or table."""
    images: np.ndarray                 # (N, S, S, 3) uint8
    labels: list                       # N names of classes
    index: np.ndarray                  # (N,) row of each in the source: sorted paths of a folder, lines of a table
    paths: np.ndarray                  # (N,) str
    shapes: np.ndarray                 # (N, 2) height and width as stored
    listing: object                    # everything that was named, readable or not
    notes: list                        # what to know about the reading itself


def open_source(path):
    """The Source that `--data` names. Own images are listed here, and nowhere else. Raises InputError."""
    if path == "digits":
        return Source("digits", path)
    return Source("cifar10", path) if is_cifar(path) else Source("own", path, listed(path))


def is_cifar(path):
    """Whether `path` is to be read as CIFAR-10: one of its files or an archive, or a folder with any of its files."""
    path = Path(path)                  # os.path's functions raise nothing, for a path of 300 letters either
    if os.path.isdir(path):
        return path.name == FOLDER or os.path.isdir(path / FOLDER) or any(os.path.isfile(path / f) for f in FILES)
    return path.name.lower().endswith((".tar.gz", ".tgz"))


def read(path, size, store, jobs, listing=None):
    """Decoded images of a folder or a table, listed before or now. Raises InputError when none of them can be read."""
    listing = listing or listed(path)
    need(listing.paths, f"{path} has no images: give a folder with a folder of images for each class, or a .csv table "
         "with the columns path and label")
    images, shapes, reasons, notes = pixels(path, listing, size, store, jobs)
    good = np.flatnonzero(shapes[:, 0])
    need(len(good), f"{path}: none of its {len(reasons)} images can be read, "
                    f"for example {listing.paths[0]}: {reasons.get(0)}")
    for new, old in enumerate(good):   # in place: there may be no memory for a second array
        if new != old:
            images[new] = images[old]
    listing.findings.extend(Finding("unreadable", listing.paths[row], reason)
                            for row, reason in sorted(reasons.items()))
    return Decoded(images[:len(good)], [listing.labels[row] for row in good], np.array(listing.index)[good],
                  np.array(listing.paths)[good], shapes[good], listing, notes)


def listed(path):
    """Listing of a folder or a table. Raises InputError if `path` is neither."""
    path = Path(path)
    try:
        there, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r:.200} cannot be looked at ({error}): check the path") from None
    need(there, f"{path} does not exist: check the path")
    need(is_folder or path.suffix.lower() == ".csv" and path.is_file(),
         f"{path} is neither a folder of images nor a .csv table: "
         "unpack or convert it")
    return scan(path) if is_folder else read_table(path)


def pixels(path, listing, size, store, jobs):
    """(images (n, S, S, 3), shapes (n, 2), {row: why it can't be read}, notes) of a listing, decoded or from the store.

    Images that could not be read are tried again each time:
    the fault may have been the network's or a missing permission.
    """
    n, notes, found, file = len(listing.paths), [], None, None
    inside = store is not None and Path(os.path.realpath(store)).is_relative_to(os.path.realpath(path))
    if inside and Path(path).is_dir():
        notes.append(f"decoded images are not stored, since {store} is inside the data: "
                     "choose another folder with --cache")
    elif store is not None:
        file, key = cache.place(store, path, size), cache.fingerprint(listing.root, listing.paths, size)
        try:
            found = cache.load(file, key, (n, size, size, 3))
        except InputError as error:
            notes.append(f"{error}: the images were decoded again")
    images, shapes = found or (np.zeros((n, size, size, 3), np.uint8), np.zeros((n, 2), np.int32))
    reasons = fill(images, shapes, listing, jobs)
    if file and (found is None or len(reasons) < (found[1] == 0).sum()):
        try:
            cache.save(file, key, images, shapes)
        except InputError as error:
            notes.append(f"decoded images are not stored: {str(error).replace('--out', '--cache')}")
    return images, shapes, reasons, notes


def fill(images, shapes, listing, jobs):
    """Decode what is missing in images and shapes, and return {row: why it can't be read}."""
    from tqdm import tqdm  # imported where needed: demo.py starts sooner

    todo, reasons = np.flatnonzero(shapes[:, 0] == 0), {}
    files = [os.path.join(listing.root, listing.paths[row]) for row in todo]
    done = 0
    with closing(decode(files, images.shape[1], jobs)) as pieces, \
            tqdm(total=len(todo), desc="images", unit="", disable=None if len(todo) > FEW else True) as bar:
        for piece, sizes, why in pieces:
            rows = todo[done:done + len(piece)]
            images[rows], shapes[rows], done = piece, sizes, done + len(piece)
            reasons.update((int(row), reason) for row, reason in zip(rows, why) if reason)
            bar.update(len(piece))
    return reasons
