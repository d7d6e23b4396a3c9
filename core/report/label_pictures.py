"""confusion.png and corrected.png: the labels before and after."""
import numpy as np

from core.data.originals import SIDE
from core.data.photos import photo
from core.report.classes import changing, counts_of
from core.report.curve_pictures import sheet
from core.report.names import drawable, shortened
from core.report.palette import RIGHT, WRONG

COLUMNS, ROWS = 10, 4                  # of corrected.png, at most
CLASSES, WRITTEN = 40, 20              # of confusion.png; up to so many have their names and numbers
CAPTION = 9                            # points


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


def corrected_sheet(result, originals=None):
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
    original = originals and originals.of(best.tolist(), result.images)
    wrong = []
    for axes, row in zip(panels, best):
        found = photo(original(row), result.images[row], SIDE) if originals else None
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
