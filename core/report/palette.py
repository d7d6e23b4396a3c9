"""The colours and series of a run's curves, in one place for the page (charts.py) and the pictures (curve_pictures.py).

Lines are told apart by the colour-blind too, and by their dashes. On paper each has a contrast of at least 3 : 1, in
light and in dark mode.
"""
import math
from typing import NamedTuple


class Line(NamedTuple):
    """How a line is drawn."""
    light: str                         # its colour on white
    dark: str                          # and on the page's dark background
    dashes: tuple = ()                 # lengths of strokes and gaps, () for a solid line


class Series(NamedTuple):
    """One field of a measure.Epoch over the epochs."""
    field: str
    text: str
    line: int                          # its place in LINES


LINES = (Line("#00735a", "#57d1a8"), Line("#0072b2", "#56b4e9", (9, 3)), Line("#a84a00", "#f2a65e", (2, 3)),
         Line("#666666", "#b0b0b0", (9, 3, 2, 3)))
MARK = Line("#8a2f8f", "#dba6e0", (3, 3))        # the first label update, and the confidence threshold
RIGHT, WRONG = LINES[0].light, "#cc3311"         # captions of labels

ACCURACIES = (Series("recovery", "correct labels", 0), Series("test", "test", 1),
              Series("validation", "validation", 2), Series("accuracy", "training, labels in use", 3))
LOSSES = (Series("L_c", "L_c classification", 1), Series("L_p", "L_p prior", 2), Series("L_e", "L_e entropy", 0))
CHANGES = (Series("changed", "labels changed by the update", 0),)
STEPS = {"joint": "step 1, joint", "retrain": "step 2, retrained", "cross-entropy": "plain cross-entropy"}


def css():
    """The rules of LINES and MARK for the page: .line-0, .line-1, ... and .mark"""
    named = {**{f"line-{i}": line for i, line in enumerate(LINES)}, "mark": MARK}
    light, dark = ("; ".join(f"--{name}: {getattr(line, mode)}" for name, line in named.items())
                   for mode in ("light", "dark"))
    strokes = [f".{name} {{ stroke: var(--{name}); stroke-dasharray: {' '.join(map(str, line.dashes)) or 'none'}; }}"
               for name, line in named.items()]
    return "\n".join([f":root {{ {light}; }}",
                      f"@media (prefers-color-scheme: dark) {{ :root {{ {dark}; }} }}", *strokes, ""])


def known(records, names):
    """{Series: values over the epochs} of a training, without those that are unknown; labels change in step 1 alone."""
    found = {series: [getattr(record, series.field) for record in records] for series in names
             if series.field != "recovery" or records[0].step == "joint"}
    return {series: values for series, values in found.items() if all(map(math.isfinite, values))}


def first_update(records, begin):
    """Where the first update of the labels stands among the epochs: between two points, as the second is measured
    after it. None where it is not among them."""
    first, last = records[0].epoch, records[-1].epoch
    return None if begin is None or not first <= begin <= last else max(first, begin - 0.5)
