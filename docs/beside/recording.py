"""The trainings in the plane: core.train on 200 points with two coordinates, and what the page shows of them.

Three classes lie on three arms of a spiral. Labels are wrong by symmetric noise. The network is a head
(nets/head.py) with one hidden layer and without dropout.

An epoch is stored as characters, one for each point or grid cell:
    labels      class of the label in use, 0, 1 or 2
    certainty   0 (uniform) to 9 (one-hot): how far its largest entry is above 1/3
    regions     the predicted class on a grid, as runs: "a12c3" is 12 cells of class 0, then 3 of class 2
"""
import json
import os
from itertools import groupby
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")     # before NumPy is loaded: the order of its sums depends on it

import numpy as np  # noqa: E402

from core import train  # noqa: E402
from core.features import Features, mean_and_std  # noqa: E402
from core.labels import SoftLabels, one_hot  # noqa: E402
from core.model import Task, fresh_model  # noqa: E402
from core.noise import symmetric  # noqa: E402
from core.objective import xlogx  # noqa: E402
from core.recipes import Recipe  # noqa: E402
from docs.beside.steps import logarithms  # noqa: E402
from nets import head  # noqa: E402

FILE = Path(__file__).with_name("recorded.json")
C, N, GRID, EDGE = 3, 200, 41, 1.2                    # classes, points, grid of GRID x GRID cells on [-EDGE, EDGE]^2
NOISE, HIDDEN, SEED = 0.7, 128, 9
SEEDS = range(10)
RECIPE = Recipe(lr=0.1, alpha=1.2, beta=0.8, epochs=60, begin=5, K=5, batch=10)
RUNS = {                                               # name: what differs from RECIPE
    "full": {},
    "without L_p": {"alpha": 0},
    "without L_e": {"beta": 0},
    "low rate": {"lr": 0.0005},
}
TITLES = {"full": "as it is", "without L_p": "without the prior loss", "without L_e": "without the entropy loss",
          "low rate": "at a low learning rate"}
CURVES = ("correct", "largest", "entropy", "L_c", "L_p", "L_e")


def record():
    """Everything that recorded.json holds."""
    x, truth, given = points(SEED)
    return {
        "made with": f"NumPy {np.__version__}",
        "x": [[round(float(value), 3) for value in point] for point in x],
        "truth": digits(truth), "given": digits(given),
        "runs": {name: training(SEED, changes) for name, changes in RUNS.items()},
        "steps": logarithms(),
        "seeds": {name: [training(seed, changes)["correct"][-1] for seed in SEEDS] for name, changes in RUNS.items()},
    }


def points(seed):
    """x (N, 2) float32, true classes (N,), given labels (N,)."""
    rng = np.random.default_rng(seed)
    truth = np.arange(N) % C
    radius = .15 + .85 * rng.random(N)
    angle = 2 * np.pi * truth / C + 2.8 * radius
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x += .08 * radius[:, None] * rng.standard_normal((N, 2))
    return x.astype(np.float32), truth, symmetric(truth, NOISE, C, rng)


def training(seed, changes):
    """{labels, certainty, regions: one string per epoch, the first before training; curves: one number per epoch}"""
    x, truth, given = points(seed)
    recipe, features = RECIPE._replace(**changes), Features(x[:, None], *mean_and_std(x[:, None]))
    nothing = features._replace(features=x[:0, None]), truth[:0]
    task = Task(features, validation=nothing, test=nothing, truth=truth, seed=seed)
    model = fresh_model(head, head.Head(2, C, HIDDEN, dropout=0), np.random.default_rng(seed), np)
    labels = SoftLabels(one_hot(given, C), recipe.K)
    found = {name: [] for name in ("labels", "certainty", "regions", *CURVES)}
    remember(found, model, labels, features)
    for epoch in train.joint_optimization(model, task, labels, recipe):
        remember(found, model, labels, features)
        Y = labels.Y.astype(float)
        noted(found, correct=epoch.recovery, largest=np.bincount(Y.argmax(axis=1)).max() / N,
              entropy=-xlogx(Y).sum(axis=1).mean(), L_c=epoch.L_c, L_p=epoch.L_p, L_e=epoch.L_e)
    return found


def remember(found, model, labels, features):
    """The labels in use, and the decision regions of the network."""
    found["labels"].append(digits(labels.Y.argmax(axis=1)))
    found["certainty"].append(digits(np.rint(9 * (labels.Y.max(axis=1) - 1 / C) / (1 - 1 / C)).astype(int)))
    z = model.predict(((grid() - features.mean) / features.std).astype(np.float32))
    found["regions"].append(runs_of(z.argmax(axis=1)) if z.any() else "")    # at the start all classes are equal


def noted(found, **values):
    for name, value in values.items():
        found[name].append(round(abs(float(value)), 4))


def grid():
    """Centres of the cells (GRID^2, 2), row by row from the top left."""
    centres = EDGE * (2 * (np.arange(GRID) + .5) / GRID - 1)
    return np.stack([np.tile(centres, GRID), np.repeat(-centres, GRID)], axis=1)


def digits(numbers):
    return "".join(map(str, numbers))


def runs_of(classes):
    """[0, 0, 2] -> "a2c1" """
    return "".join(f"{'abc'[c]}{len(list(same))}" for c, same in groupby(classes))


def save():
    """Train anew and write the file."""
    text = json.dumps(record(), separators=(",", ":"))
    FILE.write_text(text.replace("],", "],\n").replace("},", "},\n") + "\n", encoding="utf-8")


def load():
    """The stored record."""
    return json.loads(FILE.read_text(encoding="utf-8"))
