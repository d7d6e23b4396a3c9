"""Findings about a user's data, and the sizes of its classes, as lines of text."""
from collections import Counter

import numpy as np

from core.data.listing import KINDS, printable
from core.report.console import aligned

SHOWN = 5                              # examples of a kind of finding
MANY = 40                              # classes that are all printed
FEW = 12                               # classes that are named in one line
UNEVEN = 10                            # times as many images in the largest class as in the median one: worth a line


def lines_about(findings, shown=SHOWN):
    """Lines: every kind of finding with its number and, first come first shown, `shown` examples."""
    lines = []
    for number, what, examples in by_kind(findings, shown):
        lines += [f"{number:6d}  {what}", *(f"          {example}" for example in examples)]
        lines += [f"          and {number - shown} more"] * (number > shown)
    return lines


def by_kind(findings, shown=SHOWN):
    """[(number, what it is, [examples])] of each kind of finding, with at most `shown` examples."""
    counts = Counter(finding.kind for finding in findings)
    return [(counts[kind], what, [printable(finding.path) + (f": {printable(finding.detail)}" if finding.detail else "")
                                  for finding in findings if finding.kind == kind][:shown])
            for kind, what in KINDS.items() if counts[kind]]


def class_table(data, prior="uniform"):
    """Lines: the classes with their numbers and the images of each split; prior: of the recipe."""
    C = len(data.classes)
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    counts = {name: np.bincount(split.labels, minlength=C) for name, split in splits.items() if len(split.labels)}
    rows = [("class", "number", *counts)]
    rows += [(printable(name), str(c), *(str(n[c]) for n in counts.values())) for c, name in enumerate(data.classes)]
    if C > MANY:
        rows[MANY // 2 + 1:-MANY // 2] = [("...", *[""] * (len(rows[0]) - 1))]
    return [*aligned(rows), *unevenness(counts["training"], prior)]


def classes_in_brief(data):
    """A line: the classes with their numbers of training images."""
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    named = [f"{printable(name)} {n}" for name, n in zip(data.classes, counts)]
    rest = len(named) - FEW
    return f"classes  {', '.join(named[:FEW])}" + (f" and {rest} more, {counts.min()} to {counts.max()} images each"
                                                   if rest > 0 else "")


def unevenness(n, prior):
    """A line where some classes have far more images than others,
    and whether the method assumes that all are as frequent."""
    if n.max() < UNEVEN * max(1, np.median(n)) and np.median(n) < UNEVEN * max(1, n.min()):
        return []
    advice = {"uniform": "if they really are, say so with --prior given",
              "given": "taken to be as frequent as that (--prior given); if they are not, say so with --prior uniform"}
    return [f"the classes are uneven ({n.min()} to {n.max()} images)"
            + (f": {advice[prior]}" if isinstance(prior, str) else "")]


def stored_sizes(shapes):
    """A line about the sizes of the images as they are stored; shapes (N, 2)."""
    kinds = np.unique(shapes, axis=0)
    if len(kinds) == 1:
        return f"all are {kinds[0, 1]} x {kinds[0, 0]} pixels"
    side = shapes.min(axis=1)
    return (f"{len(kinds)} sizes, the short side {side.min()} to {side.max()} pixels, "
            f"in the median {np.median(side):.0f}")
