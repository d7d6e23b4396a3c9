"""Where a training left the finite numbers: found by training the epoch once more, with a look at everything after every step."""
from core.backend import xp_of


def first_not_finite(model, begun, steps):
    """(step, what): the step, from 1, after which something of the model was no longer finite for the first time, and what it is.

    begun: model.buffers() as they were at the start of the epoch, where all is finite; steps: its training steps, as a generator
    that trains as it goes and yields the terms of the loss. None if all stays finite: then what was seen before was no result of
    the arithmetic. The layers of a step are looked at in the order in which they are computed.
    """
    for buffer, array in zip(model.buffers(), begun):
        buffer[...] = array
    for step, terms in enumerate(steps, start=1):
        seen = [*((f"the input of {name.rpartition('.')[0]}", a) for name, a in model.running.views.items()),      # forward
                ("the logits", terms),
                *((f"the gradient of {name}", a) for name, a in reversed(model.theta.views.items()))]              # backward
        for what, array in seen:
            if not all_finite(array):
                return step, what


def all_finite(*arrays):
    """Whether there is neither an infinity nor a nan in any of the arrays; stays on their device."""
    xp = xp_of(arrays[0])
    return xp.stack([xp.isfinite(array).all() for array in arrays]).all()
