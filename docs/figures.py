"""The pictures of docs/paper.md, made from real runs on the embedded digits.

    python docs/figures.py             trains eight small networks, about four minutes on an idle core
    python docs/figures.py --draw      draws again from the numbers that are there

Writes docs/pictures/: learning_rate.png, prior.png, entropy.png, and runs.json with the numbers behind them. The same
machine and versions give the same numbers again. Another machine may round differently, and over a thousand steps that
shows. So docs/paper.md quotes runs.json, and a test holds it to that.
"""
import argparse
import json
import os
import platform
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"              # before NumPy is loaded: the order of its sums depends on it
sys.path.insert(0, str(Path(__file__).parent.parent))

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402

from core import train  # noqa: E402
from core.data import digits  # noqa: E402
from core.labels import SoftLabels, one_hot  # noqa: E402
from core.measure import predictions  # noqa: E402
from core.model import fresh_model  # noqa: E402
from core.objective import xlogx  # noqa: E402
from core.recipes import RECIPES  # noqa: E402
from core.run.config import Config  # noqa: E402
from core.run.inputs import as_task, given_labels, read_data  # noqa: E402
from nets.families import architecture  # noqa: E402
from nets.preact_resnet_fast import FastNet  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

FOLDER = Path(__file__).parent / "pictures"
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#666666"
SEED, C = 0, 10

LEARNING_RATE = dict(images=1000, rate=0.5, batch=32, epochs=60)
PRIOR = dict(images=2000, rate=0.5, batch=64, epochs=40, begin=6, K=5, lr=0.1, beta=0.8)
ENTROPY = dict(images=2000, rate=0.5, batch=64, epochs=40, begin=10, K=5, lr=0.1, alpha=1.2)


# ---- the runs ------------------------------------------------------------------------------------------------------

def everything():
    """All numbers: {picture: {its variable's value: {curve: [one number per epoch]}}}, and how they came about."""
    return {
        "made with": {"python": platform.python_version(), "numpy": np.__version__, "seed": SEED},
        "settings": {"learning_rate": LEARNING_RATE, "prior": PRIOR, "entropy": ENTROPY},
        "learning_rate": {str(lr): fixed_labels(lr=lr, **LEARNING_RATE) for lr in (0.01, 0.1, 0.3)},
        "prior": {"with": joint(alpha=1.2, **PRIOR), "without": joint(alpha=0, **PRIOR),
                  "without,late": joint(alpha=0, **{**PRIOR, "begin": 10})},
        "entropy": {"with": joint(beta=0.8, **ENTROPY), "without": joint(beta=0, **ENTROPY)},
    }


def fixed_labels(images, rate, lr, batch, epochs):
    """Plain training on noisy labels that never change: what becomes of the images whose label is wrong."""
    task, given, truth, model = beginning(images, rate)
    recipe = RECIPES["digits"]._replace(lr2=lr, drops2=(), epochs2=epochs, batch=batch)
    wrong, curves = given != truth, {"memorised": [], "correct": [], "test": []}
    for record in train.retrain(model, task, SoftLabels(one_hot(given, C), 1), recipe):
        predicted = predictions(model, task.train).argmax(axis=1)
        noted(curves, memorised=(predicted == given)[wrong].mean(), correct=(predicted == truth)[wrong].mean(),
              test=record.test)
    return curves


def joint(images, rate, **settings):
    """Step 1: what becomes of the labels."""
    task, given, truth, model = beginning(images, rate)
    labels = SoftLabels(one_hot(given, C), settings["K"])
    curves = {"recovery": [], "largest": [], "entropy": [], "test": []}
    for record in train.joint_optimization(model, task, labels, RECIPES["digits"]._replace(**settings)):
        largest = np.bincount(labels.Y.argmax(axis=1)).max() / images
        entropy = -xlogx(labels.Y.astype(float)).sum(axis=1).mean()
        noted(curves, recovery=record.recovery, largest=largest, entropy=entropy, test=record.test)
    return curves


def beginning(images, rate):
    """(task, given labels, true labels, fresh model) for digits with symmetric noise."""
    config = Config(RECIPES["digits"], noise="symmetric", rate=rate, digits=(images, 10, 1000), seed=SEED)
    data = read_data(config).data
    model = fresh_model(FastNet(), architecture("small", C), np.random.default_rng(SEED), np)
    return as_task(data, SEED, np), given_labels(config, data), data.train.labels, model


def noted(curves, **values):
    """Append the values, to four decimals."""
    for name, value in values.items():
        curves[name].append(round(abs(float(value)), 4))


# ---- the pictures --------------------------------------------------------------------------------------------------

def draw(runs):
    """All pictures from the numbers of `everything`."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
                         "grid.alpha": 0.25, "lines.linewidth": 2})
    draw_learning_rate(runs["learning_rate"])
    compared("prior", runs["prior"], ("α = 1.2", "α = 0", "α = 0, first update at 10"), PRIOR["begin"],
             ("largest", "largest class, share of all labels", (0, 1.03), {0.1: "balanced"}),
             ("recovery", "correct labels, share", (0, 1.03), {}))
    compared("entropy", runs["entropy"], ("β = 0.8", "β = 0"), ENTROPY["begin"],
             ("entropy", "mean entropy of a label, nats", (0, 2.75), {np.log(10): "uniform: ln 10"}),
             ("recovery", "correct labels, share", (0, 1.03), {}))


def draw_learning_rate(runs):
    """Left: what the network says about the images with a wrong label, as a path. Right: the test accuracy."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.7), layout="constrained")
    for (lr, curves), colour in zip(runs.items(), (GREY, BLUE, ORANGE)):
        memorised, correct, test = (smooth(curves[name]) for name in ("memorised", "correct", "test"))
        left.plot(memorised, correct, color=colour, label=f"lr {lr}")
        left.plot(memorised[-1], correct[-1], "o", color=colour)
        right.plot(range(1, len(test) + 1), test, color=colour, label=f"lr {lr}")
    left.set(xlabel="memorised: the wrong label is predicted", ylabel="seen through: the true class",
             xlim=(0, None), ylim=(0, 1), title="training images whose label is wrong")
    right.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1), title="test images")
    right.legend(frameon=False)
    save(figure, "learning_rate")


def compared(name, runs, labels, begin, *panels):
    """The runs over the epochs; every panel is (curve, title, limits, {height of a dashed line: what it is})."""
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 3.4), layout="constrained")
    for axis, (curve, title, limits, marks) in zip(axes, panels):
        axis.axvline(begin, color=GREY, linestyle=":", linewidth=1.2)
        axis.annotate("first update", (begin, limits[1]), (4, -2), textcoords="offset points", va="top", color=GREY,
                      fontsize=9)
        for curves, label, colour in zip(runs.values(), labels, (BLUE, ORANGE, GREEN)):
            axis.plot(range(1, len(curves[curve]) + 1), curves[curve], color=colour, label=label)
        for height, text in marks.items():
            axis.axhline(height, color=GREY, linestyle="--", linewidth=1)
            above = height > limits[1] / 2
            axis.annotate(text, (1, height), (0, 2 if above else -3), textcoords="offset points", va="bottom"
                          if above else "top", ha="right", color=GREY, fontsize=9, xycoords=("axes fraction", "data"))
        axis.set(xlabel="epoch", title=title, ylim=limits)
    axes[0].legend(frameon=False, loc="center right")
    save(figure, name)


def draw_first(run):
    """The README's picture, of a run of `demo.py`: ten wrong labels, on the left as given, on the right as corrected.

    For each digit it shows the most confident correction.
    """
    given, corrected, truth, soft, index = (np.load(run / f"{name}.npy") for name in (
        "given_labels", "corrected_labels", "true_labels", "soft_labels", "index"))
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))["settings"]
    images = digits.load(config["seed"], *config["digits"]).train.images[index]
    right = (given != truth) & (corrected == truth)
    ten = [np.where(right & (truth == c), soft.max(axis=1), -1).argmax() for c in range(C)]
    figure = plt.figure(figsize=(9, 2.9))
    place = dict(left=.02, right=.98, top=.91, bottom=.1, hspace=.25)
    halves = ("given", given, RED), ("corrected", corrected, GREEN)
    for half, (title, labels, colour) in zip(figure.subfigures(1, 2, wspace=.04), halves, strict=True):
        half.suptitle(f"{title} labels", fontsize=13, color=colour)
        for axis, i in zip(half.subplots(2, 5, gridspec_kw=place).flat, ten, strict=True):
            axis.imshow(images[i])
            axis.axis("off")
            below = dict(transform=axis.transAxes, color=colour)
            axis.text(.5, -.05, str(labels[i]), ha="center", va="top", fontsize=15, **below)
            if labels is given:
                axis.plot((.4, .6), (-.15, -.15), lw=1.5, clip_on=False, **below)
    save(figure, "corrected")


def smooth(values, width=5):
    """The mean of `width` epochs, fewer at the ends."""
    return [float(np.mean(values[max(0, k - width // 2):k + width // 2 + 1])) for k in range(len(values))]


def save(figure, name):
    figure.savefig(FOLDER / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--draw", action="store_true", help="do not train, draw from docs/pictures/runs.json")
    arguments.add_argument("--first", type=Path, metavar="RUN",
                           help="draw corrected.png alone, from the folder of a run on the digits")
    args, path = arguments.parse_args(), FOLDER / "runs.json"
    if args.first:
        return draw_first(args.first)
    if not args.draw:
        path.write_text(json.dumps(everything()).replace('}, "', '},\n"') + "\n", encoding="utf-8")
    draw(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
