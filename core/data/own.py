"""A user's own images and labels: class folders or a table of paths -> a data set and findings.

S pixels to the side of an image as the network sees it, N images that could be read, C classes.
"""
import time
from functools import partial
from typing import NamedTuple

import numpy as np

from core.data import DataSet, Split, stratified
from core.data.duplicates import about_classes, duplicates, leaks, pale
from core.data.how import UNSAID
from core.data.source import listed, name_of, read
from core.data.truth import read_truth
from core.errors import need

SIZES = (8, 512)                       # pixels to the side; 32 is what the networks and the recipes were made for


class Reading(NamedTuple):
    """What became of a user's data."""
    data: DataSet
    findings: list = ()                # of core.data.listing.Finding
    notes: list = ()                   # sentences about the reading itself
    shapes: np.ndarray = None          # (N, 2) height and width of the training and validation images as stored
    seconds: float = None              # that the reading took
    listings: tuple = (None,) * 3      # of training, validation and test images: core.data.listing.Listing


def load(path, seed=0, size=32, held_out=0, test=None, truth=None, store=None, jobs=1, listing=None, how=UNSAID):
    """Reading of the images at `path`: a folder ROOT/CLASS/.../file, or a .csv table with the columns path and label.

    size: S. held_out: the fraction of images in the validation set, stratified by class, drawn by `seed`; 0 trains on
    all images, so that every label can be corrected. test: another folder or table with the same classes. truth: a file
    of true labels of some or all images. store: a folder for decoded images, or None. jobs: processes that decode.
    listing: the Listing of `path`, if already made. how: core/data/how.py. Mirrored images are assumed to keep their
    class. Raises InputError.
    """
    start = time.perf_counter()
    need(SIZES[0] <= size <= SIZES[1], f"--size {size}: choose {SIZES[0]} to {SIZES[1]} pixels")
    need(0 <= held_out < 1,
         f"--held-out {held_out}: give the part of the images that is held out, from 0 to less than 1")
    source = read(path, size, store, jobs, listing or listed(path, how))
    classes = in_order(source)
    need(len(classes) > 1, f"{path} has images of one class only, {classes[0]!r}: give at least two")
    everything = split(source, classes, path)
    if truth is not None:
        everything = everything._replace(truth=read_truth(truth, source.listing, classes)[everything.index])
    findings = source.listing.findings + about_classes(source, classes) + duplicates(source) + pale(source)

    training, validation = parts(everything, held_out, len(classes), seed)
    splits = {"train": training, "val": validation, "test": everything.take(slice(0))}
    listings, notes = {"train": source.listing, "val": source.listing, "test": None}, source.notes
    packed = getattr(source.listing.packed, "others", {})    # {"val" or "test": Listing} of an array's file
    if "val" in packed and held_out > 0:
        notes = [*notes, f"{path}: its images for validation are not used, because of --held-out"]
    read_again = partial(read, size=size, jobs=jobs, levels=source.levels)         # as the training images were
    for part, (other, name) in others(read_again, path, packed, held_out, test, store, how).items():
        splits[part], listings[part] = split(other, classes, name), other.listing
        notes = notes + other.notes
        findings += other.listing.findings + (leaks(source, other) if part == "test" else []) + pale(other)
    rows = source.listing.rows
    data = DataSet(name_of(path), classes, *splits.values(), pad=size // 8, flip=True, rows=rows, levels=source.levels)
    return Reading(data, findings, notes, source.shapes, time.perf_counter() - start, tuple(listings.values()))


# ---- the parts -----------------------------------------------------------------------------------------------------

def others(read_again, path, packed, held_out, test, store, how):
    """{"val" or "test": (Decoded, its name in errors)} of the images that come beside those for training.

    An array's file may have both in it; --held-out and --test go before. Raises InputError.
    """
    found = {}
    if "val" in packed and held_out == 0:
        found["val"] = read_again(path, store=None, listing=packed["val"]), f"{path}, for validation,"
    if test is not None:
        found["test"] = read_again(test, store=store, how=how), test
    elif "test" in packed:
        found["test"] = read_again(path, store=None, listing=packed["test"]), f"{path}, for test,"
    return found


def split(source, classes, path):
    """Split of all images of a source. Raises InputError for a class that is not among `classes`."""
    number = {name: c for c, name in enumerate(classes)}
    strange = sorted(set(source.labels) - set(classes))
    need(not strange, f"{path} has classes that the training images do not have, {', '.join(map(repr, strange[:3]))}: "
         "name them alike, or leave them out")
    return Split(source.images, np.array([number[name] for name in source.labels], np.int64), source.index, None,
                 source.paths if source.listing.named else None, agreement=source.agreement,
                 checked=source.checked)


def in_order(source):
    """The names of the classes that have images, as text, or in the order of an array's numbers."""
    names = set(source.labels)
    order = getattr(source.listing.packed, "order", None) or sorted(names)
    return tuple(name for name in order if name in names)


def parts(everything, held_out, C, seed):
    """(training, validation): a class keeps at least one image to be learnt from.

    Raises InputError if no image can be held out.
    """
    N = len(everything.labels)
    n = min(round(held_out * N), N - C)
    need(held_out == 0 or n > 0, f"--held-out {held_out:g} of {N} images of {C} classes leaves none to "
                                 "hold out: give more, or 0")
    if n == 0:
        return everything, everything.take(slice(0))
    labels = everything.labels.copy()
    labels[np.unique(labels, return_index=True)[1]] = -1                       # the first of each class is not drawn
    drawn, = stratified(labels, (n,), C, np.random.default_rng([seed, *b"split"]))
    return everything.take(np.setdiff1d(np.arange(N), drawn)), everything.take(drawn)
