"""Out-of-sample probabilities: the images are dealt into folds, and each fold is classified by a network that never saw it.

Such a network is that of the whole method, both steps, on the images of all other folds: their labels, their mean image. Five folds
take about 5 * 4/5 = 4 times as long as the run without folds, on top of it.

N training images, C classes.
"""
import numpy as np

from core.backend import to_host, xp_of
from core.batches import Images, mean_image
from core.data import stratified
from core.errors import need
from core.measure import predictions


def check(folds, N):
    """InputError for a number of folds into which N images cannot be dealt."""
    need(2 <= folds <= N, f"--folds {folds}: choose 2 to {N}, the number of images, for example 5")


def dealt(given, folds, classes, seed):
    """`folds` sorted arrays of rows, each row in one of them; their sizes differ by one at most, each has its share of every label."""
    N = len(given)
    check(folds, N)
    return stratified(given, [N // folds + (k < N % folds) for k in range(folds)], classes, np.random.default_rng([seed, *b"folds"]))


def without(data, rows):
    """The DataSet without these training images, and with no others to measure on."""
    nothing = data.train.take(slice(0))
    rest = np.setdiff1d(np.arange(len(data.train.labels)), rows)
    return data._replace(train=data.train.take(rest), validation=nothing, test=nothing), rest


def out_of_sample(data, given, folds, seed, learn):
    """P (N, C) float32: the probabilities of every training image by a network that never saw it. Raises InputError for a number that cannot be.

    learn(data, given, fold) trains by the whole method on a DataSet and its given labels and returns the Model; fold: 1 .. folds.
    """
    P = np.empty((len(given), len(data.classes)), np.float32)
    for fold, rows in enumerate(dealt(given, folds, len(data.classes), seed), start=1):
        others, rest = without(data, rows)
        model = learn(others, given[rest], fold)
        images = Images(data.train.images[rows], mean_image(others.train.images), 0, False).on(xp_of(model.theta.buffer))
        P[rows] = to_host(predictions(model, images))
        del others, images                                   # before the next fold takes its own
    return P
