"""What ranks exchange: sums, copies, parts. Which of them live how long: tests/parallel/test_launch.py."""
import os
import sys
import time

import numpy as np
import pytest

from core.parallel.launch import launch
from core.parallel.ranks import SLOT, Serial, gathered, part_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="ranks need fork")

SIZES = [0, 1, 7, 1000, SLOT // 8 - 1, SLOT // 8 + 1, 3 * SLOT // 8 + 5]


def shares(size, length, dtype=np.float64):
    rng = np.random.default_rng(length)
    return [rng.standard_normal(length).astype(dtype) for _ in range(size)]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_allreduce_is_the_sum_in_the_order_of_the_ranks(size):
    def main(comm):
        found = [shares(size, length, dtype)[comm.rank] for length in SIZES for dtype in (np.float64, np.float32)]
        for array in found:
            comm.allreduce(array)
        return found

    for found, (length, dtype) in zip(launch(main, size), ((n, t) for n in SIZES for t in (np.float64, np.float32))):
        expected = shares(size, length, dtype)[0]
        for share in shares(size, length, dtype)[1:]:
            expected = expected + share
        assert np.array_equal(found, expected) and found.dtype == dtype


def test_all_ranks_have_the_same_bits_and_shapes_are_kept():
    def main(comm):
        array = np.random.default_rng(comm.rank).standard_normal((3, 5, 7))
        comm.allreduce(array)
        copies = np.zeros((3, *array.shape))
        copies[comm.rank] = array
        comm.allreduce(copies)
        return copies

    copies = launch(main, 3)
    assert np.array_equal(copies[0], copies[1]) and np.array_equal(copies[0], copies[2])


def test_bcast_gives_everybody_rank_0s():
    def main(comm):
        array = np.full(SLOT // 8 + 3, comm.rank + 1, float)
        array[0] = -0.0 if comm.rank == 0 else 1
        comm.bcast(array)
        right = np.array([float((array[1:] == 1).all() and np.signbit(array[0]))])
        comm.allreduce(right)
        return right

    assert launch(main, 3)[0] == 3


@pytest.mark.parametrize("N", [0, 2, 7])
def test_parts_gathered_are_the_whole(N):
    whole = np.random.default_rng(0).standard_normal((N, 3))

    def main(comm):
        part = whole[part_of(comm, N)]
        assert len(part) in (N // 3, N // 3 + 1)
        return gathered(comm, part, N)

    assert np.array_equal(launch(main, 3), whole)


def test_barrier_is_passed_by_nobody_before_all_have_come(tmp_path):
    def main(comm):
        time.sleep(0.2 * comm.rank)
        (tmp_path / str(comm.rank)).touch()
        comm.barrier()
        return len(list(tmp_path.iterdir()))

    assert launch(main, 3) == 3


def test_one_rank_is_the_plain_program():
    assert launch(lambda comm: type(comm), 1) is Serial
