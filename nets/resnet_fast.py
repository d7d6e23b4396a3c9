"""The features of nets/resnet.py for a CPU: the same numbers, but for rounding.

    net = FastResnet(theta, running, arch)
    net.features(pixels)               pixels (N, S, S, 3) uint8 -> (N, 2048), of ResNet-18, 34 (N, 512)
    net.logits(pixels)                 (N, classes)

Batch normalisation is folded into the convolutions, whose biases are added, with the shortcut and ReLU, to a piece of
the output while it is in the cache. 3x3 convolutions are Winograd's (core/fast/winograd.py): a quarter of the products
for stride 1. The pooling comes before the stem's bias and ReLU, which leave the order of numbers as it is.

Images go through in blocks; activations (H, W, n, C), pixel by pixel: a 1x1 convolution is one product, and what
Winograd's transforms mix are whole rows. n images of a block, C channels in, K out.
"""
import math

import numpy as np

from core.fast.norm import row_of, rows_of
from core.fast.winograd import Filters
from core.fast.workspace import Workspace
from nets.resnet import EPS, MEAN, STD, block_plan, features_of, stem

BLOCK_PIXELS = 8 * 224 * 224           # of the images in a block: ResNet-50 98 ms for one; one by one 133
PIECE = 2 ** 17                        # numbers of a piece of an output: half a megabyte
ROWS = 256                             # of a matrix product at least


class FastResnet:
    """The network with the weights theta (and running statistics) for images of any size."""

    def __init__(self, theta, running, arch, dtype=np.float32):
        self.space = Workspace(dtype)
        self.width, self.linear = features_of(arch), (theta["linear.w"], theta["linear.b"])
        self.stem, self.bias = stem_weights(*folded(theta, running, stem(arch)), self.space.dtype)
        self.blocks = [FastBlock(theta, running, block, self.space) for block in block_plan(arch)]

    def features(self, pixels):
        """pixels (N, S, S, 3) uint8 -> (N, 2048 or 512), block by block in the memory of one."""
        out = np.empty((len(pixels), self.width), self.space.dtype)
        n = max(1, BLOCK_PIXELS // math.prod(pixels.shape[1:3]))
        for k in range(0, len(pixels), n):
            out[k:k + n] = self.forward(pixels[k:k + n])
        return out

    def logits(self, pixels):
        """pixels (N, S, S, 3) uint8 -> (N, classes)"""
        w, b = self.linear
        return self.features(pixels) @ w + b

    def forward(self, pixels):
        """The features of one block of images."""
        space = self.space
        y = maximum_of_windows(space, stem_forward(space, pixels, self.stem))
        x = self.blocks[0].place(y.shape)
        finish(space, y, self.bias, x)
        for block, following in zip(self.blocks, [*self.blocks[1:], None]):
            x = block.forward(x, following)
        return mean_forward(x)


def folded(theta, running, conv):
    """(w, b) of a convolution with its batch normalisation:  w gamma / std,  beta - mean gamma / std"""
    gamma, beta, mean, var = (arrays[f"{conv.bn}.{leaf}"].astype(np.float64) for arrays, leaf in (
        (theta, "gamma"), (theta, "beta"), (running, "mean"), (running, "var")))
    scale = gamma / np.sqrt(var + EPS)
    return theta[conv.name] * scale, beta - mean * scale


# ---- the ends ------------------------------------------------------------------------------------------------------

def stem_weights(w, b, dtype):
    """(w (R*R*3, K), b (K,)) for pixels / 255 - MEAN."""
    return (w / STD[:, None]).reshape(-1, w.shape[-1]).astype(dtype), b.astype(dtype)


def stem_forward(space, pixels, w):
    """pixels (n, S, S, 3) uint8 -> (h, h, n, K): 7x7 convolution with stride 2, without bias.

    Row by row of the output: its patches, made of runs of 7 * 3 numbers, stay in the cache.
    """
    n, H, W, _ = pixels.shape
    h, w_out, K = -(-H // 2), -(-W // 2), w.shape[1]
    frame = space("frame", (H + 6, n, W + 6, 3))
    inside = frame[3:H + 3, :, 3:W + 3]
    inside[...] = pixels.transpose(1, 0, 2, 3)
    inside /= 255
    inside -= MEAN.astype(frame.dtype)
    row, image, pixel, item = frame.strides
    patches, y = space("patches", (w_out, n, 7, 21)), space("stem", (h, w_out, n, K))
    for i in range(h):
        patches[...] = np.lib.stride_tricks.as_strided(frame[2 * i:], (w_out, n, 7, 21), (2 * pixel, image, row, item))
        np.matmul(patches.reshape(w_out * n, 147), w, out=y[i].reshape(w_out * n, K))
    return y


def maximum_of_windows(space, y):
    """(H, W, n, K) -> (h, w, n, K): the maximum of 3x3 pixels with stride 2, first of rows, then of columns."""
    H, W, n, K = y.shape
    h, w = -(-H // 2), -(-W // 2)
    rows, out = space("pool rows", (h, W, n, K)), space("pooled", (h, w, n, K))
    largest(y, rows)
    largest(rows.swapaxes(0, 1), out.swapaxes(0, 1))
    return out


def largest(x, out):
    """out[i] = max(x[2i - 1], x[2i], x[2i + 1]) of those that are there"""
    H = len(x)
    np.maximum(x[0:H - 1:2], x[1::2], out=out[:H // 2])
    if H % 2:
        out[-1] = x[-1]
    np.maximum(out[1:], x[1:2 * len(out) - 2:2], out=out[1:])


def mean_forward(x):
    """(n, K): the means over the pixels of x (H, W, n, K)"""
    H, W, n, K = x.shape
    return (np.full(H * W, 1 / (H * W), x.dtype) @ x.reshape(H * W, n * K)).reshape(n, K)


def finish(space, y, b, out, shortcut=None, relu=True):
    """out = ReLU(y + b + shortcut);  y (H, W, n, K) is used up, b (K,)"""
    y, out = rows_of(y), rows_of(out)
    y += row_of(space, "b", b, [out.reshape(len(out), -1, 1, len(b))])
    if shortcut is not None:
        y += rows_of(shortcut)
    if relu:
        np.maximum(y, space("zeros", y.shape[1:]), out=out)
    else:
        out[...] = y


def product(space, x, w, b, out, shortcut=None, relu=True):
    """out = ReLU(x w + b + shortcut), in pieces that are finished in the cache;  x (H, W, n, C), w (C, K)"""
    for rows in pieces(*out.shape):
        y = space("piece", (rows.stop - rows.start, *out.shape[1:]))
        np.matmul(x[rows].reshape(-1, x.shape[3]), w, out=y.reshape(-1, len(b)))
        finish(space, y, b, out[rows], None if shortcut is None else shortcut[rows], relu)


def pieces(H, W, n, K):
    """The rows of each piece of an output (H, W, n, K)."""
    high = max(PIECE // (W * n * K), ROWS // (W * n), 1)
    return [slice(i, min(i + high, H)) for i in range(0, H, high)]


def every(space, x, stride):
    """The pixels of x (H, W, n, C) that a 1x1 convolution of that stride sees, in one piece."""
    if stride == 1:
        return x
    seen = space("seen", x[::stride, ::stride].shape)
    seen[...] = x[::stride, ::stride]
    return seen


# ---- blocks --------------------------------------------------------------------------------------------------------

class FastBlock:
    """A residual block. Layers of the same shapes share all arrays but their weights."""

    def __init__(self, theta, running, block, space):
        self.space = space
        self.branch = [layer_of(theta, running, conv, space, "h" if number else "x")
                       for number, conv in enumerate(block.branch)]
        self.shortcut = block.shortcut and layer_of(theta, running, block.shortcut, space, "x")

    def place(self, shape):
        """Where the block finds its input."""
        return self.branch[0].place(shape)

    def forward(self, x, following):
        """x (H, W, n, C) -> (h, w, n, K), where the following block finds it: in the place of x, if it is as large."""
        h = x
        for layer, behind in zip(self.branch, self.branch[1:]):
            h = layer.forward(h, behind.place(shape_behind(layer.conv, h)))
        if self.shortcut:
            place = self.space("shortcut", shape_behind(self.shortcut.conv, x))
            x = self.shortcut.forward(x, place, relu=False)
        out = following.place(x.shape) if following else self.space("x", x.shape)
        return self.branch[-1].forward(h, out, x)


def layer_of(theta, running, conv, space, name):
    """The layer for a Conv; name: x where its input is the block's, else h."""
    w, b = folded(theta, running, conv)
    kind = Winograd if conv.R == 3 else Pointwise
    return kind(conv, w.astype(space.dtype), b.astype(space.dtype), space, name)


def shape_behind(conv, x):
    """The shape of a Conv's output for x (H, W, n, C)."""
    H, W, n, _ = x.shape
    return -(-H // conv.stride), -(-W // conv.stride), n, conv.K


class Pointwise:
    """A 1x1 convolution: a matrix product, piece by piece."""

    def __init__(self, conv, w, b, space, name):
        self.conv, self.b, self.space, self.name = conv, b, space, name
        self.w = np.ascontiguousarray(w[0, 0])

    def place(self, shape):
        """An array for the input."""
        return self.space(self.name, shape)

    def forward(self, x, out, shortcut=None, relu=True):
        """out = ReLU(x w + b + shortcut)"""
        product(self.space, every(self.space, x, self.conv.stride), self.w, self.b, out, shortcut, relu)
        return out


class Winograd:
    """A 3x3 convolution; its transformed weights take four times the memory."""

    def __init__(self, conv, w, b, space, name):
        self.conv, self.b, self.space, self.name = conv, b, space, name
        self.filters = Filters(conv.C, conv.K, conv.stride, space.dtype, lambda name, shape: np.empty(shape, w.dtype))
        self.filters.forward(w)

    def place(self, shape):
        """The inside of a frame of zeros."""
        return self.plan(shape).x

    def plan(self, shape):
        """The Convolution for an input of that shape."""
        return self.space.convolution(self.name, shape, self.conv.K, self.conv.stride)

    def forward(self, x, out, shortcut=None, relu=True):
        """out = ReLU(conv(x) + b + shortcut);  x is where `place` said"""
        y = self.space("y", out.shape)
        self.plan(x.shape).forward(self.filters, y)
        finish(self.space, y, self.b, out, shortcut, relu)
        return out
