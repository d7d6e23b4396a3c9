"""Pairs of classes (given, suggested) with pictures, and the matrix of their numbers.

C classes, K of them in the matrix. A label is suspicious where the suggested one is another.
"""
import numpy as np

from core.report.classes import changing, counts_of
from core.report.review import link_of, name_of

PAIRS, TAIL = 40, 400                  # pairs with pictures; further ones that are listed
SAMPLES = 6                            # pictures at each end of a pair
CLASSES = 40                           # rows and columns of the matrix at most
SHADES = 6                             # of its cells: .shade-0 to .shade-5 in page.css


def samples_of_pairs(page, rows):
    """([(given, suggested, number, most certain rows, least certain rows)] of the most frequent pairs among `rows`,
    [(given, suggested, number)] of all others, the most frequent first)."""
    C, rows = len(page.classes), np.sort(rows)
    pairs, counts = np.unique(page.given[rows] * C + page.suggested[rows], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    found = []
    for i in order[:PAIRS]:
        given, suggested = (int(c) for c in divmod(pairs[i], C))
        own = rows[(page.given[rows] == given) & (page.suggested[rows] == suggested)]
        own = own[np.argsort(-page.probs[own, suggested], kind="stable")].tolist()
        found.append((given, suggested, len(own), own[:SAMPLES], own[SAMPLES:][-SAMPLES:]))
    return found, [(*map(int, divmod(pairs[i], C)), int(counts[i])) for i in order[PAIRS:]]


def pair(page, images, given, suggested, number, most, least):
    """One pair as the template wants it."""
    return {"given": given, "suggested": suggested, "number": number,
            "ends": [(name, [sample(page, images, row) for row in rows if row in images])
                     for name, rows in (("most certain", most), ("least certain", least)) if rows]}


def sample(page, images, row):
    """One image of a pair."""
    return {"index": int(page.index[row]), "image": images[row], "name": name_of(page, row),
            "link": link_of(page, row),
            "probability": whole(page.probs[row, page.suggested[row]]),
            "score": whole(page.probs[row, page.given[row]])}


def whole(probability):
    """0.983 -> 98 %, with a space that does not break."""
    return f"{100 * probability:.0f}\u00a0%"


def matrix(page, samples):
    """How many labels of each class (rows) are suggested to be of each class (columns),
    for the CLASSES that move most."""
    C = len(page.classes)
    classes = changing(page.given, page.suggested, C, CLASSES)
    counts = counts_of(page.given, page.suggested, classes, C)
    off = counts * (1 - np.eye(len(classes), dtype=int))
    shade = np.where(off > 0, 1 + off * (SHADES - 2) // max(1, off.max()), 0)
    seen, totals = {(given, suggested) for given, suggested, *_ in samples}, np.bincount(page.given, minlength=C)
    longest = max((len(page.classes[c]) for c in classes), default=0)
    return {"classes": classes.tolist(), "turned": longest > (3 if len(classes) > 8 else 10), "rows": [
        (int(i), int(totals[i]), [(int(j), int(counts[a, b]), int(shade[a, b]), (i, j) in seen)
                                  for b, j in enumerate(classes)])
        for a, i in enumerate(classes)]}
