"""Tiles of conv.cu, and sums over groups of slots: by their definitions, without a compiler and without a GPU."""
from itertools import product
from math import prod
from types import SimpleNamespace

import numpy as np
import pytest

from core.kernels.convolution import GROUP, TILES, conv_shared, conv_tile, few_slots
from core.kernels.variant import variant

CHANNELS, COLUMNS = (16, 32, 64, 128), (4, 8, 12, 16, 28, 32, 56)
SMALL, OLDER, H200 = 48 << 10, 99 << 10, 227 << 10        # bytes of shared memory that a block may have


class Recorder:
    """A program that computes what fewer_slots is to compute, at once, as many blocks of it as are asked for."""
    variant, clusters = variant("rpc"), False

    def array(self, shape, dtype):
        return np.full(shape, np.nan, dtype)

    def launch(self, file, kernel, grid, threads, arguments):
        sums, out, slots, columns, group = arguments
        assert (file, kernel, threads, int(slots), int(columns)) == ("norm.cu", "fewer_slots", columns, *(
            len(sums), sums[0].size))
        for block in range(*grid):
            out[block] = sums[block * int(group):(block + 1) * int(group)].sum(axis=0)


@pytest.mark.parametrize("slots", [1, 500, 2000, 16 * GROUP * 20, 16 * GROUP * 20 + 1])
def test_groups_of_slots_lose_no_slot(slots):
    sums = np.random.default_rng(slots).standard_normal((slots, 2, 64)).astype(np.float32)
    found = few_slots(Recorder(), sums)
    assert found.nbytes <= 64 << 10 and (found is sums) == (sums.nbytes <= 64 << 10)
    np.testing.assert_allclose(found.sum(axis=0), sums.sum(axis=0, dtype=np.float64), atol=1e-2)


@pytest.mark.parametrize("half", [False, True], ids=["whole", "half"])
@pytest.mark.parametrize("largest", [SMALL, OLDER, H200])
def test_the_largest_tile_is_chosen_that_fits(largest, half):
    program = SimpleNamespace(dtype=np.dtype(np.float16), clusters=False, largest=largest,
                              variant=variant("rpch" if half else "rpc"))
    for C, K, v in product(CHANNELS, CHANNELS, COLUMNS):
        fitting = [candidate for candidate in candidates(K, v, half)
                   if conv_shared(program, 3, C, candidate[1], 1, False, *candidate[::2]) <= largest]
        tile, KT, WM, WK = conv_tile(program, 3, C, K, 1, False, v)
        assert (tile, KT, WM * WK) == fitting[0]
        pixels = prod(tile) // WM                                                    # of a warp
        assert KT % (16 * WK) == 0 and (pixels >= 32 or KT == 16 * WK) and (WK == 1 or pixels < 64)


def candidates(K, v, half):
    """(tile, KT, warps) in the order in which they are wanted: the most channels, then the widest tile.

    At most 64 sums for each of the 32 threads of a warp. Half tiles: with half as many warps, in wide images.
    """
    most = 4 if half and v > 8 else 8
    for limit, tile in product((64, 32, 16), TILES["conv"]):
        KT = min(K, limit, 16384 // prod(tile))
        sums = prod(tile) * KT / 32
        filled = v / tile[2] >= 3 / 4 or tile[2] == min(columns for *_, columns in TILES["conv"])
        if filled and sums / most <= 64:
            yield tile, KT, 8 if most == 8 and sums / 8 >= 32 else 4
