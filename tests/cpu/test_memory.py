"""How much memory a step of the paper's network takes: what was allocated on NumPy,
against the arrays that have to be there.

CuPy allocates the same arrays, from a pool that hands freed ones out again without asking the device: after the first
step nothing is allocated any more, so that a buffer of one's own would save nothing but the zeros of a border.
"""
import tracemalloc

import numpy as np

from core import train
from core.batches import Images, mean_image
from core.labels import SoftLabels
from core.model import Task, fresh_model
from core.objective import Objective
from core.recipes import Recipe
from nets import preact_resnet as net
from nets.preact_resnet import Architecture, block_plan

GIGABYTES = 1.02                       # of a step of 128 images


def per_image(arch, size):
    """Bytes of float32 for one image at the worst moment, the backward pass of a convolution with stride 2.

    What the forward pass kept: x_hat and the ReLU's output of every batch normalisation. Now: the gradient spread out
    over the finer grid, the same with its border, and its columns, nine times as large.
    """
    kept, widest, side = 0, 0, size
    for _, c_in, c_out, stride, _ in block_plan(arch):
        kept += 2 * c_in * side ** 2 + 2 * c_out * (side // stride) ** 2
        widest = max(widest, c_out * (10 * side ** 2 + (side + 2) ** 2))
        side //= stride
    return 4 * (kept + 2 * arch.widths[-1] * side ** 2 + widest)


def peak_of_a_step(arch, N, size=32):
    """Bytes above those of the model, at the worst moment of the second step."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(2 * N, size, size, 3), dtype=np.uint8)
    images, Y = Images(pixels, mean_image(pixels), 4, True), np.full((2 * N, 10), 0.1, np.float32)
    task, labels = Task(images, None, None, None, 0), SoftLabels(Y, 1)
    model = fresh_model(net, arch, rng, np)
    steps = train.theta_iterations(model, task, labels, Objective(Y[0], 1.2, 0.8), 0.01,
                                   Recipe(0.01, 1.2, 0.8, batch=N), 0)
    next(steps)
    tracemalloc.start()
    try:
        next(steps)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_peak_memory_of_a_step_is_that_of_the_arrays_it_needs():
    few, more = (peak_of_a_step(Architecture(), N) for N in (12, 24))
    slope = (more - few) / 12
    assert abs(slope / per_image(Architecture(), 32) - 1) < 0.03
    assert abs((few + 116 * slope) / 1e9 - GIGABYTES) < 0.03 * GIGABYTES
