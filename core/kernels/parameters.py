"""The memory layout of a network's parameters for the kernels: flat float32, operands, and gradient slots.

    theta, gradient (P,) float32           in the order of init, as in Flat
    weights         the convolutions in the program's number type, input channels padded to 16
    slots           float32; the partial sums of every parameter's gradient: (parts, *shape)
    table           for sgd.cu: the runs of contiguous parameters
    scale (1,) float32, fate (FATE,) int32         the loss scale, and the counters of skipped steps, listed in sgd.cu
"""
from math import prod
from typing import NamedTuple

import numpy as np

RUN = 512                 # parameters of a block
MANY, SHORT = 64, 32      # from MANY slots on a block has SHORT parameters and several threads per parameter: 512 slots
                          # take one thread 19 us (16 loads in flight, 0.6 us each) and eight threads 3 us, predicted
FATE = 5                  # counters of sgd.cu
BLOCK = 256               # threads of a block
PADDED = 16               # channels of the images after the padding of head_stem.cu


class Place(NamedTuple):
    """Shape and location of one parameter: the offsets of its first element in theta, weights and slots."""
    shape: tuple
    padded: tuple                      # its shape in weights and slots
    theta: int
    weights: int
    slots: int
    parts: int                         # number of slots of its gradient


class Parameters:
    """The buffers, and views of them by name."""

    def __init__(self, program, shapes, parts, scale):
        """shapes: {name: shape} in the order of theta; parts: {name: number of slots} of the convolutions, all
        others have one; scale: the loss scale until a gradient overflows.
        """
        self.program, self.shapes, places = program, shapes, placed(shapes, parts)
        self.uncollected = {name: list(runs_of(place)) for name, place in places.items()}
        self.table = self.table_of(self.uncollected)
        self.full_scale, self.scale, self.fate = scale, program.array(1, np.float32), program.xp.zeros(FATE, np.int32)
        self.scale[...] = scale
        self.size = sum(map(prod, shapes.values()))
        self.theta, self.gradient = program.array(self.size, np.float32), program.array(self.size, np.float32)
        self.theta_views, self.gradient_views = views(self.theta, shapes), views(self.gradient, shapes)
        self.all_weights = program.xp.zeros(sum(prod(p.padded) for p in places.values() if is_conv(p.shape)),
                                            program.dtype)
        self.all_slots = program.array(sum(prod(p.padded) * p.parts for p in places.values()), np.float32)
        self.weights = {name: self.all_weights[p.weights:p.weights + prod(p.padded)].reshape(p.padded)
                        for name, p in places.items() if is_conv(p.shape)}
        self.slots = {name: self.all_slots[p.slots:p.slots + prod(p.padded) * p.parts].reshape(p.parts, *p.padded)
                      for name, p in places.items()}
        self.affine = pairs(self.theta, shapes)
        self.affine_slots = pairs(self.all_slots, {name: slots.shape for name, slots in self.slots.items()})

    def cast(self):
        """Record the launch of weights = theta."""
        self.program.launch("sgd.cu", "cast<T>", (len(self.table),), BLOCK, (self.table, self.theta, self.all_weights))

    def table_of(self, names):
        """The runs of these parameters, as an array on the device; only parameters not collected yet."""
        return self.program.xp.asarray(np.array([run for name in names for run in self.uncollected[name]], np.int32))

    def collect(self, names):
        """Record the launch of gradient = sum of the slots / scale for these parameters; once per parameter."""
        table = self.table_of(names)
        self.uncollected = {name: runs for name, runs in self.uncollected.items() if name not in names}
        self.program.launch("sgd.cu", "add_slots", (len(table),), BLOCK,
                            (table, self.all_slots, self.gradient, self.scale, self.fate), 4 * BLOCK)

    def update(self, velocity, settings, momentum, decay):
        """Record the launch of the SGD step and weights = theta."""
        self.program.launch("sgd.cu", "sgd<T>", (len(self.table),), BLOCK, (
            self.table, self.theta, velocity, self.gradient, self.all_weights, settings, self.fate,
            np.float32(momentum), np.float32(decay)))


def is_conv(shape):
    """Whether this is the shape of a convolution's weights."""
    return len(shape) == 4


def placed(shapes, parts):
    """{name: Place}, contiguous in theta, weights and slots."""
    found, theta, weights, slots = {}, 0, 0, 0
    for name, shape in shapes.items():
        padded = (*shape[:2], max(shape[2], PADDED), shape[3]) if is_conv(shape) else shape
        found[name] = Place(shape, padded, theta, weights, slots, parts.get(name, 1))
        theta += prod(shape)
        weights += prod(padded) if is_conv(shape) else 0
        slots += prod(padded) * parts.get(name, 1)
    return found


def runs_of(place):
    """The table rows of one parameter: pieces contiguous in every buffer, so none spans two taps of a padded filter."""
    taps, run = prod(place.shape[:2]) if is_conv(place.shape) else 1, RUN if place.parts < MANY else SHORT
    inside, padded = prod(place.shape) // taps, prod(place.padded) // taps
    for tap in range(taps):
        for k in range(0, inside, run):
            at = tap * padded + k
            yield (place.theta + tap * inside + k, min(run, inside - k),
                   place.weights + at if is_conv(place.shape) else -1, place.slots + at, place.parts,
                   prod(place.padded))


def views(buffer, shapes):
    """{name: view of the buffer}, in the order of the shapes."""
    found, begin = {}, 0
    for name, shape in shapes.items():
        found[name] = buffer[begin:begin + prod(shape)].reshape(shape)
        begin += prod(shape)
    return found


def pairs(buffer, shapes):
    """{layer: (2, C) view} of the adjacent layer.gamma and layer.beta, or layer.mean and layer.var, in the buffer."""
    found, begin = {}, 0
    for name, shape in shapes.items():
        layer, _, which = name.rpartition(".")
        if which in ("gamma", "mean"):
            found[layer] = buffer[begin:begin + 2 * shape[-1]].reshape(2, shape[-1])
        begin += prod(shape)
    return found
