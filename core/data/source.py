"""What a path names, decided once: digits, CIFAR-10, or a folder or table of images; and those images as an array.

S pixels to the side of an image, n images that the source names, N of them that can be read.
"""
import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data import cache, clothing1m, depth
from core.data.archive import archive_of, first_names, read_archive
from core.data.array_images import holds_arrays, read_arrays
from core.data.cifar10 import is_hundred
from core.data.cifar10_files import LAYOUTS, layout_in
from core.data.folder import scan
from core.data.how import UNSAID
from core.data.images import FEW, decode
from core.data.listing import Finding, bad_name, printable
from core.data.nothing import EMPTY, nearest
from core.data.table import METADATA, read_table
from core.data.table import SUFFIXES as TABLES
from core.errors import InputError, need
from core.files import is_inside


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
    levels: dict                       # {kind: (black, white)} of images of more than 8 bits (core/data/depth.py)
    agreement: np.ndarray = None       # (N,) part of the votes that are for the label; None where nobody voted
    checked: np.ndarray = None         # (N,) bool, whether a person has checked the label; None where nobody has


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


def read(path, size, store, jobs, listing=None, levels=None, how=UNSAID):
    """Decoded images of a folder or a table, listed before or now. Raises InputError when none of them can be read.

    levels: {kind: (black, white)} of the training images, for the test images.
    """
    listing = listing or listed(path, how, strict=False)
    need(listing.paths, f"{path} has no images: {EMPTY}")
    given = {**getattr(listing.packed, "levels", {}), **(levels or {})}
    images, shapes, depths, levels, reasons, notes = pixels(path, listing, size, store, jobs, given)
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
                   np.array(listing.paths)[good], shapes[good], listing,
                   [*listing.notes, *notes, *depth.note(depths, levels), *array_notes(listing, levels)], levels,
                   listing.agreement and np.array(listing.agreement)[good],
                   listing.checked and np.array(listing.checked)[good])


def array_notes(listing, levels):
    """What to know about black and white where the images are arrays."""
    return listing.packed.notes(levels) if hasattr(listing.packed, "notes") else []


def listed(path, how=UNSAID, strict=True):
    """Listing of a folder or a table; strict: a column that the user names has to be there.

    Raises InputError if `path` is neither, or names no image.
    """
    path = Path(path)
    try:
        there, is_folder, archive = path.exists(), path.is_dir(), archive_of(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r:.200} cannot be looked at ({error}): check the path") from None
    if archive:
        check_use(path, how._asdict(), strict)
        return read_archive(*archive)
    if not there:
        raise InputError(f"{path} does not exist{nearest(path)}: check the path")
    bad = next(filter(None, map(bad_name, path.absolute().parts)), None)
    need(not bad, f"{printable(str(path))} is in a folder, or is one, whose name has {bad}: rename it")
    if clothing1m.is_clothing1m(path):
        check_use(path, how._replace(follow_links=False)._asdict(), strict)
        return clothing1m.scan(path)
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
        need(not value or not strict, f"{path} has no use for --{name.replace('_', '-')}: --images is for tables, "
             "--labels for arrays, --path-column and --label-column for both")


def folder_or_metadata(path, how, strict):
    """Listing of a folder: by the table of METADATA in it, as hubs share data sets, else by its class folders.

    A table without labels beside class folders is about something else. Raises InputError.
    """
    table = next((path / name for name in METADATA if (path / name).is_file()), None)
    if table is None:
        check_use(path, how._replace(follow_links=False)._asdict(), strict)
        return scan(path, how.follow_links)
    try:
        listing = read_table(table, how, strict)
    except InputError:
        if how.path_column or how.label_column or how.images or not any(map(os.path.isdir, path.iterdir())):
            raise
        return scan(path, how.follow_links)
    return listing._replace(notes=[f"{path}: the labels are those of {table.name} in it", *listing.notes])


def pixels(path, listing, size, store, jobs, given):
    """(images (n, S, S, 3), shapes (n, 2), depths (n, 3), levels, {row: why it can't be read}, notes) of a listing,
    decoded or from the store; given: levels that are not those of these images.

    Images that could not be read are tried again each time:
    the fault may have been the network's or a missing permission.
    """
    n, notes, found, file = len(listing.paths), [], None, None
    if store is not None and is_inside(store, path):
        notes.append(f"decoded images are not stored, since {store} is inside the data: "
                     "choose another folder with --cache")
    elif store is not None:
        files = [*(listing.packed.files if listing.packed else []), *listing.paths]
        file = cache.place(store, path, size)
        key = cache.fingerprint(listing.root, files, size) + (f" {sorted(given.items())}" if given else "")
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

    (images, shapes, depths), reasons = arrays, {}
    with closing(decoded(listing, rows, images.shape[1], jobs, levels)) as pieces, \
            tqdm(total=len(rows), desc="images", unit="", disable=None if len(rows) > FEW else True) as bar:
        for here, piece, sizes, why, found in pieces:
            images[here], shapes[here], depths[here] = piece, sizes, found
            reasons.update((int(row), reason) for row, reason in zip(here, why) if reason)
            bar.update(len(piece))
    return reasons


def decoded(listing, todo, size, jobs, levels=None, resample="LANCZOS"):
    """Yield (rows, images, shapes, reasons, depths) of the rows `todo`, from files or from what they are packed in."""
    if listing.packed:
        yield from listing.packed.decode(listing.paths, todo, size, jobs, levels, resample)
        return
    files, done = [os.path.join(listing.root, listing.paths[row]) for row in todo], 0
    for piece, *about in decode(files, size, jobs, levels, resample):
        yield todo[done:done + len(piece)], piece, *about
        done += len(piece)
