"""Finite numbers: an epoch's means are checked, and the first mini-batch that left them is found by training the epoch again."""
from functools import partial, wraps

from core.backend import read_out, xp_of
from core.errors import NotFinite


def epoch_means(iterations):
    """Decorator of a generator that trains one epoch and yields the terms of each mini-batch: a function that
    returns their means as floats.

    Raises NotFinite, naming mini-batch and layer, when the terms or the model are no longer finite at the epoch's end.
    """
    @wraps(iterations)
    def means_of(model, task, labels, objective, lr, recipe, epoch):
        begun = [buffer.copy() for buffer in model.buffers()]
        again = partial(iterations, model, task, labels, objective, lr, recipe, epoch)
        sums = number = 0                                    # read at the end only: no waiting for the device
        for terms in again():
            sums = sums + terms
            number += 1
        *means, finite = read_out(*(sums / number), all_finite(sums, *model.buffers()))
        if not finite:
            batch, what = first_not_finite(model, begun, again()) or (None, None)
            raise NotFinite(f"the loss is no longer finite in epoch {epoch + 1} (learning rate {lr})" + (
                f", first {what} in batch {batch} of {number}: begin again with a smaller --lr" if batch else
                ", but it is when the epoch is computed again: memory or processor make errors, go on by --resume on another "
                "machine"))
        return means
    return means_of


def first_not_finite(model, begun, iterations):
    """(batch, what): the mini-batch, from 1, after which something of the model was first not finite, and its name.

    begun: model.buffers() as they were at the start of the epoch, where all is finite; iterations: those of the epoch, as a
    generator that trains as it goes and yields the terms of the loss. None if all stays finite: then what was seen before was no
    result of the arithmetic. Layers are looked at in the order in which they are computed.
    """
    for buffer, array in zip(model.buffers(), begun):
        buffer[...] = array
    for batch, terms in enumerate(iterations, start=1):
        seen = [*((f"the input of {name.rpartition('.')[0]}", a) for name, a in model.running.views.items()),      # forward
                ("the logits", terms),
                *((f"the gradient of {name}", a) for name, a in reversed(model.theta.views.items()))]              # backward
        for what, array in seen:
            if not all_finite(array):
                return batch, what


def all_finite(*arrays):
    """Whether no array holds an infinity or a nan; stays on their device."""
    xp = xp_of(arrays[0])
    return xp.stack([xp.isfinite(array).all() for array in arrays]).all()
