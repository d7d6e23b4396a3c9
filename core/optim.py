"""Stochastic gradient descent with momentum, on one flat buffer.

All parameters lie behind one another in one array, and so do the gradients and the velocities: a
step is then a handful of array operations instead of as many for each of 99 tensors (on a GPU every
one is a launch), and a checkpoint a handful of arrays.
"""
from core.backend import xp_of


class Flat:
    """One buffer, and named views into it, in the order of the dictionary.

    Buffer and views share memory. `empty`: the buffer if there are no arrays.
    """

    def __init__(self, arrays, empty=None):
        self.buffer = flatten(arrays.values()) if arrays else empty
        self.views, start = {}, 0
        for name, array in arrays.items():
            self.views[name] = self.buffer[start:start + array.size].reshape(array.shape)
            start += array.size

    def gather(self, arrays):
        """The arrays of that name, behind one another in the order of the views:
        a new buffer for this one's partner.

        One copy for each, since to concatenate more than eight arrays CuPy sends a table of their
        addresses to the device.
        """
        buffer, start = xp_of(self.buffer).empty_like(self.buffer), 0
        for name, view in self.views.items():
            buffer[start:start + view.size].reshape(view.shape)[...] = arrays[name]
            start += view.size
        return buffer


def flatten(arrays):
    """The arrays behind one another, each in C order, as one new 1-D array."""
    flat = [array.reshape(-1) for array in arrays]
    return xp_of(flat[0]).concatenate(flat)


def sgd_step(theta, velocity, gradient, lr, momentum, decay):
    """v <- momentum v - lr (g + decay theta);  theta <- theta + v

    theta, velocity, gradient: flat buffers of one size; the first two are changed in place, the
    gradient is used up. Weight decay acts on every parameter, gamma, beta and the bias included.
    The learning rate is inside the velocity (Chainer's form): after it drops, the larger steps of
    before linger for some iterations.  Source: the official code, Chainer 4.
    """
    gradient += decay * theta
    gradient *= lr
    velocity *= momentum
    velocity -= gradient
    theta += velocity


def update_running(running, moments, rate=0.1):
    """running <- (1 - rate) running + rate moments;  flat buffers, the first changed in place.
    Chainer's decay 0.9: rate 0.1."""
    running *= 1 - rate
    running += rate * moments


def step_schedule(lr, drops, epoch):
    """lr, divided by ten for every epoch number in `drops` that has been completed;
    epoch counts from 1."""
    return lr * 0.1 ** sum(epoch > drop for drop in drops)
