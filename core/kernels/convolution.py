"""Launches of conv.cu and wgrad.cu: tile, number of blocks and shared memory for every image size.

N images, H x W pixels in, h x v out, C channels in, K out, R x R filter; a tile is (images, rows, columns) of output
pixels.
"""
from math import gcd, prod
from typing import NamedTuple

import numpy as np

from core.kernels.program import NULL, integers

# Blocks of a weight gradient: one per multiprocessor of an H200, which fits beside one block of conv.cu
# (core/kernels/variant.py), so that both branches of a step run concurrently. Two blocks would not fit, and need twice
# the slots. A block of a 1x1 filter is a single warp, so a multiprocessor gets SINGLE of them to hide memory latency
# (predicted: 60 us less for three layers). The numbers are the same on every GPU, so the bits of the sums are too.
BLOCKS = 132
SINGLE = 4
CHUNK = 27 * 1024         # bytes of a chunk of wgrad.cu: what a block's registers can prefetch beside the sums
ADDED_UP = 64 * 1024      # bytes of sums up to which every block of the next kernel reduces them itself
CLUSTER = 8               # blocks of a cluster that reduce them together: the portable maximum
GROUP = 16                # slots that fewer_slots reduces to one
TILES = {"conv": ((1, 16, 32), (1, 8, 32), (1, 16, 16), (1, 8, 16), (2, 8, 8), (1, 8, 8)),
         "wgrad": ((1, 4, 32), (1, 8, 16), (1, 4, 16), (2, 8, 8), (1, 8, 8))}


class Source(NamedTuple):
    """The input of a convolution and its transform on loading: the first arguments of conv.cu, with their names."""
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
        """Number of slots of the sums; 0 without sums."""
        return 0 if self.sums is NULL else len(self.sums)


def plain(x):
    """x itself."""
    return Source("PLAIN", x)


def given(x, norm):
    """max(z, 0), z = x normalised by the running statistics."""
    return Source("GIVEN", x, norm=norm)


def batch(x, sums, affine, norm, moments):
    """max(z, 0), z = x normalised by the batch's statistics; writes norm and moments."""
    return Source("BATCH", x, sums=sums, affine=affine, norm=norm, statistics=moments)


def gradient(g, sums, x, norm, came_round, kept, affine_gradient):
    """The gradient of x from g, the gradient after its normalisation, plus came_round; writes kept, affine_gradient."""
    return Source("GRADIENT", g, x, came_round, kept, sums, NULL, norm, affine_gradient)


def conv(program, source, w, out, stride=1, spread=1, turned=False, added=NULL, gate=NULL, gate_norm=NULL, sums=True):
    """Record a launch of conv.cu: source (N, H, W, C) -> out (N, h, v, K). Returns the sums (tiles, 2, K) or NULL."""
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
    """The sums (slots, 2, C), reduced over groups of slots until each block of the next kernel can finish them."""
    while sums is not NULL and sums.nbytes > ADDED_UP * (CLUSTER if program.clusters else 1):
        some, columns = program.array((-(-len(sums) // GROUP), *sums.shape[1:]), np.float32), sums[0].size
        program.launch("norm.cu", "fewer_slots", (len(some),), columns,
                       (sums, some, *integers(len(sums), columns, GROUP)))
        sums = some
    return sums


def wgrad(program, layers, stride=1):
    """Record a launch of wgrad.cu for layers of one shape.

    layers: [(x (N, H, W, C), norm, dy (N, h, v, K), slots (parts, R, R, C, K))].
    """
    x, _, dy, slots = layers[0]
    (N, H, W, C), (_, h, v, K), (parts, R, *_) = x.shape, dy.shape, slots.shape
    tile, CT, KT = wgrad_tile(program, R, C, K, stride, v)
    numbers = (R, C, K, stride, *tile, CT, KT)
    grid = C // CT * (K // KT), parts, len(layers)
    program.launch("wgrad.cu", f"wgrad<T, {', '.join(map(str, numbers))}>", grid, 32 * R * R,
                   (program.addresses(layers), *integers(N, H, W, h, v)),
                   wgrad_shared(program, R, CT, KT, stride, tile))


def wgrad_parts(program, R, C, K, stride, N, h, v, layers=1):
    """Number of parts of the sum over the pixels, for that number of layers in one launch."""
    tile, CT, KT = wgrad_tile(program, R, C, K, stride, v)
    blocks = BLOCKS * (SINGLE if R == 1 else 1) * (2 if program.variant.one_branch else 1)
    return min(tiles_of(tile, N, h, v), max(1, blocks // (C // CT * (K // KT) * layers)))


# ---- tiles ---------------------------------------------------------------------------------------------------------

def conv_tile(program, R, C, K, stride, turned, v):
    """(tile, KT, WM, WK) of conv.cu: the most channels, then the largest tile, that fit into the GPU's shared memory.

    At most 64 sums per thread with 8 warps; 4 warps if a thread would have fewer than 32. A warp has at least 32
    pixels, so that it uses each loaded w twice: in a tile with too few pixels the warps split the channels. Half
    tiles: 64 sums per thread with 4 warps, in large images. (In stage 3 twice as many blocks would each load all of w.)
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
    """(tile, CT, KT) of wgrad.cu: the first tile whose chunk fits into CHUNK, or the last."""
    CT, KT, tiles = min(C, 32), min(K, 32), fitting("wgrad", v)
    small = (tile for tile in tiles if wgrad_shared(program, R, CT, KT, stride, tile) <= CHUNK)
    return next(small, tiles[-1]), CT, KT


def fitting(kernel, v):
    """The tiles at least three quarters filled by an image of v columns, the widest first."""
    return [tile for tile in TILES[kernel] if 4 * v >= 3 * tile[2] or tile[2] == 8]


def tiles_of(tile, N, h, v):
    """Number of tiles that cover N images of h x v."""
    images, rows, columns = tile
    return -(-N // images) * -(-h // rows) * -(-v // columns)


def halo(tile, R, stride):
    """Number of pixels of x under a tile, its halo included."""
    images, rows, columns = tile
    return images * ((rows - 1) * stride + R) * ((columns - 1) * stride + R)


def conv_shared(program, R, C, KT, stride, turned, tile, warps):
    """Bytes of shared memory of conv.cu.

    In the main loop x, two slabs of w, the norm of x and the shared sums of a cluster; before and after it the partial
    sums.
    """
    size = program.dtype.itemsize
    VEC = 16 // size
    slab = KT * (C + VEC) if turned else C * (KT + 8)
    adding, found = 4 * 32 * warps * 2 * VEC, (28 if program.clusters else 12) * C
    return max(size * (halo(tile, R, stride) * (C + VEC) + 2 * slab) + found, 4 * prod(tile) * (KT + 4), adding)


def wgrad_shared(program, R, CT, KT, stride, tile):
    """Bytes of shared memory of wgrad.cu: a chunk of dy, and one of x (for a 1x1 filter only the pixels it reads)."""
    return program.dtype.itemsize * (halo(tile, R, stride if R > 1 else 1) * (CT + 8) + prod(tile) * (KT + 8))
