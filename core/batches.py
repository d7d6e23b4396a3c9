"""From stored images to what the network sees: the order of the batches, crops and flips,
the mean image.

Order and augmentation are functions of (seed, epoch), with no state between epochs: a run that is
resumed goes on exactly as if it had not been interrupted.
Everything that touches pixels runs on the device of the pixels.

N images, B batch, H x W pixels.
"""
from functools import singledispatch
from typing import NamedTuple

import numpy as np

from core.backend import fused, to_device, xp_of


class Images(NamedTuple):
    """Stored images and how they are shown to the network."""
    pixels: object                     # (N, H, W, 3) uint8
    mean: object                 # (H, W, 3) float32, the mean image of the training part, in [0, 1]
    pad: int                           # crops are shifted by up to `pad` pixels
    flip: bool                         # half of the images are mirrored

    def on(self, xp):
        """The same on the device of xp."""
        return self._replace(pixels=to_device(self.pixels, xp), mean=to_device(self.mean, xp))


# DEVIATION 9: of this run's training images; the official code reuses a stored one (docs/paper.md)
def mean_image(pixels):
    """(N, H, W, 3) uint8 -> (H, W, 3) float32 in [0, 1]"""
    return (pixels.mean(axis=0, dtype=np.float64) / 255).astype(np.float32)


# ---- the order -----------------------------------------------------------------------------------

def batches(n, size, seed, epoch, xp=np):
    """The batches of one epoch:  (i (size,) rows on the device of xp, how many of them are of this
    epoch's pass).

    The passes over the n samples, each in a random order of its own, follow one another without a
    gap, and the batches are cut from that stream: all are full, and the last of an epoch may reach
    into the next pass (as in the official code). So an epoch has floor or ceil of n / size batches.
    """
    # batches are numbered from the start of the training
    first, end = -(-epoch * n // size), -(-(epoch + 1) * n // size)
    # the last batch begins in the first of these passes
    passes = range(epoch, epoch + 2 + (size - 1) // n)
    stream = np.concatenate([np.random.default_rng([seed, e]).permutation(n) for e in passes])
    stream = to_device(stream[first * size - epoch * n:end * size - epoch * n], xp)
    for k in range(first, end):
        batch = stream[(k - first) * size:(k - first + 1) * size]
        yield batch, min(size, (epoch + 1) * n - k * size)


# ---- the pixels; core/features.py has both functions for feature vectors ------------------------

@singledispatch
def unaugmented(images, rows):
    """x (B, H, W, 3) float32: pixels / 255 - mean;  rows: a slice or an index array"""
    return images.pixels[rows].astype(np.float32) / 255 - images.mean


@singledispatch
def augmented(images, i, seed, epoch):
    """x (B, H, W, 3) float32: the images i (B,), centred, zero-padded, cropped at random,
    mirrored at random.

    The padding is zero after the mean has been subtracted,
    so that it has the colour of the mean image.
    """
    xp = xp_of(images.pixels)
    _, H, W, C = images.pixels.shape
    down, right, mirrored = draws(i, seed, epoch, images.pad)               # (B,) each
    columns = xp.where((mirrored & images.flip)[:, None], xp.arange(W - 1, -1, -1), xp.arange(W))
    y = xp.arange(H) + down[:, None]                            # (B, H) where each pixel comes from
    x = columns + right[:, None]                                            # (B, W)
    inside = ((y >= 0) & (y < H))[:, :, None] & ((x >= 0) & (x < W))[:, None, :]
    source = (xp.clip(y, 0, H - 1) * W)[:, :, None] + xp.clip(x, 0, W - 1)[:, None, :]   # (B, H, W)
    pixels = xp.take(images.pixels.reshape(-1, C), source + (i * (H * W))[:, None, None], axis=0)
    out = pixels.astype(np.float32) / 255 - xp.take(images.mean.reshape(-1, C), source, axis=0)
    return out * inside[..., None]


# DEVIATION 8: the official code draws crops and flips from a generator that is not seeded
# (docs/paper.md)
def draws(i, seed, epoch, pad):
    """(down, right, mirrored) of the samples i (B,): shifts in -pad .. pad, and booleans."""
    return shift_and_flip(hashed(i, seed, epoch), 2 * pad + 1, pad)


def hashed(i, seed, epoch):
    """32 random bits (B,) uint32 for each of the samples i (B,): a hash of (seed, epoch, i).

    Integers only: the same bits on every device, whatever the order and the size of the batches.
    """
    key = mixed(np.full(1, seed & 0xFFFFFFFF, np.uint32))           # of all samples, so on the host
    key = mixed(key ^ np.full(1, epoch, np.uint32))
    return mixed(i.astype(np.uint32) ^ key[0])


@fused
def shift_and_flip(bits, shifts, pad):
    """(down, right, mirrored) from the bits (B,) of a hash.

    12 bits each are scaled to 0 .. shifts - 1 = 2 pad; the highest bit decides on the mirror image.
    """
    down = ((bits & 0xFFF) * shifts >> 12).astype(np.int64) - pad
    right = ((bits >> 12 & 0xFFF) * shifts >> 12).astype(np.int64) - pad
    return down, right, bits >> 31 == 1


@fused
def mixed(h):
    """A 32-bit mixing function (the finalizer of MurmurHash3):
    every bit of the result depends on every bit of h (B,) uint32."""
    h = (h ^ h >> 16) * 0x85EBCA6B
    h = (h ^ h >> 13) * 0xC2B2AE35
    return h ^ h >> 16
