"""The curves of a run as the numbers of an SVG drawing; the template draws them.
Text beside each says the same in words."""
import math
from typing import NamedTuple

from core.measure import of_training
from core.report.numbers import unbroken
from core.report.pictures import NAMES

WIDTH, HEIGHT = 420, 230               # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 48, 410, 12, 196        # of the plotted area
ACCURACIES = {"recovery": "correct labels", "test": "test", "validation": "validation",
              "accuracy": "training, labels in use"}
LOSSES = {"L_c": "L_c classification", "L_p": "L_p prior", "L_e": "L_e entropy"}


class Chart(NamedTuple):
    """One drawing: lines over epochs."""
    title: str
    lines: list                        # (number of its colour, name, points of the SVG polyline)
    x_ticks: list                      # (position, text)
    y_ticks: list
    mark: float                        # position of the epoch of the first label update, or None
    words: str                         # what the drawing shows, for those who do not see it
    table: list                        # of texts: the head, then some epochs


def charts(records, begin=None):
    """A Chart of accuracies for each training among the records, and one of the three losses of step 1."""
    found = []
    for step, title in NAMES.items():
        chosen = of_training(records, step)
        if chosen:
            found.append(chart(f"{title}: accuracy", chosen, ACCURACIES, begin if step == "joint" else None, unbroken))
        if chosen and step == "joint":
            found.append(chart(f"{title}: terms of the loss, in nats", chosen, LOSSES, begin, "{:.3g}".format))
    return found


def chart(title, records, names, begin, text_of):
    """The Chart of some fields of the records, without those that are unknown; labels change in step 1 alone."""
    from matplotlib.ticker import MaxNLocator  # imported where needed: demo.py starts sooner

    series = {text: [getattr(r, name) for r in records] for name, text in names.items()
              if name != "recovery" or records[0].step == "joint"}
    series = {text: values for text, values in series.items() if all(map(math.isfinite, values))}
    first, last = records[0].epoch, records[-1].epoch
    y_ticks = [0, .25, .5, .75, 1] if text_of is unbroken else \
        [y for y in MaxNLocator(4).tick_values(0, max(max(values) for values in series.values())) if y >= 0]

    def x(epoch):
        return round(LEFT + (RIGHT - LEFT) * (epoch - first) / max(1, last - first), 1)

    def y(value):
        return round(BOTTOM - (BOTTOM - TOP) * value / y_ticks[-1], 1)

    lines = [(color, text, " ".join(f"{x(r.epoch)},{y(v)}" for r, v in zip(records, series[text])))
             for color, text in enumerate(names.values()) if text in series]
    words = " ".join([f"Epochs {first} to {last}.", *(f"{text}: from {text_of(values[0])} to {text_of(values[-1])}."
                                                      for text, values in series.items())])
    some = sorted({*range(0, len(records), math.ceil(len(records) / 12)), len(records) - 1})
    table = [["epoch", *series], *([str(records[i].epoch), *(text_of(values[i]) for values in series.values())]
                                   for i in some)]
    x_ticks = [int(e) for e in MaxNLocator(5, integer=True).tick_values(first, last) if first <= e <= last]
    return Chart(title, lines, [(x(e), f"{e}") for e in x_ticks],
                 [(y(v), text_of(v).replace(".0\u00a0", "\u00a0")) for v in y_ticks],
                 x(begin) if begin is not None and first <= begin <= last else None, words, table)
