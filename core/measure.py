"""What is measured while a model learns: an Epoch after every pass over the images.

N images, C classes. Losses are in nats, accuracies are fractions. A value that nobody can know is nan.
"""
import math
import time
from functools import wraps
from typing import NamedTuple

from core.backend import read_out, xp_of
from core.batches import unaugmented
from core.objective import softmax
from core.parallel.ranks import gathered, part_of


class Epoch(NamedTuple):
    """One epoch. `accuracy` is against the labels in use during the epoch, the others are taken after it."""
    step: str                          # joint, retrain, or cross-entropy for the baseline
    fold: int                          # 1, 2, ...; None outside of folds
    epoch: int                         # from 1
    lr: float
    loss: float                        # L = L_c + alpha L_p + beta L_e, mean over the epoch's mini-batches
    L_c: float
    L_p: float
    L_e: float
    accuracy: float
    validation: float
    test: float
    recovery: float                    # fraction of the labels whose argmax is the true class, of those whose truth is known
    changed: int                       # labels whose argmax the update changed
    seconds: float                     # with the passes over validation and test images


def training_name(step, fold=None):
    """joint, or fold2.joint within a fold"""
    return step if fold is None else f"fold{fold}.{step}"


def of_training(records, step, fold=None):
    """The Epochs of one training."""
    return [record for record in records if (record.step, record.fold) == (step, fold)]


def terms(L, z, y):
    """(5,): L, L_c, L_p, L_e and the accuracy of the logits z (B, C) against the labels y (B, C), on their device."""
    return xp_of(z).stack([*L, (z.argmax(axis=1) == y.argmax(axis=1)).mean()])


def predictions(model, images, batch=500):
    """s (N, C) of the images as they are, in inference mode; every rank takes a part."""
    mine = part_of(model.comm, len(images.pixels))
    z = xp_of(model.theta.buffer).empty((mine.stop - mine.start, model.arch.classes), model.theta.buffer.dtype)
    for k in range(0, len(z), batch):
        rows = slice(mine.start + k, min(mine.start + k + batch, mine.stop))
        z[k:k + batch] = model.predict(unaugmented(images, rows))
    return softmax(gathered(model.comm, z))


def accuracy(model, images, labels):
    """Fraction of the images (Images) whose most probable class is their label (N,); nan where there are no images."""
    return unknown(labels) if len(labels) == 0 else (predictions(model, images).argmax(axis=1) == labels).mean()


def recovery(labels, truth):
    """Fraction of the labels in use whose class is the true one, of those whose truth is known (not -1); nan if none is."""
    return unknown(labels.Y) if truth is None else (labels.Y.argmax(axis=1) == truth).sum() / (truth >= 0).sum()


def unknown(x):
    """nan, on the device of x."""
    return xp_of(x).full((), math.nan)


# DEVIATION 12: the official code tests the last model only (docs/paper.md)
def measured(step, epoch, lr, means, model, task, labels, changed):
    """The Epoch that has just ended; `timed` fills in its seconds."""
    *fractions, changed = read_out(accuracy(model, *task.validation), accuracy(model, *task.test),
                                   recovery(labels, task.truth), changed)
    return Epoch(step, None, epoch + 1, lr, *means, *fractions, int(changed), math.nan)


def timed(training):
    """Decorator of a generator of Epochs: each gets the seconds that it took, without what the caller did in between."""
    @wraps(training)
    def with_seconds(*args, **kwargs):
        epochs = training(*args, **kwargs)
        while True:
            start = time.perf_counter()
            if (epoch := next(epochs, None)) is None:
                return
            yield epoch._replace(seconds=time.perf_counter() - start)
    return with_seconds
