"""Launches of norm.cu and head_stem.cu: batch normalisation, input and head of the network.
Each function records launches.

x (N, H, W, C) or (..., C) activations, g their gradient after the normalisation, M = pixels of the batch, norm (4, C),
sums (slots, 2, C), as defined in the kernel files.
"""
import numpy as np

from core.kernels.convolution import few_slots
from core.kernels.program import integers

NORM = 256                # threads of a block of norm_backward
HEAD = 256                # threads of a block of the head
PIXELS = 256              # threads of a block, one pixel each


def load_images(program, images, x):
    """x (N, H, W, 16) = images (N, H, W, channels) float32."""
    M, channels = images.size // images.shape[-1], images.shape[-1]
    program.launch("head_stem.cu", "load_images<T>", (-(-M // PIXELS),), PIXELS, (images, x, *integers(M, channels)))


def norm_inference(program, moments, affine):
    """norm from the running statistics."""
    C = moments.shape[1]
    norm = program.array((4, C), np.float32)
    program.launch("norm.cu", "norm_inference", (-(-C // 32),), 32, (moments, affine, norm, *integers(C)))
    return norm


def norm_backward(program, source):
    """dx of a GRADIENT that no convolution loads."""
    g, x, _, dx, sums, _, norm, affine_gradient = source[1:]
    C, blocks = x.shape[-1], min(-(-x.size * x.itemsize // 16 // NORM), 264)               # two per multiprocessor
    program.launch("norm.cu", "norm_backward<T>", (blocks,), NORM, (
        g, x, sums, norm, affine_gradient, dx, *integers(x.size // C, C, source.slots)), 16 * NORM + 12 * C)


def head_forward(program, source, w, b, pooled, logits):
    """logits (N, classes) = pooled w + b, pooled (N, C) the mean of a BATCH or GIVEN source over the pixels."""
    x, _, _, _, sums, affine, norm, moments = source[1:]
    (N, H, W, C), classes = x.shape, len(b)
    program.launch("head_stem.cu", "head_forward<T>", (N,), HEAD, (
        x, sums, affine, norm, moments, w, b, pooled, logits, *integers(H * W, C, classes, source.slots)),
        16 * HEAD + 8 * C)


def head_backward(program, dlogits, x, norm, w, pooled, g, dw, db):
    """Writes g, dw and db; returns the sums of g."""
    (N, H, W, C), classes = x.shape, dlogits.shape[1]
    sums = program.array((N, 2, C), np.float32)
    with program.aside():
        program.launch("head_stem.cu", "linear_gradient", (C + 1,), 32,
                       (pooled, dlogits, dw, db, *integers(N, C, classes)))
    program.launch("head_stem.cu", "head_backward<T>", (N,), HEAD, (
        dlogits, w, x, norm, g, sums, *integers(H * W, C, classes)), 8 * HEAD)
    return few_slots(program, sums)
