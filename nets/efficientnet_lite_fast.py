"""The network of nets/efficientnet_lite.py for a CPU: the same features, all by matrix products.

    net = FastLite(theta, S)
    net.features(pixels)               pixels (N, S, S, 3) uint8 -> (N, 1280) float32

Activations lie channel by channel, (C, N, H, W): a 1x1 convolution is one product of its weights
and all pixels. A depthwise convolution becomes a product too: the output is cut into tiles, and the
filter of a channel is a matrix from the pixels under a tile to those of the tile. Most of its
numbers are zeros, and yet BLAS takes a fraction of the time of NumPy's shifted sums, which pass
through memory twice for every tap.

Biases cost nothing. That of `expand` is a column of its weights, for a row of the input that is 1
inside the image and 0 in the padding, so that padding stays 0. For that of `depthwise`,
relu6(x + b) = clip(x, -b, 6 - b) + b, and the last b goes into the bias of `project`.

Letters as there; M tiles of all images, p x q pixels under a tile, a x b pixels of a tile.
"""
from typing import NamedTuple

import numpy as np

from nets.efficientnet_lite import FEATURES, MEAN, SCALE, block_plan, same_padding

WHOLE = 8                              # a map of up to 8 x 8 pixels is one tile
TILE = 4, 8                            # a x b: 6.4 ms for an image; 8 x 8 and 4 x 4 took 7.0
BLOCK_PIXELS = 8 * 128 * 128           # of the images in a block: 6.7 ms for one; 32 took 7.5


class Tiling(NamedTuple):
    """How a map of H x H pixels is cut for an R x R filter."""
    H: int
    h: int                             # of the output
    before: int                        # rows and columns of padding before the first pixel
    counts: tuple                      # tiles in a column and in a row
    tile: tuple                        # (a, b)
    under: tuple                       # (p, q)
    step: tuple                        # pixels from one tile to the next


def tiling(H, R, stride):
    """The Tiling; a map of up to WHOLE x WHOLE pixels is under one tile, without padding."""
    h, before = same_padding(H, R, stride)
    if H <= WHOLE:
        return Tiling(H, h, before, (1, 1), (h, h), (H, H), (H, H))
    counts = tuple(-(-h // length) for length in (TILE[0], TILE[1] // stride))
    a, b = (-(-h // count) for count in counts)
    under = (a - 1) * stride + R, (b - 1) * stride + R
    return Tiling(H, h, before, counts, (a, b), under, (a * stride, b * stride))


def matrices(w, cut, stride):
    """(C, p*q, a*b): for each channel of w (R, R, C) the matrix from under a tile to the tile."""
    R, _, C = w.shape
    (p, q), (a, b) = cut.under, cut.tile
    before = cut.before if cut.counts == (1, 1) else 0       # other tiles contain their padding
    found = np.zeros((C, p, q, a, b), w.dtype)
    for r, c, i, j in np.ndindex(R, R, a, b):
        row, column = i * stride + r - before, j * stride + c - before
        if 0 <= row < p and 0 <= column < q:
            found[:, row, column, i, j] = w[r, c]
    return found.reshape(C, p * q, a * b)


def cut_forward(x, cut):
    """x (C, N, H, H) -> (C + 1, M, p*q): the pixels under the tiles; the last row: 1 in the image."""
    C, N, H, _ = x.shape
    if cut.counts == (1, 1):
        whole = np.ones((C + 1, N, H * H), x.dtype)
        whole[:C] = x.reshape(C, N, H * H)
        return whole
    (down, across), (p, q), (high, wide) = cut.counts, cut.under, cut.step
    rows, columns = (down - 1) * high + p, (across - 1) * wide + q
    padded = np.zeros((C + 1, N, rows, columns), x.dtype)
    inside = padded[:, :, cut.before:cut.before + H, cut.before:cut.before + H]
    inside[:C] = x[:, :, :inside.shape[2], :inside.shape[3]]
    inside[C] = 1
    channel, image, row, pixel = padded.strides
    tiles = np.lib.stride_tricks.as_strided(padded, (C + 1, N, down, across, p, q),
                                            (channel, image, high * row, wide * pixel, row, pixel))
    return tiles.reshape(C + 1, N * down * across, p * q)                       # a copy


def uncut_forward(out, cut):
    """out (K, M, a*b) -> (K, N, h, h): the tiles put together."""
    (down, across), (a, b), h = cut.counts, cut.tile, cut.h
    tiles = out.reshape(len(out), -1, down, across, a, b).transpose(0, 1, 2, 4, 3, 5)
    return tiles.reshape(len(out), -1, down * a, across * b)[:, :, :h, :h]


class FastBlock:
    """A block of the network for maps of one size."""

    def __init__(self, theta, name, R, stride, expansion, H):
        self.cut, expand = tiling(H, R, stride), f"{name}.expand"
        self.expand = None
        if expansion > 1:
            self.expand = with_bias(theta[f"{expand}.w"], theta[f"{expand}.b"])
        b, project = theta[f"{name}.depthwise.b"], theta[f"{name}.project.w"]
        self.depthwise = matrices(theta[f"{name}.depthwise.w"], self.cut, stride)
        self.low, self.high = -b[:, None, None], 6 - b[:, None, None]
        self.project = np.ascontiguousarray(project.T)
        self.bias = (theta[f"{name}.project.b"] + b @ project)[:, None]
        self.residual = stride == 1 and project.shape[1] * expansion == len(project)

    def forward(self, x):
        """x (C, N, H, H) -> (K, N, h, h)"""
        y = cut_forward(x, self.cut)                                            # (C + 1, M, p*q)
        if self.expand is None:
            y = y[:-1]
        else:
            M = y.shape[1]
            y = self.expand @ y.reshape(len(y), -1)
            np.clip(y, 0, 6, out=y)
            y = y.reshape(len(y), M, -1)                                        # (wide, M, p*q)
        y = y @ self.depthwise                                                  # (wide, M, a*b)
        np.clip(y, self.low, self.high, out=y)
        out = self.project @ y.reshape(len(y), -1)
        out += self.bias
        out = uncut_forward(out, self.cut)
        return out + x if self.residual else out


class FastLite:
    """The network for images of S x S pixels; its matrices take 60 MB at 128 pixels, 80 at 224."""

    def __init__(self, theta, size):
        w = theta["stem.w"]                                                     # (3, 3, 3, K)
        self.stem = with_bias(w.reshape(-1, w.shape[-1]), theta["stem.b"])
        self.head = with_bias(theta["head.w"], theta["head.b"])
        self.blocks, (H, _) = [], same_padding(size, 3, 2)
        for name, R, stride, expansion, _, _ in block_plan():
            self.blocks.append(FastBlock(theta, name, R, stride, expansion, H))
            H = self.blocks[-1].cut.h
        self.together = max(1, BLOCK_PIXELS // size ** 2)

    def features(self, pixels):
        """pixels (N, S, S, 3) uint8 -> (N, 1280) float32, block by block in the memory of one."""
        out = np.empty((len(pixels), FEATURES), self.head.dtype)
        for k in range(0, len(pixels), self.together):
            out[k:k + self.together] = self.forward(pixels[k:k + self.together])
        return out

    def forward(self, pixels):
        """The same for one block of images."""
        x = self.stem_forward(pixels)
        for block in self.blocks:
            x = block.forward(x)
        whole = np.ones((len(x) + 1, x[0].size), x.dtype)
        whole[:-1] = x.reshape(len(x), -1)
        y = self.head @ whole
        np.clip(y, 0, 6, out=y)
        return y.reshape(len(y), len(pixels), -1).mean(axis=2).T

    def stem_forward(self, pixels):
        """pixels (N, S, S, 3) uint8 -> (32, N, h, h): 3x3 convolution with stride 2 and ReLU6"""
        N, S, _, C = pixels.shape
        h, before = same_padding(S, 3, 2)
        padded = np.zeros((C, N, S + 3, S + 3), self.stem.dtype)
        inside = padded[:, :, before:before + S, before:before + S]
        inside[...] = pixels.transpose(3, 0, 1, 2)
        inside -= MEAN
        inside /= SCALE
        columns = np.ones((9 * C + 1, N, h, h), padded.dtype)
        for place, (r, q) in enumerate(np.ndindex(3, 3)):
            columns[place * C:(place + 1) * C] = padded[:, :, r:r + 2 * h:2, q:q + 2 * h:2]
        y = self.stem @ columns.reshape(len(columns), -1)
        np.clip(y, 0, 6, out=y)
        return y.reshape(len(y), N, h, h)


def with_bias(w, b):
    """(K, C + 1): the transposed weights w (C, K) with the bias b (K,) as their last column."""
    return np.concatenate([w.T, b[:, None]], axis=1)
