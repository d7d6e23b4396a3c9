"""What a path names, decided once: digits, CIFAR-10, or a folder or table of images; and those images as an array.

S pixels to the side of an image, n images that the source names, N of them that can be read.
"""
import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data import cache, depth
from core.data.cifar10_files import FILES, FOLDER
from core.data.folder import scan
from core.data.images import FEW, decode
from core.data.listing import Finding, bad_name, printable
from core.data.nothing import check_lines
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
    levels: dict                       # {kind: (black, white)} of images of more than 8 bits (core/data/depth.py)


def open_source(path, follow=False):
    """The Source that `--data` names. Own images are listed here, and nowhere else. follow: links too.

    Raises InputError.
    """
    if path == "digits":
        return Source("digits", path)
    return Source("cifar10", path) if is_cifar(path) else Source("own", path, listed(path, follow))


def is_cifar(path):
    """Whether `path` is to be read as CIFAR-10: one of its files or an archive, or a folder with any of its files."""
    path = Path(path)
    if path.is_dir():
        return path.name == FOLDER or (path / FOLDER).is_dir() or any((path / name).is_file() for name in FILES)
    return path.name.lower().endswith((".tar.gz", ".tgz"))


def read(path, size, store, jobs, listing=None, levels=None, follow=False):
    """Decoded images of a folder or a table, listed before or now. Raises InputError when none of them can be read.

    levels: {kind: (black, white)} of the training images, for the test images. follow: links too.
    """
    listing = listing or listed(path, follow)
    images, shapes, depths, levels, reasons, notes = pixels(path, listing, size, store, jobs, levels or {})
    good = np.flatnonzero(shapes[:, 0])
    need(len(good), f"{path}: none of its {len(reasons)} images can be read, "
                    f"for example {listing.paths[0]}: {reasons.get(0)}")
    for new, old in enumerate(good):   # in place: there may be no memory for a second array
        if new != old:
            images[new] = images[old]
    listing.findings.extend(Finding("unreadable", listing.paths[row], reason)
                            for row, reason in sorted(reasons.items()))
    listing.findings.extend(Finding("clipped", listing.paths[row], detail)
                            for row, detail in depth.clipped(depths, levels))
    return Decoded(images[:len(good)], [listing.labels[row] for row in good], np.array(listing.index)[good],
                   np.array(listing.paths)[good], shapes[good], listing, [*notes, *depth.note(depths, levels)], levels)


def listed(path, follow=False):
    """Listing of a folder or a table; follow: links too. Raises InputError if `path` is neither, or names no image."""
    path = Path(path)
    try:
        there, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r:.200} cannot be looked at ({error}): check the path") from None
    need(there, f"{path} does not exist: check the path")
    need(is_folder or path.suffix.lower() == ".csv" and path.is_file(),
         f"{path} is neither a folder of images nor a .csv table: "
         "unpack or convert it")
    bad = next(filter(None, map(bad_name, path.absolute().parts)), None)
    need(not bad, f"{printable(str(path))} is in a folder, or is one, whose name has {bad}: rename it")
    if is_folder:
        return scan(path, follow)
    listing = read_table(path)
    check_lines(path, listing)
    return listing


def pixels(path, listing, size, store, jobs, given):
    """(images (n, S, S, 3), shapes (n, 2), depths (n, 3), levels, {row: why it can't be read}, notes) of a listing,
    decoded or from the store; given: levels that are not those of these images.

    Images that could not be read are tried again each time:
    the fault may have been the network's or a missing permission.
    """
    n, notes, found, file = len(listing.paths), [], None, None
    inside = store is not None and Path(os.path.realpath(store)).is_relative_to(os.path.realpath(path))
    if inside and Path(path).is_dir():
        notes.append(f"decoded images are not stored, since {store} is inside the data: "
                     "choose another folder with --cache")
    elif store is not None:
        file = cache.place(store, path, size)
        key = cache.fingerprint(listing.root, listing.paths, size) + (f" {sorted(given.items())}" if given else "")
        try:
            found = cache.load(file, key, (n, size, size, 3))
        except InputError as error:
            notes.append(f"{error}: the images were decoded again")
    arrays = found or (np.zeros((n, size, size, 3), np.uint8), np.zeros((n, 2), np.int32), np.zeros((n, 3)))
    images, shapes, depths = arrays
    missing = np.flatnonzero(shapes[:, 0] == 0)
    levels, reasons = fill(arrays, missing, listing, jobs, given)
    if file and (found is None or len(reasons) < len(missing)):
        try:
            cache.save(file, key, *arrays)
        except InputError as error:
            notes.append(f"decoded images are not stored: {str(error).replace('--out', '--cache')}")
    return images, shapes, depths, levels, reasons, notes


def fill(arrays, todo, listing, jobs, given):
    """Decode the rows `todo` into arrays: images, shapes and depths. (levels, {row: why it can't be read})

    The levels of a set are known once all its images have been decoded. An image of more than 8 bits is decoded by its
    own level until then, and once more where the set has another.
    """
    depths = arrays[2]
    before = {**depth.levels(depths), **given}               # of the images from the store
    reasons = decode_rows(arrays, todo, listing, jobs, before)
    levels = {**depth.levels(depths), **given}
    again = [row for row in np.flatnonzero(depths[:, 0])
             if levels[depths[row, 0]] != (before.get(depths[row, 0]) or depth.level(*depths[row]))]
    return levels, reasons | decode_rows(arrays, np.array(again, int), listing, jobs, levels)


def decode_rows(arrays, rows, listing, jobs, levels):
    """Decode some rows, and return {row: why it can't be read}."""
    from tqdm import tqdm  # imported where needed: demo.py starts sooner

    (images, shapes, depths), reasons, done = arrays, {}, 0
    files = [os.path.join(listing.root, listing.paths[row]) for row in rows]
    with closing(decode(files, images.shape[1], jobs, levels)) as pieces, \
            tqdm(total=len(rows), desc="images", unit="", disable=None if len(rows) > FEW else True) as bar:
        for piece, sizes, why, found in pieces:
            here = rows[done:done + len(piece)]
            images[here], shapes[here], depths[here], done = piece, sizes, found, done + len(piece)
            reasons.update((int(row), reason) for row, reason in zip(here, why) if reason)
            bar.update(len(piece))
    return reasons
