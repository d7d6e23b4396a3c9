"""How much memory a training step of nets/resnet_fast_training.py takes, so that it can be said before a run.

Its arrays are those of a workspace, and that is asked for all of them here, by a workspace that only counts.
"""
import math

import numpy as np

from core.fast.workspace import Workspace
from nets.resnet import block_plan, convolutions
from nets.resnet_fast import pieces
from nets.resnet_fast_training import block_length, places, pooled, shapes_behind
from nets.resnet_memory import parameters

AUGMENTED = 14                         # numbers of a pixel in core/batches.py: augmented


class Counting(Workspace):
    """A workspace whose arrays have shapes and strides and no memory: not to be read or written."""

    def __call__(self, name, shape):
        """The array of that name and shape."""
        if (name, shape) not in self.arrays:
            strides = [self.dtype.itemsize * math.prod(shape[axis + 1:]) for axis in range(len(shape))]
            self.arrays[name, shape] = np.lib.stride_tricks.as_strided(np.zeros(1, self.dtype), shape, strides)
        return self.arrays[name, shape]

    @property
    def bytes(self):
        """Of all arrays asked for so far."""
        return self.dtype.itemsize * sum(math.prod(shape) for _, shape in self.arrays)


def fast_training_bytes(arch, size, batch, dtype=np.float32):
    """Bytes at the worst moment of a step on `batch` images of size x size pixels, the model's own included, the stored
    images not.

    The workspace; theta, velocity and the gradient of the step before; and the larger of: the folded weights, this
    step's gradient by name and in one piece, and the images; the images with all that core/batches.py makes them of.
    Within 3 % of what is allocated (tests/cpu/test_resnet_fast_training.py).
    """
    space, n = Counting(dtype), block_length(size, size)
    claim(space, arch, [(min(n, batch - k), size, size, 3) for k in range(0, batch, n)])
    P, pixels = parameters(arch), batch * size ** 2
    return space.bytes + space.dtype.itemsize * (3 * P + max(3 * P + 3 * pixels, AUGMENTED * pixels))


def claim(space, arch, images):
    """Ask the space for the arrays of a forward and a backward pass; images: shapes (n, H, W, 3) of the blocks."""
    plan, shapes = block_plan(arch), pooled(images, arch)
    x = places(space, plan[0].branch[0], shapes)
    for i, (n, H, W, _) in enumerate(images):
        claim_stem(space, i, n, H, W, arch.widths[0])
    masks(space, x)
    for number, (block, following) in enumerate(zip(plan, [*plan[1:], None])):
        h = x
        for position, conv in enumerate(block.branch):
            claim_unit(space, conv, h)
            dx = f"dh {position}" if position else f"dx {number % 2}"
            several(space, dx, [part.shape for part in h])
            shapes = shapes_behind(conv, h)
            if position + 1 < len(block.branch):
                h = places(space, block.branch[position + 1], shapes)
                masks(space, h)
        if block.shortcut:
            claim_unit(space, block.shortcut, x)
            several(space, "shortcut", shapes)
            several(space, "dshortcut", [part.shape for part in x])
        x = places(space, following.branch[0], shapes) if following else several(space, "last", shapes)
        masks(space, x)
    several(space, "dx last", shapes)
    for conv in convolutions(arch):
        if conv.R == 3:
            space.filters(conv.C, conv.K, conv.stride)


def claim_stem(space, i, n, H, W, K):
    """The arrays of the stem for one block of images."""
    h, w = -(-H // 2), -(-W // 2)
    space("frame", (H + 6, n, W + 6, 3))
    for name in (f"stem {i}", "dy stem"):
        space(name, (h, w, n, K))
    for name in (f"across {i}", "dacross"):
        space(name, (h, -(-w // 2), n, K))
    for name in (f"top {i}", "top"):
        space(name, (-(-h // 2), -(-w // 2), n, K))


def claim_unit(space, conv, x):
    """The arrays of a convolution that are not its input."""
    for shape in shapes_behind(conv, x):
        if conv.R == 3:
            space("y", shape)
            continue
        for rows in pieces(*shape):
            space("piece", (rows.stop - rows.start, *shape[1:]))
        if conv.stride > 1:
            space("seen", (*shape[:3], conv.C))
            space("dseen", (*shape[:3], conv.C))


def several(space, name, shapes):
    """An array of each shape, numbered."""
    return [space(f"{name} {i}", shape) for i, shape in enumerate(shapes)]


def masks(space, x):
    """What core/fast/norm.py: mask works on."""
    for H, W, n, C in (block.shape for block in x):
        space("term", (H, W * n * C))
