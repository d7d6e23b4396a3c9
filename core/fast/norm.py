"""Batch normalisation and ReLU as passes over blocks, each pass one NumPy operation that runs at the speed of the
cache.

    h = max(x*a + b, 0)                             a = gamma / std,  b = beta - mean*a
    dx = g*a + x*c1 + c0,  g = dh where h > 0       c1, c0 from the sums of g and of g*x over the whole batch

n images, H x W pixels, C channels; a block is (H, W, n, C), pixel-major; x, g: lists of blocks. Sums from block to
block and statistics in float64 (add_sums). The rates are numbers per second of one core (Zen 4, 1 MB blocks): what to
write is a matter of factors, not of per cent.
"""
from functools import cache
from typing import NamedTuple

import numpy as np

from core.layers import BATCHNORM_EPS


class Norm(NamedTuple):
    """A batch normalisation whose statistics are known; all (C,)."""
    mean: np.ndarray
    var: np.ndarray
    inv_std: np.ndarray
    a: np.ndarray
    b: np.ndarray


def norm_of(mean, var, gamma, beta):
    """The Norm with these moments."""
    inv_std = 1 / np.sqrt(var + BATCHNORM_EPS)
    a = gamma * inv_std
    return Norm(mean, var, inv_std, a, beta - mean * a)


def norm_of_sums(sums, M, gamma, beta):
    """The Norm of M pixels with these sums of x and of x^2.

    One pass over x where the readable layer takes two. In float32 it costs digits where the mean is far from 0: the
    relative error of var is about 5e-7 * max(1, mean^2 / var), measured up to mean = 100 std.
    """
    mean = sums[0] / M
    return norm_of(mean, np.maximum(sums[1] / M - mean * mean, 0), gamma, beta)


def norm_gradient(norm, sums):
    """(dgamma, dbeta) from the sums of g and of g*x. Linear in the sums: the ranks' shares may be added up later."""
    return norm.inv_std * (sums[1] - norm.mean * sums[0]), sums[0]


class NormBackward:
    """dx, kept as g, x and three coefficients until a block of it is wanted: then it is made where it is used,
    in the cache.

    dx = gamma/std * (g - mean(g) - x_hat*mean(g*x_hat)), sorted by g, x and 1: four passes instead of about ten.
    Where x went round the convolutions as well, `total` is its gradient from there, to which dx has to be added.
    """

    def __init__(self, space, norm, sums, M, g, x, total=None):
        dgamma, dbeta = norm_gradient(norm, sums)
        c1 = -norm.a * norm.inv_std * dgamma / M
        c0 = -norm.a * dbeta / M - c1 * norm.mean
        self.space, self.g, self.x = space, g, x
        self.a, self.c1, self.c0 = (row_of(space, *named, x) for named in (("g a", norm.a), ("x c1", c1), ("c0", c0)))
        self.add, self.total = total is not None, total or space.blocks("total", x)

    def write(self, i, out):
        """out = block i of dx"""
        g, x, out = rows_of(self.g[i]), rows_of(self.x[i]), rows_of(out)
        L, term = x.shape[1], self.space("term", x.shape)
        np.multiply(g, self.a[:L], out=out)
        np.multiply(x, self.c1[:L], out=term)
        out += term
        out += self.c0[:L]

    def write_total(self, i, out):
        """out = total[i] = block i of dx, + block i of total; once for each i"""
        dx = self.space("dx", self.x[i].shape) if self.add else self.total[i]
        self.write(i, dx)
        if self.add:
            self.total[i] += dx
        out[...] = self.total[i]


# ---- passes --------------------------------------------------------------------------------------------------------

class Activation:
    """h = max(x*a + b, 0):  np.maximum takes 10 G numbers/s with a row of zeros, 2.5 with the scalar 0;
    np.clip takes 8."""

    def __init__(self, space, norm, x):
        self.a, self.b, self.zeros = (row_of(space, *named, x)
                                      for named in (("x a", norm.a), ("b", norm.b), ("zeros", 0)))

    def write(self, x, out):
        """out = h of one block"""
        x, out = rows_of(x), rows_of(out)
        L = x.shape[1]
        np.multiply(x, self.a[:L], out=out)
        out += self.b[:L]
        np.maximum(out, self.zeros[:L], out=out)


def mask(space, g, h):
    """g = 0 where h = 0.  h >= 0 as an integer, negated and shifted by all bits but one: all ones where h > 0,
    else none.

    Three passes over integers, together 4 G numbers/s; g * (h > 0) makes 3.2 and two temporaries, np.where 0.3 to 2.
    """
    g, h = rows_of(g), rows_of(h)
    integer = np.dtype(f"i{g.itemsize}")
    ones = space("term", g.shape).view(integer)
    np.negative(h.view(integer), out=ones)
    np.right_shift(ones, 8 * g.itemsize - 1, out=ones)
    np.bitwise_and(g.view(integer), ones, out=g.view(integer))


def add_sums(sums, f, x):
    """sums (2, C) += (sum f, sum f*x) over the pixels of a block

    As a product with a row of ones (19 G numbers/s) and by einsum (6.5), both on rows of n*C: no temporary, where f.sum
    over rows of 32 channels makes 1.9. Within a block in its dtype, from block to block and rank to rank in float64.
    """
    H, W, n, C = f.shape
    f, x = f.reshape(H * W, n * C), x.reshape(H * W, n * C)
    sums[0] += (row_of_ones(H * W, f.dtype) @ f).reshape(n, C).sum(axis=0, dtype=float)
    sums[1] += np.einsum("ij,ij->j", f, x).reshape(n, C).sum(axis=0, dtype=float)


@cache
def row_of_ones(n, dtype):
    """(1, 1, ...), kept: made anew for every block they took 1 % of the small net's step."""
    return np.ones(n, dtype)


def row_of(space, name, v, x):
    """v (C,) for every pixel of a row of the longest block of x, (W*n*C,):
    long rows are 1.4 times as fast as rows of n*C.

    In the workspace's memory, good until the next row of that name: a new array from np.tile takes three times as long,
    which was 2 % of the small net's step.
    """
    _, W, n, C = x[0].shape
    row = space(name, (W * n, C))
    row[...] = v
    return row.reshape(-1)


def rows_of(block):
    """(H, W, n, C) -> (H, W*n*C), a view also into a frame"""
    H, W, n, C = block.shape
    return block.reshape(H, W * n * C)


def by_row(block):
    """(H, W, n, C) -> (H, W*n, C), a view also into a frame"""
    H, W, n, C = block.shape
    return block.reshape(H, W * n, C)
