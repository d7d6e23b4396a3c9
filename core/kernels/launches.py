"""Launches of norm.cu and ends.cu: batch normalisation, and the two ends of the network. Each function writes one or two down.

x (N, H, W, C) or (..., C) activations, g their gradient behind the normalisation, M = pixels of the batch, norm (4, C), sums
(slots, 2, C): as the kernel files say.
"""
import numpy as np

from core.kernels.program import NULL, integers

ROWS = 32 * 32            # threads of a block that adds slots up
HEAD = 256                # threads of a block of the head
PIXELS = 256              # threads of a block with a pixel for each


def enter(program, images, x):
    """x (N, H, W, 16) = images (N, H, W, channels) float32."""
    M, channels = images.size // images.shape[-1], images.shape[-1]
    program.launch("ends.cu", "enter<T>", (-(-M // PIXELS),), PIXELS, (images, x, *integers(M, channels)))


def norm_forward(program, x, sums, gamma, beta, mean, var):
    """norm from the sums of x; its moments go to mean and var."""
    C = x.shape[-1]
    norm = program.array((4, C), np.float32)
    program.launch("norm.cu", "norm_forward", (-(-C // 32),), ROWS, (
        sums, *integers(len(sums), C, x.size // C), gamma, beta, norm, mean, var), 16 * ROWS)
    return norm


def norm_inference(program, mean, var, gamma, beta):
    """norm from the running statistics."""
    C = len(mean)
    norm = program.array((4, C), np.float32)
    program.launch("norm.cu", "norm_inference", (-(-C // 32),), 32, (mean, var, gamma, beta, norm, *integers(C)))
    return norm


def norm_backward(program, g, x, sums, norm, dgamma, dbeta, dx, added=NULL):
    """dx, and the gradients of gamma and beta; added, the gradient that came round the block, may be the array of dx."""
    C = x.shape[-1]
    terms, blocks = program.array((3, C), np.float32), min(-(-x.size * x.itemsize // 16 // 256), 1024)
    program.launch("norm.cu", "norm_backward", (-(-C // 32),), ROWS, (
        sums, *integers(len(sums), C, x.size // C), norm, dgamma, dbeta, terms), 16 * ROWS)
    program.launch("norm.cu", "norm_apply<T>", (blocks,), 256, (g, x, terms, added, dx, *integers(x.size // C, C)))


def head_forward(program, x, norm, w, b, pooled, logits):
    """logits (N, classes) = mean over the pixels of ReLU(norm(x)), times w, plus b; pooled (N, C) is the mean."""
    (N, H, W, C), classes = x.shape, len(b)
    program.launch("ends.cu", "head_forward<T>", (N,), HEAD, (
        x, norm, w, b, pooled, logits, *integers(H * W, C, classes)), 4 * HEAD)


def head_backward(program, dlogits, x, norm, w, pooled, g, dw, db):
    """g, dw and db; returns the sums of g."""
    (N, H, W, C), classes = x.shape, dlogits.shape[1]
    sums = program.array((N, 2, C), np.float32)
    program.launch("ends.cu", "linear_gradient", (C + 1,), 32, (pooled, dlogits, dw, db, *integers(N, C, classes)))
    program.launch("ends.cu", "head_backward<T>", (N,), HEAD, (
        dlogits, w, x, norm, g, sums, *integers(H * W, C, classes)), 8 * HEAD)
    return sums
