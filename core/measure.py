"""What is measured while a model learns: an Epoch after every pass over the images.

N images, C classes. Losses are in nats, accuracies are fractions. Unknown values are nan.
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
    """One epoch.

    The losses and `accuracy`, against the labels in use, are means over the mini-batches, while
    theta moves. `validation`, `test` and `recovery` are measured after the epoch.
    """
    step: str                          # joint, retrain, or cross-entropy for the baseline
    fold: int                          # 1, 2, ...; None outside of folds
    epoch: int                         # from 1
    lr: float
    loss: float                        # L = L_c + alpha L_p + beta L_e, mean over mini-batches
    L_c: float
    L_p: float
    L_e: float
    accuracy: float
    validation: float
    test: float
    recovery: float                    # fraction of known truths that are the argmax of the labels
    changed: int                       # labels whose argmax the update changed
    seconds: float                     # with the passes over validation and test images


def training_name(step, fold=None):
    """joint, or fold2.joint within a fold"""
    return step if fold is None else f"fold{fold}.{step}"


def of_training(records, step, fold=None):
    """The Epochs of one training."""
    return [record for record in records if (record.step, record.fold) == (step, fold)]


def terms(L, z, y):
    """L, its terms, and the accuracy of logits z (B, C) against labels y (B, C), as one array."""
    return xp_of(z).stack([*L, (z.argmax(axis=1) == y.argmax(axis=1)).mean()])


def predictions(model, images, batch=500):
    """s (N, C) of the images as they are, in inference mode; every rank takes a part."""
    mine = part_of(model.comm, len(images.pixels))
    shape, theta = (mine.stop - mine.start, model.arch.classes), model.theta.buffer
    z = xp_of(theta).empty(shape, theta.dtype)
    for k in range(0, len(z), batch):
        rows = slice(mine.start + k, min(mine.start + k + batch, mine.stop))
        z[k:k + batch] = model.predict(unaugmented(images, rows))
    return softmax(gathered(model.comm, z, len(images.pixels)))


def accuracy(model, images, labels):
    """Fraction of the images whose most probable class is their label (N,); nan without images."""
    if len(labels) == 0:
        return unknown(labels)
    return (predictions(model, images).argmax(axis=1) == labels).mean()


def recovery(labels, truth):
    """Fraction of the labels in use that are true, where the truth is known (not -1)."""
    if truth is None:
        return unknown(labels.Y)
    return (labels.Y.argmax(axis=1) == truth).sum() / (truth >= 0).sum()


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
    """Decorator of a generator of Epochs: fills in the seconds of each, without the caller's."""
    @wraps(training)
    def with_seconds(*args, **kwargs):
        epochs = training(*args, **kwargs)
        while True:
            start = time.perf_counter()
            if (epoch := next(epochs, None)) is None:
                return
            yield epoch._replace(seconds=time.perf_counter() - start)
    return with_seconds
