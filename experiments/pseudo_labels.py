"""The labels of PL-CIFAR: k-means++ on features of a pretrained network.

    python -m experiments.pseudo_labels PATH                       of CIFAR-10; writes pl-labels.npy for `reproduce`
    python -m experiments.pseudo_labels PATH --images 10000        tries it on the first 10,000 images, writes no labels
    python -m experiments.pseudo_labels PATH --run RUN             features of the network of a run
    python -m experiments.pseudo_labels --features FILE.npz        the same for features (N, D) that are there

--keep notes how many labels are correct in docs/runs, for docs/results.md.

The paper takes pool5 of a ResNet-50 and does not say how a cluster gets the name of a class. Here the features are
those of EfficientNet-Lite0 (core/data/backbone.py), standardised; every class names one cluster, by the assignment that
makes most labels right. Naming looks at the true labels of all images, training does not. The labels by majority, with
which a class may name several clusters and another none, are counted for comparison. The network of a run has seen the
labels that it was trained on: for this experiment its images have to be others.
"""
import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from core.batches import Images, unaugmented
from core.data import backbone
from core.data.cifar10 import gather, read_batches
from core.data.label_files import in_range
from core.errors import InputError, need
from core.features import mean_and_std
from core.files import save_array, save_text
from core.parallel.processors import available_processors
from core.report.manifest import checked
from core.report.numbers import counted
from experiments.catalogue import LABELS
from nets import safetensors_file
from nets.families import on_processors

CLASSES, STARTS = 10, 10
KEPT = Path(__file__).parents[1] / "docs" / "runs" / "pl-labels.jsonl"


class Named(NamedTuple):
    """Clusters under the names of classes."""
    labels: np.ndarray                 # (N,) by the best assignment
    correct: float                     # fraction of them that is true
    majority: float                    # the same for names by majority
    unnamed: int                       # classes that name no cluster by majority


def clusters(features, seed=0, starts=STARTS):
    """The cluster (N,) of each row of features (N, D), standardised: the best of several k-means++ starts.

    Raises InputError for fewer rows than clusters, and without scikit-learn.
    """
    need(len(features) >= CLASSES, f"{counted(len(features), 'image')}: {CLASSES} clusters need at least as many")
    try:
        from sklearn.cluster import KMeans  # imported where needed: only this experiment needs it
    except ModuleNotFoundError:
        raise InputError("k-means++ is scikit-learn's: pip install scikit-learn") from None

    mean, std = mean_and_std(features[:, None])
    found = KMeans(CLASSES, init="k-means++", n_init=starts, random_state=seed).fit((features - mean) / std)
    return found.labels_.astype(np.int64)


def named(cluster, truth, classes=CLASSES):
    """The clusters (N,), Named by the true labels (N,); as many clusters as classes."""
    from scipy.optimize import linear_sum_assignment  # comes with scikit-learn

    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (cluster, truth), 1)
    rows, name = linear_sum_assignment(-counts)
    majority = counts.max(axis=1).sum() / len(truth)
    return Named(name[cluster], float(counts[rows, name].sum() / len(truth)), float(majority),
                 classes - len(set(counts.argmax(axis=1))))


def features_in(path, n=None):
    """(features (N, D), true labels (N,)) of a file with arrays train and labels, the first n. Raises InputError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            features, truth = file["train"], file["labels"]
    except (OSError, ValueError, TypeError, AttributeError, KeyError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as .npz with arrays train and labels ({error})") from None
    need(features.ndim == 2 and features.dtype.kind == "f", f"{path}: train has to be float, of shape (N, D)")
    need(truth.shape == features.shape[:1] and truth.dtype.kind in "iu",
         f"{path}: labels has to hold a whole number for each of the {counted(len(features), 'row')} of train")
    return features[:n], in_range(truth, range(CLASSES), path)[:n]


def training_images(path, n=None):
    """(images (n, 32, 32, 3) uint8, true labels (n,)) of CIFAR-10's training files, in order. Raises InputError."""
    planes, labels, _ = read_batches(path)
    truth = np.concatenate(labels[:-1])[:n]
    return gather(planes[:-1], np.arange(len(truth))), truth


def features_of_run(run, images, batch=500):
    """Features (N, D) of images (N, S, S, 3) uint8: what the network of a run folder hands to its linear layer.

    With the identity as that layer they are its logits. Raises InputError.
    """
    network = safetensors_file.load(checked(Path(run), "model.safetensors"))
    D = len(network.theta["linear.w"])
    theta = {**network.theta, "linear.w": np.eye(D, dtype=np.float32), "linear.b": np.zeros(D, np.float32)}
    arch, shown = network.arch._replace(classes=D), Images(images, network.mean, 0, False)
    net = on_processors(arch)
    return np.concatenate([net.predict(theta, network.running, unaugmented(shown, slice(k, k + batch)), arch)
                           for k in range(0, len(images), batch)])


def features_of(images, args):
    """(features (N, D) by the network that was chosen, which it is). Raises InputError."""
    if args.run:
        return features_of_run(args.run, images), f"the network of {Path(args.run).resolve().name}"
    found = backbone.features(images, args.size, jobs=available_processors(), store=args.store)
    return found.views[0], f"EfficientNet-Lite0, {args.size} pixels"


def told(found, images):
    """What to know about the labels, in a line."""
    return (f"{images} images: {100 * found.correct:.1f} % of the labels correct (named by majority: "
            f"{100 * found.majority:.1f} %, with {found.unnamed} classes that name no cluster)")


def keep(found, images, seed, features, path=KEPT):
    """Note the result in the place of an earlier one of so many images, that seed and those features, in words."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    notes = {(note["images"], note["seed"], note["features"]): note for note in map(json.loads, lines)}
    notes[images, seed, features] = {"images": images, "seed": seed, "features": features,
                                     "correct": round(found.correct, 5), "majority": round(found.majority, 5),
                                     "unnamed": found.unnamed}
    save_text(path, "".join(json.dumps(notes[key]) + "\n" for key in sorted(notes)))


def main(argv=None):
    """Features, clusters, names; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="CIFAR-10: the folder cifar-10-batches-py, or the .tar.gz")
    parser.add_argument("--features", help="file with arrays train (N, D) and labels (N,)")
    parser.add_argument("--run", help="folder of a run, whose network makes the features")
    parser.add_argument("--images", type=int, help="only the first so many images; no labels are written")
    parser.add_argument("--size", type=int, default=128, help="side of what the network sees, pixels. Default: 128")
    parser.add_argument("--store", help="folder that keeps the features. Default: they are not kept")
    parser.add_argument("--seed", type=int, default=0, help="of k-means++. Default: 0")
    parser.add_argument("--out", default=LABELS, help=f"Default: {LABELS}")
    parser.add_argument("--keep", action="store_true", help="note the result in docs/runs")
    args = parser.parse_args(argv)
    if bool(args.data) == bool(args.features):
        parser.error("give the path of CIFAR-10, or --features FILE")
    if args.features and args.run:
        parser.error("--features and --run: choose one")
    if args.images is not None and args.images < CLASSES:
        parser.error(f"--images {args.images}: {CLASSES} clusters need at least as many")
    try:
        if args.features:
            (features, truth), source = features_in(args.features, args.images), "from a file"
        else:
            images, truth = training_images(args.data, args.images)
            features, source = features_of(images, args)
        found = named(clusters(features, args.seed), truth)
        print(told(found, len(truth)))
        if args.keep:
            keep(found, len(truth), args.seed, source)
        if args.data and args.images is None:
            save_array(args.out, found.labels)
            print(f"labels: {args.out}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
