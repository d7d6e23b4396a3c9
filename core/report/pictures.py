"""The run as pictures. The only module that imports matplotlib."""
import io
import math

import numpy as np

from core.files import atomic
from core.measure import of_training

NAMES = {"joint": "step 1, joint", "retrain": "step 2, retrained", "cross-entropy": "plain cross-entropy"}
# told apart by the colour-blind too
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#666666"


def draw_all(folder, result, begin):
    """curves.png, losses.png, confusion.png and corrected.png in the run folder."""
    save(folder / "curves.png", curves(result, begin))
    save(folder / "losses.png", losses(result, begin))
    save(folder / "confusion.png", confusions(result))
    save(folder / "corrected.png", corrected_sheet(result))


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


def curves(result, begin):
    """Accuracies over the epochs, one panel for each training."""
    steps = [s for s in NAMES if of_training(result.records, s)]
    figure = sheet(1 + 4 * len(steps), 3.6)
    for axes, step in zip(np.ravel(figure.subplots(1, len(steps), sharey=True)), steps):
        records = of_training(result.records, step)
        epochs = [r.epoch for r in records]
        if step == "joint" and not math.isnan(result.recovery):
            axes.plot(epochs, [r.recovery for r in records], color=GREEN, lw=2.5, label="labels that are correct")
        for name, style in (("test", "-"), ("validation", ":")):
            if not math.isnan(getattr(records[-1], name)):
                axes.plot(epochs, [getattr(r, name) for r in records], color=BLUE, ls=style, label=name)
        axes.plot(epochs, [r.accuracy for r in records], color=GREY, lw=1, label="training, against the labels in use")
        if step == "joint":
            mark_begin(axes, begin)
        axes.set(title=NAMES[step], xlabel="epoch", ylim=(0, 1.02))
        axes.grid(alpha=.3)
        axes.legend(fontsize=7, loc="lower right")
    figure.axes[0].set_ylabel("accuracy")
    return figure


def losses(result, begin):
    """The three terms of the objective in step 1."""
    records = of_training(result.records, "joint")
    figure = sheet(5.5, 3.6)
    axes = figure.subplots()
    for name, color, title in (("L_c", BLUE, "$L_c$ classification"), ("L_p", ORANGE, "$L_p$ prior"),
                               ("L_e", GREEN, "$L_e$ entropy")):
        axes.plot([r.epoch for r in records], [getattr(r, name) for r in records], color=color, label=title)
    mark_begin(axes, begin)
    axes.set(title="step 1: the terms of the loss", xlabel="epoch", ylabel="nats", ylim=(0, None))
    axes.grid(alpha=.3)
    axes.legend(fontsize=8)
    return figure


def plain(name):
    """A class name as text that matplotlib does not take for a formula."""
    return name.replace("$", r"\$")


def mark_begin(axes, begin):
    """A line where the labels were first updated."""
    axes.axvline(begin, color=ORANGE, lw=1, ls="--", label="labels first updated")


def confusions(result):
    """The labels before and after, against the truth; without a truth, given against corrected."""
    if result.truth is None:
        panels = [("given and corrected labels", "given", result.given, "corrected", result.corrected)]
    else:
        known = result.truth >= 0
        panels = [("given labels", "true", result.truth[known], "given", result.given[known]),
                  ("corrected labels", "true", result.truth[known], "corrected", result.corrected[known])]
    C, names = len(result.classes), [plain(name) for name in result.classes]
    figure = sheet(4.6 * len(panels), 4.4)
    for axes, (title, y_name, rows, x_name, columns) in zip(np.ravel(figure.subplots(1, len(panels))), panels):
        counts = np.zeros((C, C))
        np.add.at(counts, (rows, columns), 1)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        if C <= 20:
            for (i, j), value in np.ndenumerate(share):
                axes.text(j, i, f"{100 * value:.0f}" if counts[i, j] else "", ha="center", va="center", fontsize=7,
                          color="white" if value > .6 else "black")
            axes.set_xticks(range(C), names, rotation=90, fontsize=7)
            axes.set_yticks(range(C), names, fontsize=7)
        axes.set(title=f"{title}, % of each row", xlabel=x_name, ylabel=y_name)
    return figure


def corrected_sheet(result, columns=10, rows=4):
    """The images whose corrected label differs from the given one, the most confident corrections first."""
    changed = np.flatnonzero(result.corrected != result.given)
    confidence = result.soft.max(axis=1)
    best = changed[np.argsort(-confidence[changed], kind="stable")][:columns * rows]
    figure = sheet(columns * 1.05, .5 + rows * 1.25)
    figure.suptitle(f"The most confident of {len(changed)} corrections: given → corrected"
                    + ("" if result.truth is None else "  (green: the true class)"), fontsize=10)
    for axes, row in zip(np.ravel(figure.subplots(rows, columns)), [*best, *[None] * (columns * rows - len(best))]):
        axes.axis("off")
        if row is not None:
            known = result.truth is not None and result.truth[row] >= 0
            right = known and result.corrected[row] == result.truth[row]
            axes.imshow(result.images[row])
            before, after = (plain(result.classes[labels[row]]) for labels in (result.given, result.corrected))
            axes.set_title(f"{before} → {after}", fontsize=7, color="black" if not known else GREEN if right else RED)
    return figure
