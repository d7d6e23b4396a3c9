"""Ranks add up what they should, and none waits for one that is gone."""
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.ranks import SLOT, RankFailed, Serial, available_processors, gathered, launch, part_of

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


def test_blas_threads_are_one_within_and_restored_after():
    import threadpoolctl

    def threads(comm=None):
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    assert set(launch(threads, 2)) == {1}
    assert threads() == before


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_rank_that_raises_releases_the_others(failing, capfd):
    def main(comm):
        if comm.rank == failing:
            raise ValueError("no more")
        comm.allreduce(np.zeros(3))

    start = time.monotonic()
    with pytest.raises(ValueError if failing == 0 else RankFailed, match="no more" if failing == 0 else f"rank {failing} raised"):
        launch(main, 3)
    assert time.monotonic() - start < 2
    assert failing == 0 or "ValueError: no more" in capfd.readouterr().err


def test_a_rank_that_is_killed_releases_the_others():
    def main(comm):
        if comm.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        comm.barrier()

    with pytest.raises(RankFailed, match="rank 1 was ended by signal 9"):
        launch(main, 3)


def test_a_rank_that_fails_after_rank_0_has_finished_is_reported(capfd):
    def main(comm):
        time.sleep(0.2 * comm.rank)
        assert comm.rank == 0, "late"

    with pytest.raises(RankFailed):
        launch(main, 2)
    assert "late" in capfd.readouterr().err


def test_an_orphan_ends_itself():
    program = ("import os, signal, time\n"
               "from core.ranks import launch\n"
               "def main(comm):\n"
               "    if comm.rank:\n"
               "        print(os.getpid(), flush=True)\n"
               "    else:\n"
               "        time.sleep(0.3)\n"
               "        os.kill(os.getpid(), signal.SIGKILL)\n"
               "    comm.barrier()\n"
               "launch(main, 2)\n")
    child = int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=5).stdout)
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.02)
    assert not alive(child)


def test_mpi_ranks_equal_one_rank():
    """The whole network under mpirun, where it is installed."""
    mpirun = shutil.which("mpirun", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if importlib.util.find_spec("mpi4py") is None or mpirun is None:
        pytest.skip("needs mpi4py and mpirun")
    program = ("from tests.test_preact_resnet_fast import CASES, FastNet, errors, everything, on_ranks, problem\n"
               "arch, *shape = CASES['odd sizes']\n"
               "given = problem(arch, *shape)\n"
               "found = on_ranks(None, arch, *given)\n"
               "print(max(errors(found, everything(FastNet(), arch, *given)).values()) < 1e-10)\n")
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run([mpirun, "-n", "2", sys.executable, "-c", program], capture_output=True, text=True, timeout=30,
                          env=os.environ | allowed)
    assert done.stdout.split() == ["True"], done.stderr


def alive(pid):
    """Whether a process runs (one that has ended, but was not yet collected by its new parent, does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("line, files, expected", [
    ("0::/job", {"job/cpu.max": "150000 100000"}, 1),
    ("0::/job/step", {"job/cpu.max": "100000 100000", "job/step/cpu.max": "max 100000"}, 1),
    ("0::/", {"cpu.max": "50000 100000"}, 1),
    ("0::/", {"cpu.max": "max 100000"}, None),
    ("4:cpu,cpuacct:/job", {"cpu,cpuacct/job/cpu.cfs_quota_us": "100000", "cpu,cpuacct/job/cpu.cfs_period_us": "100000"}, 1),
    ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ("7:memory:/", {}, None),
])
def test_the_quota_of_a_container_is_respected(tmp_path, line, files, expected):
    (tmp_path / "own").write_text(line + "\n")
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    unlimited = len(os.sched_getaffinity(0))
    assert available_processors(tmp_path / "groups", tmp_path / "own") == min(unlimited, expected or unlimited)
