"""What features of a pretrained network buy: labels, ranking and test accuracy at five kinds of noise,
against cleanlab.

    python -m benchmarks.pretrained CIFAR --images 1000 --seeds 0 1 2   appends to results/pretrained.jsonl
    python -m benchmarks.pretrained --page                              writes results/pretrained.md

CIFAR: the folder cifar-10-batches-py. Every row but cleanlab's is a run of this program; its command stands in the
page. Features are kept in a folder beside the results of the runs (--cache). Needs cleanlab and scikit-learn
(requirements-test.txt).
"""
import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np

from core import quality
from core.batches import unaugmented
from core.data.source import open_source
from core.files import save_text
from core.run import commands, options, run
from core.run.inputs import given_labels, read_data
from core.run.seen import with_features
from core.run.task import shown_by

NOISES = {"an-40": "--noise asymmetric --rate 0.4", "an-10": "--noise asymmetric --rate 0.1",
          "sn-50": "--noise symmetric --rate 0.5", "sn-10": "--noise symmetric --rate 0.1",
          "none": "--noise symmetric --rate 0"}
METHODS = {"hidden layer, 5 folds, posterior": "--net head", "linear, 5 folds, posterior": "--net linear",
           "hidden layer, as in the paper": "--net head --folds 0", "linear, as in the paper": "--net linear --folds 0",
           "hidden layer, mirrored images too": "--net head --augment flip"}
USUAL = [name for name in METHODS if "mirrored" not in name]
REGULARISATIONS = (1e-4, 1e-3, 1e-2)            # scikit-learn's C, on standardised features
FOLDS = 5
RESULTS = "benchmarks/results/pretrained"
COLUMNS = {"all": "all taken", "number": "taken at 0.9", "right": "right", "sure": "labels after", "auroc": "AUROC",
           "ap": "AP", "error": "calibration error", "estimate": "estimated wrong", "test": "test", "seconds": "s"}


def words(cifar, N, seed, noise, method, cache):
    """The command line of one run."""
    return [*f"run --data {cifar} --subset {N} --seed {seed} --backbone efficientnet-lite0".split(),
            *NOISES[noise].split(), *METHODS[method].split(), "--cache", str(cache)]


def by_run(line):
    """(probabilities, suggested, corrected, given labels, truth, seconds, test accuracy) of a run of this program."""
    config = options.configuration(commands.parse(line))._replace(out=None)
    result = run(config)
    seconds = sum(record.seconds for record in result.records)
    verdict = result.verdict
    return (verdict.probs, verdict.suggested, verdict.corrected, result.given, result.truth, seconds,
            result.summary["retrain"]["test"])


def measured(q, suggested, corrected, given, truth, seconds, test):
    """One row: what the probabilities q (N, C), suggestions and corrections are good for, as fractions."""
    wrong, taken = given != truth, corrected != given
    found = quality.detection(wrong, suggested != given, quality.self_confidence(q, given))
    return {"given": float((~wrong).mean()), "all": float((suggested == truth).mean()), "number": int(taken.sum()),
            "right": float((corrected == truth)[taken].mean()) if taken.any() else None,
            "sure": float((corrected == truth).mean()), "auroc": found.auroc, "ap": found.average_precision,
            "error": calibration_error(quality.self_confidence(q, suggested), suggested == truth),
            "estimate": float(1 - quality.self_confidence(q, given).mean()), "test": test, "seconds": seconds}


def calibration_error(sure, right, bins=15):
    """Mean distance between how sure the suggestions are and how many are right, over bins of equal width."""
    place = np.minimum((sure * bins).astype(int), bins - 1)
    sums = np.abs(np.bincount(place, sure, bins) - np.bincount(place, right, bins))
    return float(sums.sum() / len(sure))


def by_cleanlab(line):
    """cleanlab on cross-validated logistic regression: of the regularisations the one with the best ranking."""
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    config = options.configuration(commands.parse(line))
    source = open_source(config.data)
    reading = read_data(config, source)
    given = given_labels(config, reading.data)
    data = with_features(config, reading).data
    shown, truth, rows = shown_by(data), data.train.truth, []
    z, z_test = (unaugmented(shown(split), slice(None)) for split in (data.train, data.test))
    for C in REGULARISATIONS:
        start, model = time.perf_counter(), LogisticRegression(C=C, max_iter=300)
        P = cross_val_predict(model, z, given, cv=FOLDS, method="predict_proba").astype(np.float64)
        kept = ~find_label_issues(given, P, n_jobs=1)
        accuracy = float((model.fit(z[kept], given[kept]).predict(z_test) == data.test.labels).mean())
        suggested = P.argmax(axis=1)
        rows.append((P, suggested, quality.corrected(given, suggested, P, 0.9), given, truth,
                     time.perf_counter() - start, accuracy))
    wrong = given != truth
    return max(rows, key=lambda row: quality.average_precision(wrong, quality.self_confidence(row[0], given))
               if wrong.any() else 0)


def setting(cifar, noise, N, seed, methods, cache):
    """All rows of one kind of noise, number of images and seed."""
    for method in methods:
        if method == "cleanlab":
            found = by_cleanlab(words(cifar, N, seed, noise, USUAL[0], cache))
        else:
            found = by_run(words(cifar, N, seed, noise, method, cache))
        yield {"noise": noise, "images": N, "seed": seed, "method": method, **measured(*found)}


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
    lines = ["# Heads on pretrained features", "", "Every row but cleanlab's is a run:", "",
             "    python demo.py " + " ".join(words("CIFAR", "N", "S", "an-40", USUAL[0], "CACHE")), "",
             "    " + "\n    ".join(f"{name:34}{options}" for name, options in {**NOISES, **METHODS}.items()), "",
             "Percent, means over the seeds. given: correct labels before; all taken: after all suggestions; "
             "taken at 0.9: number of",
             "corrections at a probability of at least 0.9, how many are right, "
             "the correct labels after them; AP: average precision",
             "of the ranking by the probability of the given label; estimated wrong: of all labels; test: after "
             "step 2; s:",
             "seconds of all trainings, without features, beside other work. cleanlab: on logistic regression of the "
             "same features,",
             "its regularisation with the best ranking, chosen by the truth."]
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
    arguments.add_argument("cifar", nargs="?")
    arguments.add_argument("--images", type=int, default=10000)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--noise", nargs="+", default=list(NOISES), choices=NOISES)
    arguments.add_argument("--methods", nargs="+", default=["cleanlab", *USUAL], choices=["cleanlab", *METHODS])
    arguments.add_argument("--cache", default="runs/features", help="folder for the features")
    arguments.add_argument("--page", action="store_true")
    args = arguments.parse_args()
    for seed in args.seeds if args.cifar else ():
        for noise in args.noise:
            with warnings.catch_warnings(), open(f"{RESULTS}.jsonl", "a", encoding="utf-8") as log:
                warnings.simplefilter("ignore")                # scikit-learn's on convergence, cleanlab's dependencies'
                for row in setting(args.cifar, noise, args.images, seed, args.methods, args.cache):
                    print(*row.values(), flush=True)
                    log.write(json.dumps(row) + "\n")
                    log.flush()
    if args.page:
        rows = list(map(json.loads, Path(f"{RESULTS}.jsonl").read_text(encoding="utf-8").splitlines()))
        save_text(f"{RESULTS}.md", page(rows))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
