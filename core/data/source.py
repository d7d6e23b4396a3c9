"""What a path names, decided once: digits, CIFAR-10, or a folder or table of images; and those images as an array.

S pixels to the side of an image, n images that the source names, N of them that can be read.
"""
import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data import cache
from core.data.archive import archive_of, first_names, read_archive
from core.data.array_images import holds_arrays, read_arrays
from core.data.cifar10 import is_hundred
from core.data.cifar10_files import LAYOUTS, layout_in
from core.data.folder import scan
from core.data.how import UNSAID
from core.data.images import FEW, decode
from core.data.listing import Finding
from core.data.table import METADATA, read_table
from core.data.table import SUFFIXES as TABLES
from core.errors import InputError, need


class Source(NamedTuple):
    """What the data are and where."""
    kind: str                          # digits, cifar10, cifar100 or own
    path: str
    listing: object = None             # core.data.listing.Listing of own images
    layout: str = None                 # of the files of CIFAR, in core/data/cifar10_files.py


class Decoded(NamedTuple):
    """The images of one folder or table."""
    images: np.ndarray                 # (N, S, S, 3) uint8
    labels: list                       # N names of classes
    index: np.ndarray                  # (N,) row of each in the source: sorted paths of a folder, lines of a table
    paths: np.ndarray                  # (N,) str
    shapes: np.ndarray                 # (N, 2) height and width as stored
    listing: object                    # everything that was named, readable or not
    notes: list                        # what to know about the reading itself
    agreement: np.ndarray = None       # (N,) part of the votes that are for the label; None where nobody voted


def open_source(path, how=UNSAID):
    """The Source that `--data` names. Own images are listed here, and nowhere else. Raises InputError."""
    if path == "digits":
        return Source("digits", path)
    layout = cifar_layout(path)
    if layout:
        return Source("cifar100" if is_hundred(layout) else "cifar10", path, layout=layout)
    return Source("own", path, listed(path, how))


def name_of(path):
    """The name of the data at a path: that of the file or folder without the endings of tables, arrays and archives."""
    name = os.path.basename(os.path.abspath(path))
    if os.path.isdir(path):
        return os.path.splitext(name)[0]
    return os.path.splitext(name)[0].removesuffix(".tar") or name


def cifar_layout(path):
    """The layout of CIFAR-10 or CIFAR-100 (core/data/cifar10_files.py) of a folder or an archive, or None.

    Of an archive by the names of its first files. Raises InputError for one that is damaged there.
    """
    path = Path(path)
    if os.path.isdir(path):
        return layout_in(path)
    if not (path.name.lower().endswith((".tar.gz", ".tgz")) and os.path.isfile(path)):
        return None
    return next((folder for name in first_names(path) if (folder := name.split("/")[0]) in LAYOUTS), None)


def read(path, size, store, jobs, listing=None, how=UNSAID):
    """Decoded images of a folder or a table, listed before or now. Raises InputError when none of them can be read."""
    listing = listing or listed(path, how, strict=False)
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
                  np.array(listing.paths)[good], shapes[good], listing, [*listing.notes, *notes],
                  listing.agreement and np.array(listing.agreement)[good])


def listed(path, how=UNSAID, strict=True):
    """Listing of a folder or a table; strict: a column that the user names has to be there.

    Raises InputError if `path` is neither.
    """
    path = Path(path)
    try:
        there, is_folder, archive = path.exists(), path.is_dir(), archive_of(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r:.200} cannot be looked at ({error}): check the path") from None
    if archive:
        check_use(path, how._asdict(), strict)
        return read_archive(*archive)
    need(there, f"{path} does not exist: check the path")
    if holds_arrays(path):
        check_use(path, {"images": how.images}, strict)
        return read_arrays(path, how, test=not strict)
    check_use(path, {"labels": how.labels}, strict)
    need(is_folder or path.suffix.lower() in TABLES and path.is_file(),
         f"{path} is neither a folder of images, a table (.csv, .tsv, .jsonl), an archive (.zip, .tar.gz) nor an "
         "array (.npz, .npy): convert it to one of these")
    return folder_or_metadata(path, how, strict) if is_folder else read_table(path, how, strict)


def check_use(path, unused, strict):
    """Raises InputError for an option that these data have no use for; those of the test images are not asked."""
    for name, value in unused.items():
        need(value is None or not strict, f"{path} has no use for --{name.replace('_', '-')}: --images is for tables, "
             "--labels for arrays, --path-column and --label-column for both")


def folder_or_metadata(path, how, strict):
    """Listing of a folder: by the table of METADATA in it, as hubs share data sets, else by its class folders.

    A table without labels beside class folders is about something else. Raises InputError.
    """
    table = next((path / name for name in METADATA if (path / name).is_file()), None)
    if table is None:
        check_use(path, how._asdict(), strict)
        return scan(path)
    try:
        listing = read_table(table, how, strict)
    except InputError:
        if how.path_column or how.label_column or how.images or not any(map(os.path.isdir, path.iterdir())):
            raise
        return scan(path)
    return listing._replace(notes=[f"{path}: the labels are those of {table.name} in it", *listing.notes])


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
        files = [*(listing.packed.files if listing.packed else []), *listing.paths]
        file, key = cache.place(store, path, size), cache.fingerprint(listing.root, files, size)
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
    with closing(decoded(listing, todo, images.shape[1], jobs)) as pieces, \
            tqdm(total=len(todo), desc="images", unit="", disable=None if len(todo) > FEW else True) as bar:
        for rows, piece, sizes, why in pieces:
            images[rows], shapes[rows] = piece, sizes
            reasons.update((int(row), reason) for row, reason in zip(rows, why) if reason)
            bar.update(len(piece))
    return reasons


def decoded(listing, todo, size, jobs):
    """Yield (rows, images, shapes, reasons) of the rows `todo`, from files or from what they are packed in."""
    if listing.packed:
        yield from listing.packed.decode(listing.paths, todo, size, jobs)
        return
    files, done = [os.path.join(listing.root, listing.paths[row]) for row in todo], 0
    for piece, sizes, why in decode(files, size, jobs):
        yield todo[done:done + len(piece)], piece, sizes, why
        done += len(piece)
