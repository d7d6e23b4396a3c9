"""The review list of the page: which images are in it, with a picture or by name alone, within a budget.

Suspicious images come first, then all others, each by rising score. N images, C classes.
"""
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data.thumbnails import LEVELS, pictures
from core.report.issues import run_identity

PICTURED = 4000                        # suspicious images with a picture at most: the time to make them
OTHERS, ORIGINALS = 2500, 400          # further images with one, and how many of these are made from their originals


class Budget(NamedTuple):
    """Parts of a page, in characters or as shares of its limit."""
    pictures: float = 0.68             # of suspicious images
    others: float = 0.15               # pictures of the others, if so much is left
    rows: float = 0.25                 # names and numbers of all

    def of(self, limit):
        """The Budget in characters, of a page of `limit` bytes."""
        return Budget(*(share * limit for share in self))

    def less(self, over, limit):
        """The shares for a page that was `over` bytes too large, or None if it was not, or can get no smaller."""
        room = limit * (self.pictures + self.rows)
        scale = max(0, 1 - 1.1 * over / room) if room else 0
        return None if over <= 0 or sum(self) < 1e-6 else Budget(*(share * scale for share in self))


def most_suspicious(page, chosen):
    """The chosen (N,) bool rows by rising score."""
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(page.probs[rows, page.given[rows]], kind="stable")]


def pictured(page, suspicious, others, ends, budget, jobs):
    """{row: Picture}: the suspicious images of `ends`, then others of them in their order; then images without doubt,
    which are small. Few of those are made from their originals: it takes time.
    """
    first = list(dict.fromkeys([*ends, *suspicious[:PICTURED].tolist()]))
    originals = page.originals and page.originals.of([*first, *others[:ORIGINALS].tolist()], page.images)
    found = pictures(page.images, originals, first, budget.pictures, jobs)
    left = min(budget.others, budget.pictures - length(found))
    small = pictures(page.images, originals, others[:ORIGINALS], left, jobs, LEVELS[-2:])
    more = pictures(page.images, None, others[ORIGINALS:OTHERS], left - length(small), jobs, LEVELS[-1:])
    return {**found, **small, **more}


def length(found):
    """The number of characters of some pictures."""
    return sum(len(made.uri) for made in found.values())


def images_identity(page):
    """8 hexadecimal digits of what the images are, by their paths or the first hundred of them by their pixels.

    Two sets of images may have the same run_identity: as many of the same classes, and no label that is suspicious.
    """
    if page.paths is None:
        return hashlib.sha256(np.ascontiguousarray(page.images[:100]).tobytes()).hexdigest()[:8]
    return hashlib.sha256("\0".join(page.paths).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def listed(page, suspicious, others, images, elsewhere, budget):
    """The columns of the list as the script of the page reads them.

    `suspicious` rows of them come first; suggestion and probability of the rest are those of the given label. An image
    that the page has `elsewhere` is taken from there. A path is the number of its folder and a name.
    """
    rows = within(page, np.concatenate([suspicious, others]), budget.rows)
    doubted = rows[:len(suspicious)]
    given = page.given[rows]
    own = {i: images[row] for i, row in enumerate(rows.tolist()) if row in images}
    folders, names = (None, None) if page.paths is None else split_paths(page.paths[rows])
    run = run_identity(page.classes, page.index, page.given, page.suggested)
    return {"run": run, "key": f"{run} {images_identity(page)}", "classes": list(page.classes),
            "index": page.index[rows].tolist(), "given": given.tolist(),
            "suggested": page.suggested[doubted].tolist(), "score": four_digits(page.probs[rows, given]),
            "probability": four_digits(page.probs[doubted, page.suggested[doubted]]),
            "truth": None if page.truth is None else page.truth[rows].tolist(),
            "folders": folders, "names": names, "root": None if page.root is None else Path(page.root).as_uri(),
            "images": {i: made.uri for i, made in own.items() if rows[i] not in elsewhere},
            "sizes": {i: list(made.size) for i, made in own.items() if made.size[0] != made.size[1]}}


def four_digits(probabilities):
    """As short texts: 0.1235, where the nearest float32 would be 0.12349999696016312."""
    return probabilities.astype(float).round(4).tolist()


def within(page, rows, budget):
    """The first of the rows whose texts fit into so many characters."""
    width = 33 + 4 * (page.truth is not None)
    length = [width if page.paths is None else width + len(json.dumps(os.path.basename(page.paths[row])))
              for row in rows.tolist()]
    return rows[:np.searchsorted(np.cumsum(length), budget, "right")]


def split_paths(paths):
    """(folders, [[number of its folder, name] of each path]), with / between their parts."""
    parts = [str(path).rpartition("/") for path in paths]
    folders = {folder: i for i, folder in enumerate(dict.fromkeys(head + slash for head, slash, _ in parts))}
    return list(folders), [[folders[head + slash], name] for head, slash, name in parts]


def name_of(page, row):
    """What a person calls an image."""
    return f"image {page.index[row]}" if page.paths is None else str(page.paths[row])


def file_of(page, row):
    """The path of the file of an image."""
    return os.path.join(page.root, page.paths[row])


def link_of(page, row):
    """The address of the file of an image, or None."""
    return None if page.root is None else Path(os.path.abspath(file_of(page, row))).as_uri()
