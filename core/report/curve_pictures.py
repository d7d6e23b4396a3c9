"""curves.png and losses.png: the series of core/report/palette.py over the epochs."""
import math

import numpy as np

from core.measure import of_training
from core.report.palette import ACCURACIES, LINES, LOSSES, MARK, STEPS, first_update, known


def sheet(width, height):
    """A Figure of width x height inches. The slow import is here so that demo.py starts sooner."""
    from matplotlib.figure import Figure
    return Figure(figsize=(width, height), layout="constrained")


def curves(result, begin):
    """Accuracies over the epochs, one panel for each training; without a truth, also how many labels changed."""
    steps = [step for step in STEPS if of_training(result.records, step)]
    changes = math.isnan(result.recovery) and "joint" in steps
    figure = sheet(1 + 4 * (len(steps) + changes), 3.6)
    panels = np.ravel(figure.subplots(1, len(steps) + changes))
    for axes, step in zip(panels, steps):
        records = of_training(result.records, step)
        lines(axes, records, ACCURACIES, begin if step == "joint" else None)
        in_percent(axes.yaxis)
        axes.set(title=STEPS[step], ylabel="accuracy" if axes is panels[0] else None, ylim=(0, 1.02))
        axes.legend(fontsize=8, loc="lower right")
    if changes:
        records = of_training(result.records, "joint")
        panels[-1].plot([r.epoch for r in records], [r.changed for r in records], color=LINES[0].light, lw=1.8)
        finished(panels[-1], records, begin)
        panels[-1].yaxis.get_major_locator().set_params(integer=True)
        panels[-1].set(title="step 1: labels changed by the update", ylim=(0, None))
        panels[-1].legend(fontsize=8)
    return figure


def losses(result, begin):
    """The three terms of the objective in step 1."""
    figure = sheet(5.5, 3.6)
    axes = figure.subplots()
    lines(axes, of_training(result.records, "joint"), LOSSES, begin)
    axes.set(title="step 1: the terms of the loss", ylabel="nats", ylim=(0, None))
    axes.legend(fontsize=8)
    return figure


def lines(axes, records, names, begin):
    """The known series of a training over its epochs."""
    for series, values in known(records, names).items():
        line = LINES[series.line]
        axes.plot([r.epoch for r in records], values, color=line.light, lw=1.8,
                  ls=(0, tuple(length / 2 for length in line.dashes)) if line.dashes else "-", label=series.text)
    finished(axes, records, begin)


def finished(axes, records, begin):
    """What every panel over the epochs has: whole numbers below, a grid, and a line at the first label update."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epoch")
    axes.grid(alpha=.3)
    mark = first_update(records, begin)
    if mark is not None:
        axes.axvline(mark, color=MARK.light, lw=1.2, ls=(0, MARK.dashes), label="labels first updated")


def in_percent(axis):
    """Fractions as percentages."""
    from matplotlib.ticker import PercentFormatter
    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
