"""The curves of a run as the numbers of an SVG drawing; the template draws them.
Text beside each says the same in words."""
import math
from typing import NamedTuple

from core.measure import of_training
from core.report.numbers import unbroken
from core.report.palette import ACCURACIES, CHANGES, LOSSES, STEPS, first_update, known

LEFT, RIGHT, TOP, BOTTOM = 48, 410, 12, 196        # of the plotted area


class Chart(NamedTuple):
    """One drawing: lines over epochs."""
    title: str
    lines: list                        # (number of its colour, name, points of the SVG polyline)
    x_ticks: list                      # (position, text)
    y_ticks: list
    mark: float                        # position of the first label update, or None
    words: str                         # what the drawing shows, for those who do not see it
    table: list                        # of texts: the head, then some epochs


def charts(records, begin=None):
    """A Chart of accuracies for each training among the records, and two of step 1: the three losses, and the labels
    that changed, where nobody knows which of them are correct."""
    found = []
    for step, title in STEPS.items():
        chosen = of_training(records, step)
        if chosen:
            own = begin if step == "joint" else None
            found.append(chart(f"{title}: accuracy", chosen, ACCURACIES, own, unbroken))
        if chosen and step == "joint":
            if math.isnan(chosen[-1].recovery):
                found.append(chart(f"{title}: labels changed by the update", chosen, CHANGES, begin, "{:,.0f}".format))
            found.append(chart(f"{title}: terms of the loss, in nats", chosen, LOSSES, begin, "{:.3g}".format))
    return found


def chart(title, records, names, begin, text_of):
    """The Chart of some series of the records."""
    from matplotlib.ticker import MaxNLocator  # imported where needed: demo.py starts sooner

    drawn = known(records, names)
    first, last = records[0].epoch, records[-1].epoch
    y_ticks = [0, .25, .5, .75, 1] if text_of is unbroken else heights(drawn.values(), names is CHANGES)

    def x(epoch):
        return round(LEFT + (RIGHT - LEFT) * (epoch - first) / max(1, last - first), 1)

    def y(value):
        return round(BOTTOM - (BOTTOM - TOP) * value / y_ticks[-1], 1)

    lines = [(series.line, series.text, " ".join(f"{x(r.epoch)},{y(v)}" for r, v in zip(records, values)))
             for series, values in drawn.items()]
    words = " ".join([f"Epochs {first} to {last}.", *(
        f"{series.text}: from {text_of(values[0])} to {text_of(values[-1])}." for series, values in drawn.items())])
    some = sorted({*range(0, len(records), math.ceil(len(records) / 12)), len(records) - 1})
    table = [["epoch", *(series.text for series in drawn)],
             *([str(records[i].epoch), *(text_of(values[i]) for values in drawn.values())] for i in some)]
    x_ticks = [int(e) for e in MaxNLocator(5, integer=True).tick_values(first, last) if first <= e <= last]
    mark = first_update(records, begin)
    return Chart(title, lines, [(x(e), f"{e}") for e in x_ticks],
                 [(y(v), text_of(v).replace(".0\u00a0", "\u00a0")) for v in y_ticks],
                 None if mark is None else x(mark), words, table)


def heights(columns, whole):
    """Values beside which a chart has a line, from 0 to at least the largest; whole: numbers alone that count."""
    from matplotlib.ticker import MaxNLocator

    top = max([*(max(values) for values in columns), 1 if whole else 0])
    return [y for y in MaxNLocator(4, integer=whole).tick_values(0, top) if y >= 0]
