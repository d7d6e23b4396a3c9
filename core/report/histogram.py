"""The scores of the labels as histograms: the numbers of SVG drawings, which the template draws.

N labels. The score of a label is the probability of the given class, the certainty that of the suggested one.
"""
from typing import NamedTuple

import numpy as np

from core.report.charts import BOTTOM, LEFT, RIGHT, TOP, heights

BINS = 20                              # of equal width from 0 to 1; the last one holds 1
PLAIN, DOUBTED = 1, 2                  # colours of bars: .bar-1 and .bar-2 in page.css
CORRECTED = 0


class Histogram(NamedTuple):
    """One drawing: bars that stand on one another."""
    title: str
    bars: list                         # (colour, x, y, width, height)
    legend: list                       # (colour, text)
    x_ticks: list                      # (position, text)
    y_ticks: list
    mark: float                        # position of the confidence threshold, or None
    words: str
    table: list                        # of texts: the head, then each bin


def histograms(page):
    """The Histograms of a Page: the scores of all labels, and the certainty of the suggestions."""
    doubted = page.suggested != page.given
    rows = np.arange(len(page.given))
    score, certainty = page.probs[rows, page.given], page.probs[rows, page.suggested]
    found = [histogram("all labels: probability of the given label", [
        ("other labels", PLAIN, score[~doubted]), ("suspicious labels", DOUBTED, score[doubted])])]
    if page.sure and page.corrected is not None:
        taken = page.corrected != page.given
        parts = [("not corrected", DOUBTED, certainty[doubted & ~taken]), ("corrected", CORRECTED, certainty[taken])]
    else:
        parts = [("suspicious labels", DOUBTED, certainty[doubted])]
    if doubted.any():
        found.append(histogram("suspicious labels: probability of the suggested label", parts, page.sure or None))
    return found


def histogram(title, parts, threshold=None):
    """The Histogram of parts (name, colour, values in [0, 1]), the first of them at the bottom."""
    edges = np.linspace(0, 1, BINS + 1)
    counts = np.array([np.histogram(values, edges)[0] for *_, values in parts])
    y_ticks = heights([counts.sum(axis=0)], whole=True)
    wide = (RIGHT - LEFT) / BINS
    tops = counts.cumsum(axis=0)

    def y(count):
        return round(float(BOTTOM - (BOTTOM - TOP) * count / y_ticks[-1]), 1)

    bars = [(colour, round(LEFT + k * wide + .5, 1), y(tops[i, k]), round(wide - 1, 1),
             round(y(tops[i, k] - counts[i, k]) - y(tops[i, k]), 1))
            for i, (_, colour, _) in enumerate(parts) for k in range(BINS) if counts[i, k]]
    words = ", ".join(f"{len(values):,} {name}" for name, _, values in parts if len(values) or len(parts) == 1) + "."
    if threshold is not None:
        words += f" The confidence threshold is {threshold:g}."
    table = [["probability", *(name for name, *_ in parts)],
             *([f"{edges[k]:.2f} to {edges[k + 1]:.2f}", *(f"{n:,}" for n in counts[:, k])] for k in range(BINS))]
    return Histogram(title, bars, [(colour, name) for name, colour, _ in parts],
                     [(round(LEFT + (RIGHT - LEFT) * x, 1), f"{x:g}") for x in (0, .25, .5, .75, 1)],
                     [(y(n), f"{n:,.0f}") for n in y_ticks],
                     None if threshold is None else round(LEFT + (RIGHT - LEFT) * threshold, 1), words, table)
