"""The pictures of the experiments, from runs that are there. Each takes (runs, the lines of the experiment)."""
import hashlib
import io
import re
import statistics

from core.files import atomic
from core.measure import of_training
from core.report.curve_pictures import sheet
from core.report.palette import LINES, WRONG
from experiments.catalogue import short
from experiments.runs import SURE, at_last, groups, text_of

GREEN, BLUE, ORANGE, GREY = (line.light for line in LINES)
RED = WRONG
COLOURS = (BLUE, ORANGE, GREEN, RED, "#cc79a7", "#56b4e9", "#e69f00", GREY)          # for the colour-blind too
SETTINGS = ("lr", "begin", "K", "alpha", "beta")


def draw(picture, runs, all_lines):
    """The Figure of that name."""
    return PICTURES[picture](runs, all_lines)


def rates(runs, all_lines):
    """Left: what remains at the end, mean of the seeds, over the noise rate. Right: test accuracies, epoch by epoch."""
    figure = sheet(10, 3.8)
    left, right = figure.subplots(1, 2)
    found = sorted({run.config.rate for run in runs})
    of_rate = [[run for run in runs if run.config.rate == rate] for rate in found]
    for value_of, label, style in (
            (lambda run: run.summary["initial"], "labels, given", dict(color=GREY, ls=":")),
            (lambda run: at_last(run, "joint", "recovery"), "labels, corrected", dict(color=GREEN)),
            (lambda run: at_last(run, "retrain", "test"), "test, joint optimization", dict(color=BLUE)),
            (lambda run: at_last(run, "cross-entropy", "test"), "test, cross-entropy", dict(color=ORANGE))):
        means = [statistics.mean(in_percent(map(value_of, same))) for same in of_rate]
        left.plot([100 * rate for rate in found], means, marker="o", label=label, **style)
    for rate, same, colour in zip(found, of_rate, COLOURS):
        for run in same:
            method = of_training(run.records, "joint") + of_training(run.records, "retrain")
            label = f"{100 * rate:g} %" if run is same[0] else None
            right.plot(*end_to_end(method), color=colour, lw=1.2, label=label)
            right.plot(*end_to_end(of_training(run.records, "cross-entropy")), color=colour, lw=1, ls="--")
    left.set(xlabel="noise rate, %", ylabel="last epoch, %", ylim=(0, 100), title="at the end")
    right.set(xlabel="epoch, both steps", ylabel="test accuracy, %", ylim=(0, 100),
              title="solid: joint optimization, dashed: cross-entropy")
    finish(left, right)
    return figure


def over_epochs(runs, all_lines):
    """Left: correct labels over step 1. Right: the test accuracy over both steps; dashed: plain cross-entropy."""
    figure = sheet(10, 3.8)
    left, right = figure.subplots(1, 2)
    for (line, same), colour in zip(groups(runs).items(), COLOURS):
        for run in same:
            label = short(line, all_lines) if run is same[0] else None
            joint, plain = (of_training(run.records, step) for step in ("joint", "cross-entropy"))
            retrain = of_training(run.records, "retrain") if run.config.recipe.epochs2 > 1 else []
            left.plot(*curve(joint, "recovery"), color=colour, lw=1.4, label=label)
            right.plot(*end_to_end(joint + retrain), color=colour, lw=1.1, label=label)
            if plain:
                right.plot(*end_to_end(plain), color=colour, lw=1, ls="--")
    left.set(xlabel="epoch of step 1", ylabel="%", title="correct labels")
    right.set(xlabel="epoch", ylabel="%", title="test accuracy")
    finish(left, right)
    return figure


def learning_rates(runs, all_lines):
    """A panel for each noise rate: the test accuracy over the epochs for each learning rate; of several seeds the mean,
    and each of them pale.
    """
    found = sorted({run.config.rate for run in runs})
    rates_of_learning = sorted({run.config.recipe.lr for run in runs})
    figure = sheet(1 + 3.4 * len(found), 3.6)
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, rate in zip(panels, found):
        for lr, colour in zip(rates_of_learning, COLOURS):
            curves = [curve(of_training(run.records, "joint"), "test") for run in runs
                      if (run.config.rate, run.config.recipe.lr) == (rate, lr)]
            for epochs, values in curves if len(curves) > 1 else ():
                axes.plot(epochs, values, color=colour, lw=.8, alpha=.25)
            for epochs, _ in curves[:1]:
                means = list(map(statistics.mean, zip(*(values for _, values in curves))))
                axes.plot(epochs, means, color=colour, lw=1.3, label=f"lr {lr:g}")
        axes.set(xlabel="epoch", title=f"noise rate {100 * rate:g} %")
    panels[0].set(ylabel="test accuracy, %")
    finish(*panels)
    return figure


def memorised(runs, all_lines):
    """Left: the training loss. Right: how many of the given labels the network reproduces, and the test accuracy."""
    figure = sheet(10, 3.8)
    left, right = figure.subplots(1, 2)
    for same, colour in zip(groups(runs).values(), COLOURS):
        for run in same:
            records, lr = of_training(run.records, "joint"), f"lr {run.config.recipe.lr:g}"
            lr, given, test = (lr, f"{lr}: given labels reproduced", f"{lr}: test") if run is same[0] else [None] * 3
            left.plot([record.epoch for record in records], [record.L_c for record in records], color=colour, label=lr)
            right.plot(*curve(records, "accuracy"), color=colour, label=given)
            right.plot(*curve(records, "test"), color=colour, ls="--", label=test)
    left.set(xlabel="epoch", ylabel="nats", ylim=(0, None), title="$L_c$ of the noisy labels")
    right.set(xlabel="epoch", ylabel="%", ylim=(0, 100), title="accuracy")
    finish(left, right)
    return figure


def sensitivity(runs, all_lines):
    """A panel for each setting: precision and recall of the corrections, test accuracy; a row for each noise.

    The test accuracy is that of step 1 where step 2 is one epoch, as only step 1 is looked at.
    """
    step = "retrain" if runs[0].config.recipe.epochs2 > 1 else "joint"
    kinds = list(dict.fromkeys(run.config.noise for run in runs))
    usual = {kind: [run for run in runs if run.config.noise == kind and "--" not in after_rate(run.line)][:1]
             for kind in kinds}
    figure = sheet(14, .6 + 2.5 * len(kinds))
    grid = figure.subplots(len(kinds), len(SETTINGS) + 1, sharey=True, squeeze=False)
    for row, kind in zip(grid, kinds):
        for axes, setting in zip(row, SETTINGS):
            tried = [run for run in runs if run.config.noise == kind
                     and after_rate(run.line).startswith(f"--{setting} ") and after_rate(run.line).count("--") == 1]
            chosen = sorted(tried + usual[kind], key=lambda run: getattr(run.config.recipe, setting))
            x = [getattr(run.config.recipe, setting) for run in chosen]
            scored(axes, x, [run.scores.get("0", (None, None)) for run in chosen],
                   [at_last(run, step, "test") for run in chosen], f"test, step {1 + (step == 'retrain')}")
            axes.set(xlabel=setting, xscale="log" if setting == "lr" else "linear")
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.minorticks_off()
        for run in usual[kind]:
            scored(row[-1], SURE, [run.scores[f"{sure:g}"] for sure in SURE])
        row[-1].set(xlabel="--sure")
        row[0].set(ylabel=f"{kind}, %", ylim=(0, 102))
    finish(grid[0, 0])
    for axes in grid.flat:
        axes.grid(alpha=.3)
    return figure


def scored(axes, x, scores, test=(), label=None):
    """The lines of one panel."""
    axes.plot(x, in_percent([precision for precision, _ in scores]), color=BLUE, marker="o", label="precision")
    axes.plot(x, in_percent([recall for _, recall in scores]), color=ORANGE, marker="s", label="recall")
    if test:
        axes.plot(x, in_percent(test), color=GREEN, marker="^", label=label)


def after_rate(line):
    """What a line of the experiment about settings changes."""
    return line.partition("--rate ")[2].partition(" ")[2]


def curve(records, field):
    """(epochs, percent) of a field."""
    return [record.epoch for record in records], in_percent([getattr(record, field) for record in records])


def end_to_end(records):
    """(epochs through all steps from 1, test accuracy in percent)."""
    return range(1, len(records) + 1), in_percent([record.test for record in records])


def in_percent(values):
    """Fractions as percent; None is a gap."""
    return [float("nan") if value is None else 100 * value for value in values]


def finish(*panels):
    """Grid and legend."""
    for axes in panels:
        axes.grid(alpha=.3)
        axes.legend(fontsize=7)


PICTURES = {"rates": rates, "over_epochs": over_epochs, "learning_rates": learning_rates, "memorised": memorised,
            "sensitivity": sensitivity}


# ---- files ---------------------------------------------------------------------------------------------------------

def origin(runs):
    """A digest of the runs that a picture is drawn from; it stands in the picture's file."""
    return digest("\n".join(map(text_of, runs)))


def digest(text):
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def save(path, figure, source):
    """The figure as a PNG that names its origin, written whole or not at all."""
    png = io.BytesIO()
    figure.savefig(png, dpi=100, format="png", metadata={"Software": None, "Source": source})
    with atomic(path) as file:
        file.write(png.getvalue())


def source_of(path):
    """The digest in a picture's file, or None: PNG keeps a text as its key, a zero byte and the text."""
    found = re.search(rb"tEXtSource\0([0-9a-f]{64})", path.read_bytes())
    return found and found[1].decode()
