"""Algorithm 1 of the paper, and the retraining on the labels that it found.

Both are generators that yield a Record after every epoch. Printing, drawing and saving is their caller's business.

If the training is shared by several ranks (core/parallel/ranks.py), each takes its part of every batch through the network; logits and
gradients are put together, and everything else is done by all ranks alike. With one rank, `mine` is the whole batch.
"""
import math
import time
from functools import partial
from typing import NamedTuple

from core.backend import to_device, xp_of
from core.batches import augmented, batches, plain
from core.errors import InputError
from core.finite import all_finite, first_not_finite
from core.labels import hard_update, hard_update_top, prior, soft_update
from core.objective import objective_backward, objective_forward, softmax
from core.optim import Flat, sgd_step, step_schedule, update_running
from core.parallel.ranks import Serial, gathered, part_of


class Model(NamedTuple):
    """A network and all that training changes in it."""
    net: object                        # the functions init, forward, backward, moments, predict: nets/preact_resnet.py
    arch: object
    theta: Flat                        # parameters
    running: Flat                      # running means and variances of batch normalisation
    velocity: object                   # of theta's buffer
    comm: object = Serial()            # the ranks that share the training

    def buffers(self):
        """All that training changes, as flat arrays."""
        return self.theta.buffer, self.running.buffer, self.velocity


class NotFinite(InputError):
    """The loss or a parameter has become infinite or nan."""


class Task(NamedTuple):
    """What both steps are given. Arrays on the device of the model."""
    train: object                      # Images
    validation: tuple                  # (Images, labels (N,))
    test: tuple                        # (Images, labels (N,))
    truth: object                      # (N,) true labels of the training images, or None
    seed: int


class Record(NamedTuple):
    """One epoch. Accuracies are fractions; `accuracy` is against the labels in use during the epoch, the others after it."""
    step: str
    epoch: int                         # from 1
    lr: float
    loss: float                        # L = L_c + alpha L_p + beta L_e, mean over the epoch's batches
    L_c: float
    L_p: float
    L_e: float
    accuracy: float
    validation: float                  # nan where there are no such images
    test: float
    recovery: float                    # fraction of the labels whose argmax is the true class; nan where the truth is unknown
    changed: int                       # labels whose argmax the update changed
    seconds: float                     # with the passes over validation and test images


def fresh_model(net, arch, rng, xp, comm=Serial()):
    """A model with new weights on the device of xp."""
    theta, running = (Flat({name: to_device(a, xp) for name, a in arrays.items()}) for arrays in net.init(arch, rng))
    return Model(net, arch, theta, running, xp.zeros_like(theta.buffer), comm)


def joint_optimization(model, task, labels, recipe, done=0):
    """Step 1, the paper's Algorithm 1: in every epoch first theta by SGD on L with Y fixed, then Y with theta fixed.

    done: the epochs that were completed before, if model and labels are those of a training that goes on.
    """
    p = prior(recipe.prior, labels.given)
    update = label_update(recipe.update)
    for epoch in range(done, recipe.epochs):
        start = time.perf_counter()
        means = train_epoch(model, task, labels, p, recipe.alpha, recipe.beta, recipe.lr, recipe, epoch)
        # DEVIATION 4: the text allows this reading, the official code takes the training pass (docs/paper.md)
        if recipe.predict == "evaluation":
            labels.record(xp_of(labels.Y).arange(len(labels.Y)), predictions(model, task.train))
        changed = labels.end_epoch(update if epoch + 1 >= recipe.begin else None)
        yield record("joint", epoch, recipe.lr, means, model, task, labels, changed, start)


def retrain(model, task, labels, recipe, step="retrain", done=0):
    """Step 2: ordinary supervised training of a fresh model on the labels, which stay as they are.

    The same loop with alpha = beta = 0: on given labels it is the plain cross-entropy training that the paper compares with.
    """
    p = prior("uniform", labels.Y)
    for epoch in range(done, recipe.epochs2):
        start = time.perf_counter()
        lr = step_schedule(recipe.lr2, recipe.drops2, epoch + 1)
        means = train_epoch(model, task, labels, p, 0, 0, lr, recipe, epoch)
        changed = labels.end_epoch()
        yield record(step, epoch, lr, means, model, task, labels, changed, start)


def train_epoch(model, task, labels, p, alpha, beta, lr, recipe, epoch):
    """One pass over the images, theta <- SGD(theta) on L, Y fixed. Returns the means of L, L_c, L_p, L_e and of the accuracy."""
    if hasattr(model.net, "train_epoch"):                           # of its own: nets/preact_resnet_gpu.py
        return model.net.train_epoch(model, task, labels, p, alpha, beta, lr, recipe, epoch)
    begun = [buffer.copy() for buffer in model.buffers()]
    sums, number = xp_of(begun[0]).zeros(5), 0                      # read at the end only: no waiting for the device
    steps = partial(train_steps, model, task, labels, p, alpha, beta, lr, recipe, epoch)
    for values in steps():
        sums += values
        number += 1
    *means, finite = read_out(*(sums / number), all_finite(sums, *model.buffers()))
    if not finite:
        step, what = first_not_finite(model, begun, steps()) or (None, None)
        raise NotFinite(f"the loss is no longer finite in epoch {epoch + 1} (learning rate {lr})" + (
            f", first {what} in batch {step} of {number}: begin again with a smaller --lr" if step else
            ", but it is when the epoch is computed again: memory or processor make errors, resume the run on another machine"))
    return means


def train_steps(model, task, labels, p, alpha, beta, lr, recipe, epoch):
    """The training steps of one epoch: yields L, L_c, L_p, L_e and the accuracy on the batch after each."""
    net, arch, theta, running, velocity, comm = model
    xp = xp_of(theta.buffer)
    # DEVIATION 14: fewer images than a batch are one batch (docs/paper.md)
    for i, n in batches(len(labels.Y), min(recipe.batch, len(labels.Y)), task.seed, epoch, xp):
        y, mine = labels.Y[i], part_of(comm, len(i))
        z, cache = net.forward(theta.views, augmented(task.train, i[mine], task.seed, epoch), arch)
        z = gathered(comm, z, len(i))
        L, cache_L = objective_forward(z, y, p, alpha, beta)
        dz = objective_backward(1, cache_L)
        gradient = theta.gather(net.backward(dz[mine], cache))
        comm.allreduce(gradient)
        sgd_step(theta.buffer, velocity, gradient, lr, recipe.momentum, recipe.decay)
        update_running(running.buffer, running.gather(net.moments(cache)))
        labels.record(i, softmax(z), n)
        del cache, cache_L                                          # the largest arrays, before the next batch makes its own
        yield xp.stack([*L, (z.argmax(axis=1) == y.argmax(axis=1)).mean()])


def label_update(name):
    """The update Y <- f(Y, s) that a recipe names: soft, hard or hard-<k>."""
    if name.startswith("hard-"):
        return partial(hard_update_top, k=int(name[5:]))
    return {"soft": soft_update, "hard": hard_update}[name]


# ---- measuring -----------------------------------------------------------------------------------------------------

def predictions(model, images, batch=500):
    """s (N, C) of the images as they are, in inference mode; every rank takes a part."""
    N = len(images.pixels)
    mine = part_of(model.comm, N)
    theta, running = model.theta.views, model.running.views
    z = xp_of(model.theta.buffer).empty((N, model.arch.classes), model.theta.buffer.dtype)
    for k in range(mine.start, mine.stop, batch):
        rows = slice(k, min(k + batch, mine.stop))
        z[rows] = model.net.predict(theta, running, plain(images, rows), model.arch)
    return softmax(gathered(model.comm, z[mine], N))


def accuracy(model, images, labels):
    """Fraction of the images (Images) whose most probable class is their label (N,); nan where there are no images."""
    return not_known(labels) if len(labels) == 0 else (predictions(model, images).argmax(axis=1) == labels).mean()


def recovery(labels, truth):
    """Fraction of the labels in use whose class is the true one, of those whose truth is known (not -1); nan if none is."""
    return not_known(labels.Y) if truth is None else (labels.Y.argmax(axis=1) == truth).sum() / (truth >= 0).sum()


def not_known(x):
    """nan, on the device of x."""
    return xp_of(x).full((), math.nan)


def read_out(*values):
    """The numbers, arrays without axes, as floats: one transfer from the device, and one wait for it."""
    return xp_of(values[0]).stack(values).tolist()


# DEVIATION 12: the official code tests the last model only (docs/paper.md)
def record(step, epoch, lr, means, model, task, labels, changed, start):
    """The Record of the epoch that has just ended."""
    *fractions, changed = read_out(accuracy(model, *task.validation), accuracy(model, *task.test), recovery(labels, task.truth),
                                   changed)
    return Record(step, epoch + 1, lr, *means, *fractions, int(changed), time.perf_counter() - start)
