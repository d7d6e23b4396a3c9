"""Launches of conv.cu and wgrad.cu: which tile for which image, how many blocks, how much shared memory.

N images, H x W pixels in, h x v out, C channels in, K out, R x R filter; a tile is (images, rows, columns) of pixels out.
"""
from math import prod

import numpy as np

from core.kernels.program import NULL, integers

WARPS = 4
BLOCKS = 256              # of a weight gradient: about two on each multiprocessor of a large GPU; fixed, so that its sums are, too
LARGEST = 96 * 1024       # bytes of shared memory of a block: what every GPU from compute capability 8.0 on has
TILES = {"conv": ((1, 8, 32), (1, 8, 16), (2, 8, 8), (1, 8, 8)), "wgrad": ((1, 4, 32), (1, 8, 16), (2, 8, 8), (1, 8, 8))}


def conv(program, x, norm, w, out, stride=1, spread=1, turned=False, added=NULL, gate=NULL, gate_norm=NULL, sums=True):
    """Write conv.cu down for x (N, H, W, C) and out (N, h, v, K); returns the sums (tiles, 2, K), NULL unless asked for."""
    (N, H, W, C), (_, h, v, K), R = x.shape, out.shape, len(w)
    tile, KT = conv_tile(program, R, C, K, stride, turned, v)
    tiles = tiles_of(tile, N, h, v)
    sums = program.array((tiles, 2, K), np.float32) if sums else NULL
    numbers = (R, C, K, stride, spread, str(turned).lower(), *tile, KT, WARPS)
    program.launch("conv.cu", f"conv<T, {', '.join(map(str, numbers))}>", (tiles, K // KT), 32 * WARPS,
                   (x, norm, w, added, gate, gate_norm, out, sums, *integers(N, H, W, h, v)),
                   conv_shared(program, R, C, KT, stride, turned, tile))
    return sums


def wgrad(program, x, norm, dy, slots, R, stride=1):
    """Write wgrad.cu down for x (N, H, W, C), dy (N, h, v, K) and slots (parts, R, R, C, K)."""
    (N, H, W, C), (_, h, v, K) = x.shape, dy.shape
    tile, CT, KT = wgrad_tile(program, R, C, K, stride, v)
    numbers = (R, C, K, stride, *tile, CT, KT)
    program.launch("wgrad.cu", f"wgrad<T, {', '.join(map(str, numbers))}>", (C // CT * (K // KT), len(slots)), 32 * R * R,
                   (x, norm, dy, slots, *integers(N, H, W, h, v)), wgrad_shared(program, R, CT, KT, stride, tile))


def wgrad_parts(program, R, C, K, stride, N, h, v):
    """Into how many parts the sum over the pixels is cut."""
    tile, CT, KT = wgrad_tile(program, R, C, K, stride, v)
    return min(tiles_of(tile, N, h, v), max(1, BLOCKS // (C // CT * (K // KT))))


# ---- tiles ---------------------------------------------------------------------------------------------------------

def conv_tile(program, R, C, K, stride, turned, v):
    """(tile, KT) of conv.cu. KT: as many as leave 64 registers of sums to a thread; for small images fewer, for more blocks."""
    for limit in (64, 32, 16):
        for tile in fitting("conv", v):
            KT = min(K, limit, 32 if prod(tile) == 256 or v < 12 else 64)
            if conv_shared(program, R, C, KT, stride, turned, tile) <= LARGEST:
                return tile, KT


def wgrad_tile(program, R, C, K, stride, v):
    """(tile, CT, KT) of wgrad.cu."""
    CT, KT = min(C, 32), min(K, 32)
    return next(tile for tile in fitting("wgrad", v) if wgrad_shared(program, R, CT, KT, stride, tile) <= LARGEST), CT, KT


def fitting(kernel, v):
    """The tiles that an image of v columns fills by three quarters, the widest first."""
    return [tile for tile in TILES[kernel] if 4 * v >= 3 * tile[2] or tile[2] == 8]


def tiles_of(tile, N, h, v):
    """How many tiles cover N images of h x v."""
    images, rows, columns = tile
    return -(-N // images) * -(-h // rows) * -(-v // columns)


def halo(tile, R, stride):
    """How many pixels of x a tile needs."""
    images, rows, columns = tile
    return images * ((rows - 1) * stride + R) * ((columns - 1) * stride + R)


def conv_shared(program, R, C, KT, stride, turned, tile):
    """Bytes of shared memory of conv.cu: x and two slabs of w, later the sums of the products."""
    size = program.dtype.itemsize
    VEC = 16 // size
    slab = KT * (C + VEC) if turned else C * (KT + 8)
    stage = 4 * max(prod(tile) * (KT + 4), 32 * WARPS * 2 * VEC)
    return max(size * (halo(tile, R, stride) * (C + VEC) + 2 * slab), stage)


def wgrad_shared(program, R, CT, KT, stride, tile):
    """Bytes of shared memory of wgrad.cu: a chunk of x and of dy."""
    return program.dtype.itemsize * (halo(tile, R, stride) * (CT + 8) + prod(tile) * (KT + 8))
