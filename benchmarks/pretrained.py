"""What features of a pretrained network buy: labels, ranking and test accuracy at five kinds of noise,
against cleanlab.

    python -m benchmarks.pretrained FEATURES.npz --images 1000 --seeds 3   appends to results/pretrained.jsonl
    python -m benchmarks.pretrained --page                                 writes results/pretrained.md

FEATURES.npz: train (N, D), labels (N,), test (M, D), test_labels (M,), of CIFAR-10's classes. The noise is made here:
asymmetric by the paper's map, symmetric by drawing labels anew.
Needs cleanlab and scikit-learn (requirements-test.txt).
"""
import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np

from core import noise, posterior, quality, train
from core.batches import unaugmented
from core.features import Features, mean_and_std
from core.files import save_text
from core.labels import SoftLabels, one_hot
from core.measure import accuracy, predictions
from core.model import Task, fresh_model
from core.recipes import Recipe
from core.run import folds
from nets import head
from nets.head import Head

LINEAR = Recipe(lr=0.003, alpha=1.2, beta=0.4, epochs=40, begin=15, K=10, decay=0.01, lr2=0.003, epochs2=12,
                drops2=(8, 10))
HIDDEN = Recipe(lr=0.01, alpha=1.2, beta=0.4, epochs=30, begin=10, K=10, decay=0.01, lr2=0.01, epochs2=12,
                drops2=(8, 10))
HEADS = {"linear": (0, LINEAR), "hidden layer": (256, HIDDEN)}
NOISES = {"an-40": 0.4, "an-10": 0.1, "sn-50": 0.5, "sn-10": 0.1, "none": 0}
FOLDS, SURE, CLASSES = 5, 0.9, 10
REGULARISATIONS = (1e-4, 1e-3, 1e-2)            # scikit-learn's C, on standardised features
RESULTS = "benchmarks/results/pretrained"
COLUMNS = {"all": "all taken", "number": "taken at 0.9", "right": "right", "sure": "labels after", "auroc": "AUROC",
           "ap": "AP", "error": "calibration error", "test": "test", "seconds": "s"}


def noisy(labels, kind, seed):
    """The labels with noise of that kind."""
    rng = np.random.default_rng([seed, *b"noise"])
    if kind.startswith("an"):
        return noise.asymmetric(labels, NOISES[kind], noise.CIFAR10_MAP, rng)
    return noise.symmetric(labels, NOISES[kind], CLASSES, rng)


def fitted(recipe, N):
    """The recipe with smaller batches, and a smaller learning rate, until an epoch has 16 batches."""
    batch = recipe.batch
    while batch > 16 and N < 16 * batch:
        batch //= 2
    scale = batch / recipe.batch
    return recipe._replace(batch=batch, lr=recipe.lr * scale, lr2=recipe.lr2 * scale)


def shown(x, features=None):
    """x (N, D) standardised by itself, or like the Features."""
    x = x[:, None]
    return Features(x, *mean_and_std(x)) if features is None else features._replace(features=x)


def trained(algorithm, features, labels, arch, recipe, seed):
    """The model after a training on these features alone."""
    nothing = features._replace(features=features.features[:0]), np.zeros(0, np.int64)
    model = fresh_model(head, arch, np.random.default_rng(seed), np)
    for _ in algorithm(model, Task(features, nothing, nothing, None, seed), labels, recipe):
        pass
    return model


def step_1(x, given, arch, recipe, seed):
    """(model, soft labels, features) of the joint optimization."""
    features, labels = shown(x), SoftLabels(one_hot(given, CLASSES), recipe.K)
    return trained(train.joint_optimization, features, labels, arch, recipe, seed), labels, features


def tested(x, Y, arch, recipe, seed, test):
    """Test accuracy of step 2 on the labels Y."""
    features = shown(x)
    model = trained(train.retrain, features, SoftLabels(Y.astype(np.float32), 1), arch, recipe, seed)
    return float(accuracy(model, shown(test[0], features), test[1]))


def measured(q, given, truth, test, seconds):
    """One row: what the probabilities q (N, C) are good for, as fractions."""
    wrong, suggested, chosen = given != truth, q.argmax(axis=1), q.max(axis=1)
    found = quality.detection(wrong, suggested != given, quality.self_confidence(q, given))
    corrected = quality.corrected(given, suggested, q, SURE)
    taken = corrected != given
    return {"given": float((~wrong).mean()), "all": float((suggested == truth).mean()), "number": int(taken.sum()),
            "right": float((corrected == truth)[taken].mean()) if taken.any() else None,
            "sure": float((corrected == truth).mean()), "auroc": found.auroc, "ap": found.average_precision,
            "error": calibration_error(chosen, suggested == truth),
            "estimate": float(1 - quality.self_confidence(q, given).mean()), "test": test, "seconds": seconds}


def calibration_error(sure, right, bins=15):
    """Mean distance between how sure the suggestions are and how many are right, over bins of equal width."""
    place = np.minimum((sure * bins).astype(int), bins - 1)
    sums = np.abs(np.bincount(place, sure, bins) - np.bincount(place, right, bins))
    return float(sums.sum() / len(sure))


def by_heads(x, given, truth, test, seed, kind):
    """Rows of this program: in-sample and by folds, as they are and by the noise posterior."""
    hidden, recipe = HEADS[kind]
    arch, recipe = Head(x.shape[1], CLASSES, hidden), fitted(recipe, len(x))
    start = time.perf_counter()
    _, labels, _ = step_1(x, given, arch, recipe, seed)
    alone = time.perf_counter() - start
    yield f"joint, {kind}", labels.s, given, alone, tested(x, labels.Y, arch, recipe, seed, test)
    q = posterior.noise_posterior(labels.s, given).q
    yield f"joint, {kind}, posterior", q, given, alone, tested(x, q, arch, recipe, seed, test)
    start, P = time.perf_counter(), np.empty((len(x), CLASSES), np.float32)
    for fold, rows in enumerate(folds.dealt(given, FOLDS, CLASSES, seed), start=1):
        rest = np.setdiff1d(np.arange(len(x)), rows)
        model, _, features = step_1(x[rest], given[rest], arch, recipe, 10 * seed + fold)
        P[rows] = predictions(model, shown(x[rows], features))
    yield f"joint, {kind}, {FOLDS} folds", P, given, time.perf_counter() - start, None
    q = posterior.noise_posterior(P, given).q
    seconds = time.perf_counter() - start
    yield f"joint, {kind}, {FOLDS} folds, posterior", q, given, seconds, tested(x, q, arch, recipe, seed, test)


def by_cleanlab(x, given, truth, test):
    """cleanlab on cross-validated logistic regression: of the regularisations the one with the best ranking."""
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    features, rows = shown(x), []
    z, z_test = (unaugmented(f, slice(None)) for f in (features, shown(test[0], features)))
    for C in REGULARISATIONS:
        start, model = time.perf_counter(), LogisticRegression(C=C, max_iter=300)
        P = cross_val_predict(model, z, given, cv=FOLDS, method="predict_proba").astype(np.float64)
        kept = ~find_label_issues(given, P, n_jobs=1)
        accuracy = float((model.fit(z[kept], given[kept]).predict(z_test) == test[1]).mean())
        rows.append(("cleanlab, logistic regression", P, given, time.perf_counter() - start, accuracy))
    wrong = given != truth
    return max(rows, key=lambda row: quality.average_precision(wrong, quality.self_confidence(row[1], given))
               if wrong.any() else 0)


def setting(data, kind, N, seed, heads):
    """All rows of one kind of noise, number of images and seed."""
    rows = np.sort(np.random.default_rng([seed, *b"images"]).permutation(len(data["train"]))[:N])
    x, truth, test = data["train"][rows], data["labels"][rows].astype(np.int64), (data["test"], data["test_labels"])
    given = noisy(truth, kind, seed)
    made = [by_cleanlab(x, given, truth, test)]
    for name in heads:
        made += by_heads(x, given, truth, test, seed, name)
    for method, q, given, seconds, test_accuracy in made:
        yield {"noise": kind, "images": N, "seed": seed, "method": method,
               **measured(q, given, truth, test_accuracy, seconds)}


# ---- the page ------------------------------------------------------------------------------------------------------

def cell(name, values):
    """Mean over the seeds, in the column's unit."""
    values = [v for v in values if v is not None and np.isfinite(v)]
    if not values:
        return ""
    mean = sum(values) / len(values)
    if name in ("auroc", "ap", "error"):
        return f"{mean:.3f}"
    return f"{mean:.0f}" if name in ("number", "seconds") else f"{100 * mean:.1f}"


def page(rows):
    """The tables, one for each number of images."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["images"], row["noise"], row["method"]].append(row)
    lines = ["# Heads on pretrained features", "", __doc__.split("\n\n")[2].strip(), "",
             "Percent, means over the seeds. given: correct labels before; all taken: after all suggestions; "
             "taken at 0.9: number of",
             "corrections at a probability of at least 0.9, how many are right, "
             "the correct labels after them; AP: average precision",
             "of the ranking by the probability of the given label; test: after step 2; s: "
             "seconds on one core beside other work.",
             "Posterior: step 2 on its q. cleanlab: the regularisation with the best ranking, chosen by the truth."]
    for N in sorted({images for images, _, _ in groups}):
        seeds = len({row["seed"] for row in rows if row["images"] == N})
        lines += ["", f"## {N} images, {seeds} seed{'s' * (seeds > 1)}", "",
                  f"| noise | method | given | {' | '.join(COLUMNS.values())} |", "|---|---"
                  + "|---:" * (len(COLUMNS) + 1) + "|"]
        for (images, kind, method), found in sorted(groups.items(), key=lambda group: list(NOISES).index(group[0][1])):
            if images == N:
                cells = [cell(name, [row[name] for row in found]) for name in ("given", *COLUMNS)]
                lines.append(f"| {kind} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main():
    """Measure and note, or make the page from what was noted."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("features", nargs="?")
    arguments.add_argument("--images", type=int, default=10000)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--noise", nargs="+", default=list(NOISES), choices=NOISES)
    arguments.add_argument("--heads", nargs="+", default=list(HEADS), choices=HEADS)
    arguments.add_argument("--page", action="store_true")
    args = arguments.parse_args()
    if args.features:
        with np.load(args.features, allow_pickle=False) as file:
            data = dict(file)
        for seed in args.seeds:
            for kind in args.noise:
                with warnings.catch_warnings(), open(f"{RESULTS}.jsonl", "a", encoding="utf-8") as log:
                    warnings.simplefilter("ignore")            # scikit-learn's on convergence, cleanlab's dependencies'
                    for row in setting(data, kind, args.images, seed, args.heads):
                        print(*row.values(), flush=True)
                        log.write(json.dumps(row) + "\n")
    if args.page:
        rows = list(map(json.loads, Path(f"{RESULTS}.jsonl").read_text(encoding="utf-8").splitlines()))
        save_text(f"{RESULTS}.md", page(rows))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
