"""Fine-tuning by nets/resnet.py with frozen batch normalisation for a CPU: the same gradients, but for rounding.

    net = FastPretrained(theta, running)       in the place of Pretrained(theta, running)

With constant moments the normalisation is part of the convolution, y = conv(x, w s) + b with s = gamma / std. So the
forward pass keeps nothing but what each convolution saw, half of what the readable one keeps; and from the gradient G
of w s and the sum d of that of y come all three:

    dw = G s,   dbeta = d,   dgamma = (sum w G - mean d) / std          since  sum dy conv(x, w) = sum w G

A step of ResNet-50 on 8 photographs takes 0.41 s for an image, the readable network 0.64 (benchmarks/resnet.py).

Layer after layer goes through all blocks of images: 1x1 convolutions as products, 3x3 by core/fast/winograd.py.
Activations (H, W, n, C) as in nets/resnet_fast.py; x, out, dout: lists of blocks.
"""
import math
from typing import NamedTuple

import numpy as np

from core.fast.norm import mask
from core.fast.workspace import Workspace
from nets import resnet
from nets.resnet import EPS, STD, Pretrained, block_plan
from nets.resnet_fast import every, finish, largest, mean_forward, product, shape_behind

BLOCK_PIXELS = 8 * 224 * 224           # of the images in a block


class Folded(NamedTuple):
    """A convolution with its batch normalisation."""
    conv: object                       # Conv
    w: np.ndarray                      # (R, R, C, K), w s
    b: np.ndarray                      # (K,)
    raw: np.ndarray                    # w
    scale: np.ndarray                  # s
    mean: np.ndarray
    inv_std: np.ndarray


class FastPretrained(Pretrained):
    """The functions of Pretrained; with the batch's statistics (arch.frozen false), or no images, they are its own."""

    def __init__(self, theta, running):
        super().__init__(theta, running)
        self.spaces = {}

    def forward(self, theta, x, arch):
        """x (N, H, W, 3) -> logits (N, classes); returns (logits, cache), good until the next forward."""
        if not arch.frozen or len(x) == 0:
            return super().forward(theta, x, arch)
        space = self.spaces.setdefault(theta["conv"].dtype, Workspace(theta["conv"].dtype))
        folded = {conv.name: fold(theta, self.constants, conv) for conv in resnet.convolutions(arch)}
        n = block_length(*x.shape[1:3])
        images = [x[k:k + n] for k in range(0, len(x), n)]
        plan = block_plan(arch)
        first = places(space, plan[0].branch[0], pooled([part.shape for part in images], arch))
        maps, stems = stem_forward(space, images, folded["conv"], first)
        kept = []
        for block, following in zip(plan, [*plan[1:], None]):
            maps, inputs = block_forward(space, folded, block, maps, following)
            kept.append(inputs)
        features = np.concatenate([mean_forward(block) for block in maps])
        logits = features @ theta["linear.w"] + theta["linear.b"]
        return logits, (arch, self.constants, (space, theta, folded, images, stems, kept, maps, features))

    def backward(self, dlogits, cache):
        """The gradient with respect to theta, under the names of theta."""
        arch, _, caches = cache
        if isinstance(caches, dict):
            return super().backward(dlogits, cache)
        space, theta, folded, images, stems, kept, maps, features = caches
        g = {"linear.w": features.T @ dlogits, "linear.b": dlogits.sum(axis=0)}
        dout = mean_backward(space, dlogits @ theta["linear.w"].T, maps)
        for number, block in reversed(list(enumerate(block_plan(arch)))):
            dout = block_backward(space, folded, block, dout, kept[number], maps, f"dx {number % 2}", g)
            maps = kept[number][0]
        stem_backward(space, images, folded["conv"], dout, maps, stems, g)
        return g


def block_length(H, W):
    """How many images of H x W pixels make a block."""
    return max(1, BLOCK_PIXELS // (H * W))


def fold(theta, running, conv):
    """The Folded of a Conv, in the dtype of theta."""
    w, gamma, beta = theta[conv.name], theta[f"{conv.bn}.gamma"], theta[f"{conv.bn}.beta"]
    mean, inv_std = running[f"{conv.bn}.mean"], 1 / np.sqrt(running[f"{conv.bn}.var"] + EPS)
    scale = (gamma * inv_std).astype(w.dtype)
    return Folded(conv, w * scale, (beta - mean * scale).astype(w.dtype), w, scale, mean, inv_std)


def unfold(folded, G, d, g):
    """Enter the gradients of w, gamma and beta in g, from G of w s and d of b."""
    conv, dtype = folded.conv, G.dtype
    products = np.einsum("rqck,rqck->k", folded.raw, G)
    g[conv.name], g[f"{conv.bn}.beta"] = G * folded.scale, d
    g[f"{conv.bn}.gamma"] = ((products - folded.mean * d) * folded.inv_std).astype(dtype)


# ---- a convolution -------------------------------------------------------------------------------------------------

def places(space, conv, shapes):
    """Arrays for the input of a Conv, which keep it for the backward pass: of a 3x3 one the insides of frames."""
    if conv.R == 1:
        return [space(f"{conv.name} {i}", shape) for i, shape in enumerate(shapes)]
    return [space.convolution(f"{conv.name} {i}", shape, conv.K, conv.stride).x for i, shape in enumerate(shapes)]


def shapes_behind(conv, x):
    """Of the output for the blocks x."""
    return [shape_behind(conv, block) for block in x]


def unit_forward(space, folded, x, out, shortcut=None, relu=True):
    """out = ReLU(conv(x, w s) + b + shortcut), block by block."""
    conv = folded.conv
    filters = space.filters(conv.C, conv.K, conv.stride) if conv.R == 3 else None
    if filters:
        filters.forward(folded.w)
    for i, block in enumerate(x):
        base = None if shortcut is None else shortcut[i]
        if filters is None:
            product(space, every(space, block, conv.stride), folded.w[0, 0], folded.b, out[i], base, relu)
            continue
        y = space("y", out[i].shape)
        space.convolution(f"{conv.name} {i}", block.shape, conv.K, conv.stride).forward(filters, y)
        finish(space, y, folded.b, out[i], base, relu)
    return out


def unit_backward(space, folded, dout, x, dx, g):
    """dx, block by block, from dout of the sum before ReLU; the gradients of the unit's parameters are entered in g."""
    conv, d = folded.conv, np.zeros(folded.conv.K, folded.w.dtype)
    for block in dout:
        M = math.prod(block.shape[:3])
        d += np.ones(M, block.dtype) @ block.reshape(M, conv.K)
    if conv.R == 1:
        G = np.zeros((1, 1, conv.C, conv.K), folded.w.dtype)
        for i, block in enumerate(x):
            seen, dy = every(space, block, conv.stride), dout[i].reshape(-1, conv.K)
            G[0, 0] += seen.reshape(-1, conv.C).T @ dy
            dseen = dx[i] if conv.stride == 1 else space("dseen", seen.shape)
            np.matmul(dy, folded.w[0, 0].T, out=dseen.reshape(-1, conv.C))
            if conv.stride > 1:
                dx[i][...] = 0
                dx[i][::conv.stride, ::conv.stride] = dseen
    else:
        filters = space.filters(conv.C, conv.K, conv.stride)
        filters.backward(folded.w)
        for i, block in enumerate(x):
            plan = space.convolution(f"{conv.name} {i}", block.shape, conv.K, conv.stride)
            plan.dy[...] = dout[i]
            plan.backward(filters, dx[i])
        G = filters.gradient()
    unfold(folded, G, d, g)
    return dx


# ---- a block -------------------------------------------------------------------------------------------------------

def block_forward(space, folded, block, x, following):
    """(the block's output, where the following block finds it; [what each convolution of the branch saw])"""
    inputs = [x]
    for conv, behind in zip(block.branch, block.branch[1:]):
        out = places(space, behind, shapes_behind(conv, inputs[-1]))
        inputs.append(unit_forward(space, folded[conv.name], inputs[-1], out))
    shapes = shapes_behind(block.branch[-1], inputs[-1])
    if block.shortcut:
        shortcut = [space(f"shortcut {i}", shape) for i, shape in enumerate(shapes)]
        x = unit_forward(space, folded[block.shortcut.name], x, shortcut, relu=False)
    out = (places(space, following.branch[0], shapes) if following else
           [space(f"last {i}", shape) for i, shape in enumerate(shapes)])
    return unit_forward(space, folded[block.branch[-1].name], inputs[-1], out, x), inputs


def block_backward(space, folded, block, dout, inputs, out, name, g):
    """The gradient of the block's input, in arrays of that name, from that of its output, which is used up."""
    masked(space, dout, out)
    dh = dout
    for number in reversed(range(len(inputs))):
        x, place = inputs[number], f"dh {number}" if number else name
        dx = [space(f"{place} {i}", part.shape) for i, part in enumerate(x)]
        dh = unit_backward(space, folded[block.branch[number].name], dh, x, dx, g)
        if number:
            masked(space, dh, x)
    if block.shortcut:
        dx = [space(f"dshortcut {i}", part.shape) for i, part in enumerate(inputs[0])]
        dout = unit_backward(space, folded[block.shortcut.name], dout, inputs[0], dx, g)
    for part, other in zip(dh, dout):
        part += other
    return dh


def masked(space, dout, out):
    """dout = 0 where the output of ReLU is 0"""
    for block, h in zip(dout, out):
        mask(space, block, h)


# ---- the ends ------------------------------------------------------------------------------------------------------

def pooled(shapes, arch):
    """Shapes behind the pooling of blocks of images of these shapes (n, H, W, 3)."""
    return [(-(-H // 4), -(-W // 4), n, arch.widths[0]) for n, H, W, _ in shapes]


def patches_of(space, images):
    """For each row of the stem's output its patches (w, n, 147), good until the next one.  images (n, H, W, 3)"""
    n, H, W, _ = images.shape
    frame = space("frame", (H + 6, n, W + 6, 3))
    np.divide(images.transpose(1, 0, 2, 3), STD.astype(frame.dtype), out=frame[3:H + 3, :, 3:W + 3])
    row, image, pixel, item = frame.strides
    h, w = -(-H // 2), -(-W // 2)
    patches = space("patches", (w, n, 7, 21))
    for i in range(h):
        patches[...] = np.lib.stride_tricks.as_strided(frame[2 * i:], patches.shape, (2 * pixel, image, row, item))
        yield patches.reshape(w * n, 147)


def stem_forward(space, images, folded, out):
    """(out = ReLU(maxpool(conv(x)) + b), [(conv(x), its maximum over columns, that over rows too)])

    Columns first: then of equal numbers the first counts, row by row, as in core/layers.py.
    """
    kept, w = [], folded.w.reshape(147, -1)
    for i, block in enumerate(images):
        h, width, n, K = -(-block.shape[1] // 2), -(-block.shape[2] // 2), len(block), w.shape[1]
        y, across = space(f"stem {i}", (h, width, n, K)), space(f"across {i}", (h, -(-width // 2), n, K))
        top = space(f"top {i}", out[i].shape)
        for row, patches in enumerate(patches_of(space, block)):
            np.matmul(patches, w, out=y[row].reshape(-1, K))
        largest(y.swapaxes(0, 1), across.swapaxes(0, 1))
        largest(across, top)
        before = space("top", top.shape)
        before[...] = top
        finish(space, before, folded.b, out[i])
        kept.append((y, across, top))
    return out, kept


def stem_backward(space, images, folded, dout, out, kept, g):
    """The gradients of the stem's parameters, entered in g, from that of its pooled output, which is used up."""
    masked(space, dout, out)
    K = folded.conv.K
    G, d = np.zeros((147, K), folded.w.dtype), np.zeros(K, folded.w.dtype)
    for block, part, (y, across, top) in zip(images, dout, kept):
        d += part.reshape(-1, K).sum(axis=0)
        dacross, dy = space("dacross", across.shape), space("dy stem", y.shape)
        largest_backward(part, top, across, dacross)
        largest_backward(*(a.swapaxes(0, 1) for a in (dacross, across, y, dy)))
        for row, patches in enumerate(patches_of(space, block)):
            G += patches.T @ dy[row].reshape(-1, K)
    unfold(folded, G.reshape(folded.w.shape), d, g)


def largest_backward(dout, out, x, dx):
    """dx of nets/resnet_fast.py: largest; dout[i] goes to the first of x[2i - 1], x[2i], x[2i + 1] that is out[i]"""
    dx[...] = 0
    free, H, last = np.ones(out.shape, bool), len(x), len(out) - 1
    for of_out, of_x in ((slice(1, None), slice(1, 2 * last, 2)), (slice(None), slice(0, None, 2)),
                         (slice(0, H // 2), slice(1, None, 2))):
        here = x[of_x] == out[of_out]
        here &= free[of_out]
        free[of_out] &= ~here
        dx[of_x] += dout[of_out] * here


def mean_backward(space, dmeans, x):
    """The gradient of the last stage's maps x from that of the means (N, K)."""
    dx, k = [], 0
    for i, block in enumerate(x):
        H, W, n, K = block.shape
        dx.append(space(f"dx last {i}", block.shape))
        dx[i][...] = dmeans[k:k + n] / (H * W)
        k += n
    return dx
