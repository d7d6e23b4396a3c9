"""Means of an epoch, checked: the first mini-batch and layer that are not finite are named."""
from functools import partial, wraps

from core.backend import read_out, xp_of
from core.errors import NotFinite


def epoch_means(iterations):
    """Decorator of a generator that trains one epoch and yields the terms of each mini-batch.

    Makes it a function that returns the means of the terms as floats. Raises NotFinite when terms
    or model are not finite at the end of the epoch.
    """
    @wraps(iterations)
    def means_of(model, task, labels, objective, lr, recipe, epoch):
        begun = [buffer.copy() for buffer in model.buffers()]
        iterate = partial(iterations, model, task, labels, objective, lr, recipe, epoch)
        sums = number = 0              # read at the end only: no waiting for the device
        for terms in iterate():
            sums = sums + terms
            number += 1
        *means, finite = read_out(*(sums / number), all_finite(sums, *model.buffers()))
        if not finite:
            batch, what = first_not_finite(model, begun, iterate()) or (None, None)
            raise NotFinite(
                f"the loss is no longer finite in epoch {epoch + 1} (learning rate {lr})" + (
                    f", first {what} in batch {batch} of {number}: start again with a smaller --lr"
                    if batch else ", but it is when the epoch is computed again: memory or "
                    "processor make errors, resume the run on another machine"))
        return means
    return means_of


def first_not_finite(model, begun, iterations):
    """(mini-batch from 1, name) of the first quantity that is not finite.

    begun: model.buffers() at the start of the epoch, all finite; iterations: those of the epoch, a
    generator that trains as it goes. None if all stays finite this time: then the arithmetic is not
    the reason. Layers are looked at in the order in which they are computed.
    """
    for buffer, array in zip(model.buffers(), begun):
        buffer[...] = array
    for batch, terms in enumerate(iterations, start=1):
        inputs = ((f"the input of {name.rpartition('.')[0]}", array)                # forward
                  for name, array in model.running.views.items())
        gradients = ((f"the gradient of {name}", array)                             # backward
                     for name, array in reversed(model.theta.views.items()))
        for what, array in (*inputs, ("the logits", terms), *gradients):
            if not all_finite(array):
                return batch, what


def all_finite(*arrays):
    """Whether no array holds an infinity or a nan; stays on their device."""
    xp = xp_of(arrays[0])
    return xp.stack([xp.isfinite(array).all() for array in arrays]).all()
