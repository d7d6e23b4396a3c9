"""How well are wrong labels found? The list of a run against what else one could do with the same network and images.

    python demo.py --data photos --truth truth.csv --size 16 --net small --out runs/photos
    python -m benchmarks.detection runs/photos                      needs cleanlab (requirements-test.txt)

Compared by their ranking of the given labels, on the images and settings of the run: its own list; the loss of plain
cross-entropy training, in the last epoch and as the mean over all;
cleanlab on cross-validated probabilities of plain cross-entropy training.
"""
import argparse
import json
import os
import platform
import time
from datetime import date
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues

from core import quality, train
from core.files import save_text
from core.labels import SoftLabels, one_hot
from core.model import fresh_model
from core.parallel.launch import launch
from core.recipes import baseline
from core.run import folds
from core.run.inputs import given_labels, read_data
from core.run.resume import stored
from core.run.task import as_task
from nets.families import architecture
from nets.preact_resnet_fast import FastNet


def plain_training(config, data, epochs, comm):
    """(model, losses (epochs, N) of the given labels in the training pass) of cross-entropy training with the step-2
    optimiser."""
    recipe = baseline(config.recipe)
    recipe = recipe._replace(epochs2=epochs, drops2=(epochs // 3, 2 * epochs // 3))
    given, classes = given_labels(config, data), len(data.classes)
    model = fresh_model(FastNet(comm), architecture(config.net, classes), np.random.default_rng(config.seed), np,
                              comm)
    labels, losses = SoftLabels(one_hot(given, classes), 1), []
    for _ in train.retrain(model, as_task(data, config.seed, np), labels, recipe):
        losses.append(-np.log(np.maximum(labels.ring[0][np.arange(len(given)), given], 1e-30)))
    return model, np.stack(losses)


def row(name, wrong, flagged, score, seconds):
    """One line of the table; score: low is suspicious; flagged: where a label is called wrong, or None."""
    found = quality.detection(wrong, np.zeros_like(wrong) if flagged is None else flagged, score)
    cells = ["-", "-"] if flagged is None else [f"{100 * found.precision:.1f} %", f"{100 * found.recall:.1f} %"]
    return [name, *cells, f"{found.auroc:.3f}", f"{found.average_precision:.3f}", f"{seconds:.0f} s"]


def main():
    """Train what is compared with, print the table, and write it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run")
    arguments.add_argument("--folds", type=int, default=5)
    arguments.add_argument("--out", default="benchmarks/results/detection.md")
    args = arguments.parse_args()
    config = stored(args.run)._replace(noise="none", rate=None)
    data = read_data(config).data
    given = np.load(f"{args.run}/given_labels.npy")
    wrong, P = given != data.train.truth, np.load(f"{args.run}/pred_probs.npy")
    suggested = np.load(f"{args.run}/suggested_labels.npy")
    sure = np.load(f"{args.run}/corrected_labels.npy") != given
    log = map(json.loads, Path(args.run, "log.jsonl").read_text().splitlines())
    seconds = sum(record["seconds"] for record in log if (record["step"], record["fold"]) == ("joint", None))
    score = quality.self_confidence(P, given)
    rows = [row("this program, all suggestions", wrong, suggested != given, score, seconds),
            row(f"this program, corrected (at least {config.sure:g} sure)", wrong, sure, score, seconds)]

    def compared(comm):
        start = time.perf_counter()
        _, losses = plain_training(config, data, baseline(config.recipe).epochs2, comm)
        plain = time.perf_counter() - start
        found = [row("plain training: loss in the last epoch", wrong, None, -losses[-1], plain),
                 row("plain training: mean loss of all epochs", wrong, None, -losses.mean(axis=0), plain)]
        for epochs in (config.recipe.epochs // 4, config.recipe.epochs):
            start = time.perf_counter()
            out = folds.out_of_sample(data, given, args.folds, config.seed,
                                      lambda part, labels, fold: plain_training(config, part, epochs, comm)[0])
            flagged = find_label_issues(given, out.astype(np.float64))
            found.append(row(f"cleanlab, {args.folds} folds of {epochs} epochs", wrong, flagged,
                             quality.self_confidence(out, given), time.perf_counter() - start))
        return found

    rows += launch(compared, config.ranks)
    head = ["method", "precision", "recall", "AUROC", "average precision", "training"]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])
    print(table)
    save_text(args.out, f"# Wrong labels found\n\n{len(given)} images of {data.name} in {len(data.classes)} classes, "
              f"{100 * wrong.mean():.1f} % of the labels wrong; network `{config.net}`, "
              f"{data.train.images.shape[1]} pixels.\n"
              f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, "
              f"NumPy {np.__version__}, {date.today()}; `python -m benchmarks.detection RUN`\n\n{table}\n")


if __name__ == "__main__":
    main()
