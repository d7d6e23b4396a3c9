"""Launches of conv.cu and wgrad.cu: which tile for which image, how many blocks, how much shared memory.

N images, H x W pixels in, h x v out, C channels in, K out, R x R filter; a tile is (images, rows, columns) of pixels out.
"""
from math import gcd, prod
from typing import NamedTuple

import numpy as np

from core.kernels.program import NULL, integers

# Blocks of a weight gradient: one for each of the 132 multiprocessors of an H200. There it finds room beside one block of conv.cu
# (core/kernels/variant.py), so that the two branches of a step run at the same time; two blocks would leave no room, and need twice
# the slots. A block of a 1x1 filter is a single warp: of them a multiprocessor takes four, or it would wait for memory most of the
# time (predicted: 60 us less for three layers). The same numbers on every GPU: it does not decide what bits the sums have.
BLOCKS = 132
SINGLE = 4
CHUNK = 27 * 1024         # bytes of a chunk of wgrad.cu that the registers of a block hold beside the sums, on its way
ADDED_UP = 64 * 1024      # bytes of sums that every block of the next kernel adds up for itself
CLUSTER = 8               # blocks that do so together, where clusters are asked for: as many as every GPU that has them allows
GROUP = 16                # slots that become one where there are more
TILES = {"conv": ((1, 16, 32), (1, 8, 32), (1, 16, 16), (1, 8, 16), (2, 8, 8), (1, 8, 8)),
         "wgrad": ((1, 4, 32), (1, 8, 16), (1, 4, 16), (2, 8, 8), (1, 8, 8))}


class Source(NamedTuple):
    """What a convolution reads, and what it makes of that on its way in: the first arguments of conv.cu, by their names there."""
    kind: str
    x: object
    before: object = NULL
    came_round: object = NULL
    kept: object = NULL
    sums: object = NULL
    affine: object = NULL
    norm: object = NULL
    statistics: object = NULL

    @property
    def slots(self):
        """How many slots the sums have; 0 without sums."""
        return 0 if self.sums is NULL else len(self.sums)


def plain(x):
    """x itself."""
    return Source("PLAIN", x)


def given(x, norm):
    """max(z, 0), z = x normalised by the running statistics."""
    return Source("GIVEN", x, norm=norm)


def batch(x, sums, affine, norm, moments):
    """max(z, 0), z = x normalised by the batch's statistics; norm and moments are filled."""
    return Source("BATCH", x, sums=sums, affine=affine, norm=norm, statistics=moments)


def gradient(g, sums, x, norm, came_round, kept, affine_gradient):
    """The gradient of x from g, that behind its normalisation, plus what came round; kept and affine_gradient are filled."""
    return Source("GRADIENT", g, x, came_round, kept, sums, NULL, norm, affine_gradient)


def conv(program, source, w, out, stride=1, spread=1, turned=False, added=NULL, gate=NULL, gate_norm=NULL, sums=True):
    """Write conv.cu down for a source (N, H, W, C) and out (N, h, v, K); returns the sums (tiles, 2, K), NULL unless asked for."""
    (N, H, W, C), (_, h, v, K), R = source.x.shape, out.shape, len(w)
    tile, KT, WM, WK = conv_tile(program, R, C, K, stride, turned, v)
    tiles = tiles_of(tile, N, h, v)
    sums = program.array((tiles, 2, K), np.float32) if sums else NULL
    cluster = gcd(tiles, CLUSTER) if program.clusters and source.slots else 1
    numbers = (source.kind, R, C, K, stride, spread, str(turned).lower(), *tile, KT, WM, WK, *[cluster] * (cluster > 1))
    program.launch("conv.cu", f"conv<T, {', '.join(map(str, numbers))}>", (tiles, K // KT), 32 * WM * WK,
                   (*source[1:], w, added, gate, gate_norm, out, sums, *integers(N, H, W, h, v, source.slots)),
                   conv_shared(program, R, C, KT, stride, turned, tile, WM * WK))
    return few_slots(program, sums)


def few_slots(program, sums):
    """The sums (slots, 2, C), or the sums of groups of them: as many as every block of the next kernel can add up for itself."""
    while sums is not NULL and sums.nbytes > ADDED_UP * (CLUSTER if program.clusters else 1):
        some, columns = program.array((-(-len(sums) // GROUP), *sums.shape[1:]), np.float32), sums[0].size
        program.launch("norm.cu", "fewer_slots", (len(some),), columns, (sums, some, *integers(len(sums), columns, GROUP)))
        sums = some
    return sums


def wgrad(program, layers, stride=1):
    """Write wgrad.cu down for layers of one shape, each (x (N, H, W, C), norm, dy (N, h, v, K), slots (parts, R, R, C, K))."""
    x, _, dy, slots = layers[0]
    (N, H, W, C), (_, h, v, K), (parts, R, *_) = x.shape, dy.shape, slots.shape
    tile, CT, KT = wgrad_tile(program, R, C, K, stride, v)
    numbers = (R, C, K, stride, *tile, CT, KT)
    grid = C // CT * (K // KT), parts, len(layers)
    program.launch("wgrad.cu", f"wgrad<T, {', '.join(map(str, numbers))}>", grid, 32 * R * R,
                   (program.addresses(layers), *integers(N, H, W, h, v)), wgrad_shared(program, R, CT, KT, stride, tile))


def wgrad_parts(program, R, C, K, stride, N, h, v, layers=1):
    """Into how many parts the sum over the pixels is cut, for so many layers in one launch."""
    tile, CT, KT = wgrad_tile(program, R, C, K, stride, v)
    blocks = BLOCKS * (SINGLE if R == 1 else 1) * (2 if program.variant.one_branch else 1)
    return min(tiles_of(tile, N, h, v), max(1, blocks // (C // CT * (K // KT) * layers)))


# ---- tiles ---------------------------------------------------------------------------------------------------------

def conv_tile(program, R, C, K, stride, turned, v):
    """(tile, KT, WM, WK) of conv.cu: the most channels, then the largest tile, that fit into the GPU's shared memory.

    At most 64 sums for a thread of 8 warps; 4 warps where a thread would have fewer than 32. A warp has 32 pixels or more, so that
    what it fetches of w is used twice: where a tile has too few pixels for its warps, they share the channels. Half tiles: 64 sums
    for a thread of 4 warps, where an image has pixels enough. (In stage 3 each of twice the blocks would fetch all of w once more.)
    """
    halved = program.variant.half_tiles and v > 8
    for limit in (64, 32, 16):
        for tile in fitting("conv", v):
            KT = min(K, limit, 16384 // prod(tile))
            warps = 8 if prod(tile) * KT >= 8192 and not halved else 4
            if halved and prod(tile) * KT > 8192:
                continue
            WK = min(KT // 16, max(1, 32 * warps // prod(tile)))
            if conv_shared(program, R, C, KT, stride, turned, tile, warps) <= program.largest:
                return tile, KT, warps // WK, WK


def wgrad_tile(program, R, C, K, stride, v):
    """(tile, CT, KT) of wgrad.cu: the first tile that is a small enough chunk, or the last."""
    CT, KT, tiles = min(C, 32), min(K, 32), fitting("wgrad", v)
    return next((tile for tile in tiles if wgrad_shared(program, R, CT, KT, stride, tile) <= CHUNK), tiles[-1]), CT, KT


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


def conv_shared(program, R, C, KT, stride, turned, tile, warps):
    """Bytes of shared memory of conv.cu: x, two slabs of w, what normalises x and what a cluster shares; before and after that,
    what is being added up.
    """
    size = program.dtype.itemsize
    VEC = 16 // size
    slab = KT * (C + VEC) if turned else C * (KT + 8)
    adding, found = 4 * 32 * warps * 2 * VEC, (28 if program.clusters else 12) * C
    return max(size * (halo(tile, R, stride) * (C + VEC) + 2 * slab) + found, 4 * prod(tile) * (KT + 4), adding)


def wgrad_shared(program, R, CT, KT, stride, tile):
    """Bytes of shared memory of wgrad.cu: a chunk of x, of which a 1x1 filter needs no more pixels than of dy, and of dy."""
    return program.dtype.itemsize * (halo(tile, R, stride if R > 1 else 1) * (CT + 8) + prod(tile) * (KT + 8))
