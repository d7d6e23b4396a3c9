"""The run as pictures, drawn by matplotlib."""
import io
import math
import os

import numpy as np

from core.data.photos import photo
from core.files import atomic
from core.measure import of_training
from core.report.classes import changing, counts_of
from core.report.names import drawable, shortened
from core.report.palette import ACCURACIES, LINES, LOSSES, MARK, RIGHT, STEPS, WRONG, first_update, known

COLUMNS, ROWS = 10, 4                  # of corrected.png, at most
CLASSES, WRITTEN = 40, 20              # of confusion.png; up to so many have their names and numbers
CAPTION = 9                            # points


def draw_all(folder, result, begin, root=None):
    """curves.png, losses.png, confusion.png, and corrected.png if any label was, in the run folder.

    root: the folder that the paths of the images are relative to, or None.
    """
    save(folder / "curves.png", curves(result, begin))
    save(folder / "losses.png", losses(result, begin))
    save(folder / "confusion.png", confusions(result))
    if (result.corrected != result.given).any():
        save(folder / "corrected.png", corrected_sheet(result, root))


def save(path, figure):
    """The figure as a PNG, written whole or not at all."""
    png = io.BytesIO()
    figure.savefig(png, dpi=120, format="png")
    with atomic(path) as file:
        file.write(png.getvalue())


def sheet(width, height):
    """A Figure of width x height inches. The slow import is here so that demo.py starts sooner."""
    from matplotlib.figure import Figure
    return Figure(figsize=(width, height), layout="constrained")


# ---- curves --------------------------------------------------------------------------------------------------------

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


# ---- labels --------------------------------------------------------------------------------------------------------

def confusions(result):
    """The labels before and after, against the truth; without a truth, given against suggested."""
    if result.truth is None or (result.truth < 0).all():
        panels = [("given and suggested labels", "given", result.given, "suggested", result.suggested)]
    else:
        rows = result.truth >= 0
        panels = [("given labels", "true", result.truth[rows], "given", result.given[rows]),
                  ("corrected labels", "true", result.truth[rows], "corrected", result.corrected[rows])]
    C = len(result.classes)
    shown = changing(panels[0][2], panels[0][4], C, CLASSES)
    families, names, remark = drawable([result.classes[c] for c in shown], shown)
    figure = sheet(4.6 * len(panels), 4.6)
    for axes, (title, y_name, rows, x_name, columns) in zip(np.ravel(figure.subplots(1, len(panels))), panels):
        totals = np.maximum(np.bincount(rows, minlength=C)[shown], 1)
        confusion(axes, counts_of(rows, columns, shown, C) / totals[:, None], names, families)
        axes.set(xlabel=x_name, ylabel=y_name)
        axes.set_title(f"{title}, % of each row", fontsize=10)
    notes = [f"the {len(shown)} of {C} classes that change most"] * (len(shown) < C) + [remark] * bool(remark)
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=CAPTION)
    return figure


def confusion(axes, share, names, families):
    """One matrix of shares; those below half a percent are left out of the numbers."""
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    few = len(share) <= WRITTEN
    if few:
        for (i, j), value in np.ndenumerate(share):
            axes.text(j, i, f"{max(1, 100 * value):.0f}" if value >= .005 else "", ha="center", va="center", fontsize=7,
                      color="white" if value > .6 else "black")
    size = 8 if few else 5
    axes.set_xticks(range(len(share)), names, rotation=90, fontsize=size, fontfamily=families)
    axes.set_yticks(range(len(share)), names, fontsize=size, fontfamily=families)


def corrected_sheet(result, root=None):
    """The images whose corrected label differs from the given one, the most confident corrections first."""
    changed = np.flatnonzero(result.corrected != result.given)
    confidence = result.soft.max(axis=1)
    best = changed[np.argsort(-confidence[changed], kind="stable")][:COLUMNS * ROWS]
    columns = min(COLUMNS, max(4, len(best)))
    rows = -(-len(best) // columns)
    families, names, remark = drawable(result.classes, range(len(result.classes)))
    one = len(changed) == 1
    title = (f"{'One correction' if one else f'The most confident of {len(changed)} corrections'}: "
             "the given label is struck through") + ("" if result.truth is None else " (green: the true class)") + (
                 f"; {remark}" if remark else "")
    figure, panels = grid(rows, columns, title)
    wrong = []
    for axes, row in zip(panels, best):
        found = photo(os.path.join(root, result.paths[row]), result.images[row], 192) if root else None
        axes.imshow(result.images[row] if found is None else np.asarray(found))
        is_known = result.truth is not None and result.truth[row] >= 0
        right = is_known and result.corrected[row] == result.truth[row]
        colour = "black" if not is_known else RIGHT if right else WRONG
        wrong.append(caption(axes, names[result.given[row]], names[result.corrected[row]], colour, families))
    strike(figure, wrong)
    return figure


def grid(rows, columns, title):
    """(Figure, panels) for square images with two lines of text above each.

    Their places are computed here: to find them takes matplotlib 0.8 s for 40 panels, longer than to draw these.
    """
    from matplotlib.figure import Figure

    side, text, gap, head = 1.05, .42, .1, .42                       # inches
    width, height = columns * (side + gap) + gap, head + rows * (text + side + gap)
    figure = Figure(figsize=(width, height))
    figure.text(.5, 1 - head / 2 / height, title, ha="center", va="center", wrap=True,
                fontsize=10 if columns > 6 else 8)
    panels = np.ravel(figure.subplots(rows, columns, gridspec_kw=dict(
        left=gap / width, right=1 - gap / width, top=1 - (head + text) / height, bottom=gap / height,
        wspace=gap / side, hspace=(text + gap) / side)))
    for axes in panels:
        axes.axis("off")
        axes.set_anchor("N")
    return figure, panels


def caption(axes, given, corrected, colour, families):
    """Two lines above an image, the given and the corrected label. Returns the text of the given one."""
    size = CAPTION if max(map(len, (given, corrected))) <= 13 else 7
    given, corrected = (shortened(name, 18) for name in (given, corrected))
    look = dict(fontsize=size, color=colour, fontfamily=families)
    axes.set_title(corrected, pad=3, **look)
    return axes.annotate(given, (.5, 1), (0, 4 + 1.35 * size), xycoords="axes fraction", textcoords="offset points",
                         ha="center", va="bottom", **look)


def strike(figure, texts):
    """A line through each of the texts."""
    from matplotlib.lines import Line2D

    for text in texts:
        text.axes.apply_aspect()       # as drawing does: an image that is no square moves them
        place = text.get_window_extent().transformed(figure.transFigure.inverted())
        line = Line2D((place.x0, place.x1), [(place.y0 + place.y1) / 2] * 2, transform=figure.transFigure,
                      color=text.get_color(), lw=1)
        figure.add_artist(line)
