"""Arrays that outlive a batch: made when a name and a shape are asked for the first time,
and handed out again ever after.

In the steady state nothing is allocated and no page is touched for the first time: a fresh array of 150 MB costs 37,000
page faults and 105 ms, the same one used again nothing.
"""
import math

import numpy as np

from core.fast.winograd import Convolution, Filters

LINE = 64               # bytes of a cache line
MEMORY = 1 << 26        # bytes that are taken from the system at once


class Workspace:
    """space(name, shape): an array of that dtype, zero at first."""

    def __init__(self, dtype):
        self.dtype, self.arrays, self.plans, self.memory = np.dtype(dtype), {}, {}, np.zeros(0, np.uint8)

    def __call__(self, name, shape):
        """The array of that name and shape."""
        key = name, shape
        if key not in self.arrays:
            self.arrays[key] = self.zeros(shape)
        return self.arrays[key]

    def zeros(self, shape):
        """A new array, whose first number begins a cache line, in memory that the system maps in pages of 2 MB.

        NumPy's own large arrays begin 16 bytes into a line, so that each of the processor's 64-byte loads and stores
        touches two: 1.07 to 1.1 times as long a step. On Linux NumPy asks for large pages from 4 MB on, so arrays are
        cut out of pieces of 64 MB: 1.10 to 1.15 times as fast a step, with 500 times fewer pages to look up.
        """
        size = math.prod(shape) * self.dtype.itemsize
        if len(self.memory) < size:
            self.memory = np.zeros(max(size, MEMORY) + LINE, np.uint8)
            self.memory = self.memory[-self.memory.ctypes.data % LINE:]
        found, self.memory = self.memory[:size], self.memory[size + -size % LINE:]
        return found.view(self.dtype).reshape(shape)

    def blocks(self, name, x, *shape):
        """One block for each block of x: of its shape (H, W, n, C), or with another H, W, C."""
        H, W, C = shape or (*x[0].shape[:2], x[0].shape[3])
        return [self(f"{name} {i}", (H, W, block.shape[2], C)) for i, block in enumerate(x)]

    def convolution(self, name, shape, K, stride):
        """The Convolution of the block of that name: it has an input of its own,
        and shares all else with those of its shape."""
        return self.plan(Convolution, name, shape, K, stride)

    def filters(self, C, K, stride):
        """The Filters of that size, which all layers share."""
        return self.plan(Filters, C, K, stride)

    def plan(self, kind, *arguments):
        """kind(*arguments, dtype, space), made once."""
        key = kind, arguments
        if key not in self.plans:
            self.plans[key] = kind(*arguments, self.dtype, self)
        return self.plans[key]
