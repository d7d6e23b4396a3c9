"""Batch normalisation, ReLU and convolution as one unit that works through the batch in blocks of about one megabyte.

    y = conv(h),  h = relu(x*a + b)                                 a = gamma / std,  b = beta - mean*a  per channel
    dx = g*a + x*c1 + c0,  g = dh where h > 0                       c1, c0 from the sums of g and of g*x

What a unit computes it computes block by block, while a block is in the cache: h, y, and the sums that the *next* batch
normalisation needs. Those of the whole batch are known only at the end of the loop; so the unit that uses a result applies its
normalisation, forward and backward. h is made again in the backward pass: half the memory for the time of three passes.

n images, H x W pixels, C channels in, K out. A block is (H, W, n, C): pixel-major, so that a row of the image is one row of
memory (in plain NHWC the step takes 1.1 to 1.4 times as long). x, y, g: lists of blocks; `sums` (2, C), in float64.
"""
import math
from typing import NamedTuple

import numpy as np

from core.fast.winograd import Convolution, Filters
from core.layers import BATCHNORM_EPS


class Workspace:
    """Arrays by name and shape, made once and then handed out again: the steady state allocates nothing and faults no page."""

    def __init__(self, dtype):
        self.dtype, self.arrays, self.plans = np.dtype(dtype), {}, {}

    def __call__(self, name, shape):
        key = name, shape
        if key not in self.arrays:
            self.arrays[key] = np.zeros(shape, self.dtype)
        return self.arrays[key]

    def blocks(self, name, x, *shape):
        """One block for each block of x: of its shape (H, W, n, C), or with another H, W, C."""
        H, W, C = shape or (*x[0].shape[:2], x[0].shape[3])
        return [self(f"{name} {i}", (H, W, block.shape[2], C)) for i, block in enumerate(x)]

    def convolution(self, shape, K, stride):
        key = shape, K, stride
        if key not in self.plans:
            self.plans[key] = Convolution(shape, K, stride, self.dtype, self)
        return self.plans[key]

    def filters(self, C, K, stride):
        key = C, K, stride
        if key not in self.plans:
            self.plans[key] = Filters(C, K, stride, self.dtype, self)
        return self.plans[key]


class Norm(NamedTuple):
    """A batch normalisation whose statistics are known; all (C,) in float64."""
    mean: np.ndarray
    var: np.ndarray
    inv_std: np.ndarray
    a: np.ndarray
    b: np.ndarray


def norm_of(mean, var, gamma, beta):
    inv_std = 1 / np.sqrt(var + BATCHNORM_EPS)
    a = gamma * inv_std
    return Norm(mean, var, inv_std, a, beta - mean * a)


def norm_of_sums(sums, M, gamma, beta):
    """The norm of a batch of M pixels from their sum and sum of squares (added up in float64 from block to block)."""
    mean = sums[0] / M
    return norm_of(mean, np.maximum(sums[1] / M - mean * mean, 0), gamma, beta)


def norm_gradient(norm, sums):
    """(dgamma, dbeta) from the sums of g and of g*x. Linear in them: the shares of ranks may be added."""
    return norm.inv_std * (sums[1] - norm.mean * sums[0]), sums[0]


class NormBackward:
    """dx = g*a + x*c1 + c0, the gradient through a norm: kept in this form until a block of it is wanted.

    This is gamma/std * (g - mean(g) - x_hat*mean(g*x_hat)) sorted by g, x and 1; `sums` are those of the whole batch.
    Where x went round the convolutions as well, `total` is its gradient from there, to which dx has to be added.
    """

    def __init__(self, space, norm, sums, M, g, x, total=None):
        dgamma, dbeta = norm_gradient(norm, sums)
        c1 = -norm.a * norm.inv_std * dgamma / M
        c0 = -norm.a * dbeta / M - c1 * norm.mean
        self.space, self.g, self.x = space, g, x
        self.a, self.c1, self.c0 = (row_of(v, x) for v in (norm.a, c1, c0))
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
        """out = total[i] = block i of total + dx; to be called once for each i."""
        dx = self.space("dx", self.x[i].shape) if self.add else self.total[i]
        self.write(i, dx)
        if self.add:
            self.total[i] += dx
        out[...] = self.total[i]


# ---- a unit --------------------------------------------------------------------------------------------------------

def unit_forward(space, name, x, norm, w, stride, w_projection=None, base=None):
    """y = conv(h) + base and, with w_projection, the 1x1 convolution of h: (y, projected or None, sums of y)."""
    C, K = w.shape[2:]
    a, b, sums, filters = row_of(norm.a, x), row_of(norm.b, x), np.zeros((2, K)), space.filters(C, K, stride)
    h, w_out = (-(-side // stride) for side in x[0].shape[:2])
    y = space.blocks(name, x, h, w_out, K)
    projected = space.blocks(f"{name} projected", x, h, w_out, K) if w_projection is not None else None
    filters.forward(w)
    for i in range(len(x)):
        conv = space.convolution(x[i].shape, K, stride)
        activate(x[i], a, b, conv.x)
        conv.forward(filters, y[i])
        if base is not None:
            y[i] += base[i]
        if projected is not None:
            np.matmul(every(stride, conv.x, space), w_projection[0, 0], out=by_row(projected[i]))
        add_sums(sums, y[i], y[i])
    return y, projected, sums


def unit_backward(space, dy, x, norm, w, stride, w_projection=None, dprojected=None):
    """g, its sums (of g and of g*x), dw, dw_projection from dy(i, out), which writes block i of the gradient of y."""
    C, K = w.shape[2:]
    a, b, sums, filters = row_of(norm.a, x), row_of(norm.b, x), np.zeros((2, C)), space.filters(C, K, stride)
    g = space.blocks("g", x)
    dw_projection = None if w_projection is None else np.zeros_like(w_projection)
    filters.backward(w)
    for i in range(len(x)):
        conv = space.convolution(x[i].shape, K, stride)
        dy(i, conv.dy)
        activate(x[i], a, b, conv.x)
        conv.backward(filters, g[i])
        if w_projection is not None:
            add_projection_gradient(space, conv.x, dprojected[i], w_projection[0, 0], stride, g[i], dw_projection[0, 0])
        mask(space, g[i], conv.x)
        add_sums(sums, g[i], x[i])
    return g, sums, filters.gradient(), dw_projection


def add_projection_gradient(space, h, dout, w, stride, dh, dw):
    """dh += dout w^T at the pixels the projection saw, dw += h^T dout  (w (C, K))"""
    seen, dout = every(stride, h, space), by_row(dout)
    dh_seen = space("dh_seen", seen.shape)
    np.matmul(dout, w.T, out=dh_seen)
    dh[::stride, ::stride] += dh_seen.reshape(dh[::stride, ::stride].shape)
    dw += np.matmul(seen.swapaxes(1, 2), dout).sum(axis=0)


# ---- its passes ----------------------------------------------------------------------------------------------------

def activate(x, a, b, out):
    """out = max(x*a + b, 0).  np.clip takes 8 G numbers/s, np.maximum with a scalar 2.5: it leaves the vector path."""
    x, out = rows_of(x), rows_of(out)
    np.multiply(x, a[:x.shape[1]], out=out)
    out += b[:x.shape[1]]
    np.clip(out, 0, np.inf, out=out)


def mask(space, g, h):
    """g = 0 where h = 0.  h >= 0 as an integer, negated and shifted by all bits but one: all ones where h > 0, else none.

    Three passes over integers at 5 G numbers/s; g * (h > 0) makes 3.2, np.where 0.3 to 2.
    """
    g, h = rows_of(g), rows_of(h)
    bits = np.dtype(f"i{g.itemsize}")
    ones = space("term", g.shape).view(bits)
    np.negative(h.view(bits), out=ones)
    np.right_shift(ones, 8 * g.itemsize - 1, out=ones)
    np.bitwise_and(g.view(bits), ones, out=g.view(bits))


def add_sums(sums, f, x):
    """sums += (sum f, sum f*x) over the pixels.

    As a product with a row of ones (20 G numbers/s) and by einsum (6), both on rows of n*C: no temporary, where the plain
    .sum over C = 32 channels a row makes 1.9.
    """
    H, W, n, C = f.shape
    f, x = f.reshape(H * W, n * C), x.reshape(H * W, n * C)
    sums[0] += (np.ones(H * W, f.dtype) @ f).reshape(n, C).sum(axis=0, dtype=float)
    sums[1] += np.einsum("ij,ij->j", f, x).reshape(n, C).sum(axis=0, dtype=float)


def row_of(v, x):
    """v (C,) for every pixel of a row of the largest block of x: (W*n*C,), operands of full length are 1.4 times as fast."""
    return np.tile(v.astype(x[0].dtype), math.prod(x[0].shape[1:3]))


def rows_of(block):
    """(H, W, n, C) -> (H, W*n*C), a view also into a frame."""
    H, W, n, C = block.shape
    return block.reshape(H, W * n * C)


def by_row(block):
    """(H, W, n, C) -> (H, W*n, C), a view also into a frame."""
    H, W, n, C = block.shape
    return block.reshape(H, W * n, C)


def pixels_of(block):
    """(H, W, n, C) -> (H*W*n, C)"""
    H, W, n, C = block.shape
    return block.reshape(H * W * n, C)


def every(stride, h, space):
    """The pixels of h that a 1x1 convolution of that stride sees, (h, w*n, C): a view where it can be, for BLAS."""
    if stride == 1:
        return by_row(h)
    seen = h[::stride, ::stride]
    copy = space("seen", seen.shape)
    copy[...] = seen
    return by_row(copy)


# ---- the ends of the network ---------------------------------------------------------------------------------------

def stem_forward(space, name, x, w, n):
    """The first convolution, of NHWC images x (N, H, W, C) with few channels: (blocks of y, their columns, sums of y).

    The columns (R*R*C, H*W*n) are gathered channel by channel and tap by tap, in rows of W*n numbers, and kept for dw.
    """
    (R, _, C, K), (N, H, W, _) = w.shape, x.shape
    y, columns, sums = [], [], np.zeros((2, K))
    for i, k in enumerate(range(0, max(N, 1), n)):
        part = x[k:k + n].transpose(3, 1, 2, 0)                                     # (C, H, W, n or fewer)
        frame = space("frame", (C, H + R - 1, W + R - 1, part.shape[3]))
        frame[:, R // 2:H + R // 2, R // 2:W + R // 2] = part
        columns.append(space(f"columns {i}", (R * R * C, H * W * part.shape[3])))
        y.append(space(f"{name} {i}", (H, W, part.shape[3], K)))
        taps = columns[i].reshape(R, R, *part.shape)
        for r, q in np.ndindex(R, R):
            taps[r, q] = frame[:, r:r + H, q:q + W]
        np.matmul(columns[i].T, w.reshape(R * R * C, K), out=pixels_of(y[i]))
        add_sums(sums, y[i], y[i])
    return y, columns, sums


def stem_backward(space, dy, y, columns, w):
    """dw (R, R, C, K) from dy(i, out)"""
    dw = np.zeros_like(w)
    for i, column in enumerate(columns):
        block = space("dy", y[i].shape)
        dy(i, block)
        dw += (column @ pixels_of(block)).reshape(w.shape)
    return dw


def head_forward(space, x, norm):
    """mean over the pixels of relu(x*a + b), (N, C)"""
    a, b, pooled = row_of(norm.a, x), row_of(norm.b, x), []
    for block in x:
        H, W, n, C = block.shape
        h = space("h", block.shape)
        activate(block, a, b, h)
        pooled.append((np.full(H * W, 1 / (H * W), h.dtype) @ h.reshape(H * W, n * C)).reshape(n, C))
    return np.concatenate(pooled)


def head_backward(space, dpooled, x, norm):
    """g and its sums from dpooled (N, C)"""
    a, b, g, sums, k = row_of(norm.a, x), row_of(norm.b, x), space.blocks("g", x), np.zeros((2, x[0].shape[3])), 0
    for block, g_block in zip(x, g):
        H, W, n, C = block.shape
        h = space("h", block.shape)
        activate(block, a, b, h)
        np.divide(dpooled[k:k + n], H * W, out=g_block[0, 0])
        g_block[...] = g_block[0, 0]
        mask(space, g_block, h)
        add_sums(sums, g_block, block)
        k += n
    return g, sums
