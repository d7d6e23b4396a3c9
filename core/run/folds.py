"""Out-of-sample probabilities by K-fold cross-validation.

Each fold is classified by a network that was trained on all other folds: their labels and their mean image. Five folds
add about 5 * 4/5 = 4 times the training time of the run without folds.

N training images, C classes.
"""
import numpy as np

from core.backend import to_host, xp_of
from core.data import stratified
from core.data.duplicates import digests
from core.errors import need
from core.measure import predictions
from core.run.task import shown_by


def check(folds, N):
    """Raises InputError unless N images can be divided into that many folds."""
    need(2 <= folds <= N, f"--folds {folds}: choose 2 to {N}, the number of images, for example 5")


def dealt(given, folds, classes, seed):
    """A stratified partition of the rows into `folds` sorted arrays, whose sizes differ by one at most.

    Raises InputError for a number of folds that is out of range.
    """
    N = len(given)
    check(folds, N)
    sizes = [N // folds + (k < N % folds) for k in range(folds)]
    return stratified(given, sizes, classes, np.random.default_rng([seed, *b"folds"]))


def with_copies(parts, images):
    """The parts of a partition with every copy of an image in the part of the first one.

    A network that was trained on a copy has seen the image: it repeats the copy's label. If a part would be empty then,
    as where all images are alike, the parts stay as they are.
    """
    part_of, first = np.empty(len(images), int), {}
    for k, rows in enumerate(parts):
        part_of[rows] = k
    moved = part_of[[first.setdefault(key, row) for row, key in enumerate(digests(images))]]
    found = [np.flatnonzero(moved == k) for k in range(len(parts))]
    return found if all(map(len, found)) else parts


def without(data, rows):
    """(the DataSet without these training images and without validation and test images, the remaining rows)"""
    nothing = data.train.take(slice(0))
    rest = np.setdiff1d(np.arange(len(data.train.labels)), rows)
    return data._replace(train=data.train.take(rest), validation=nothing, test=nothing), rest


def out_of_sample(data, given, folds, seed, learn):
    """P (N, C) float32: class probabilities of every training image, from a network trained on neither it nor a copy.

    learn(data, given, fold) trains on a DataSet and its given labels and returns the Model; fold: 1 .. folds.
    Raises InputError for a number of folds that is out of range.
    """
    P = np.empty((len(given), len(data.classes)), np.float32)
    parts = with_copies(dealt(given, folds, len(data.classes), seed), data.train.images)
    for fold, rows in enumerate(parts, start=1):
        others, rest = without(data, rows)
        model = learn(others, given[rest], fold)
        held_out = shown_by(others)(data.train.take(rows)).on(xp_of(model.theta.buffer))
        P[rows] = to_host(predictions(model, held_out))
        del others, held_out                                 # free the memory before the next fold
    return P
