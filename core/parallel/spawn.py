"""Ranks where there is no fork (macOS, Windows): processes that start anew, by Python's multiprocessing.

A forked rank has all that rank 0 has; a spawned one has what it is sent. That is a function `portable` with its
arguments, by pickle, and their arrays (images, labels) by shared memory: one copy, which all other ranks read. So it
must be a function of a module, and no lambda. The bits are those of forked ranks: the exchange is the same, and so is
what happens when a rank fails. Tested on Linux, where tests ask for it; the branches for Windows have not been run.
"""
import os
import pickle
import sys
from contextlib import contextmanager, nullcontext
from multiprocessing import connection, get_context, parent_process, resource_tracker
from types import ModuleType

from core.parallel.ranks import Shared, ordered, parts

ALIGNED = 64             # bytes: an array that is sent begins a cache line


class Spawned(Shared):
    """The ranks of one machine, started anew. Their memory is multiprocessing's: a file without a name, or on Windows
    memory with one, which goes when the last process does."""

    def __init__(self, size, portable):
        context = get_context("spawn")
        self.memory = context.RawArray("B", sum(parts(size)))
        self.begin(size, self.memory, nullcontext() if ordered() else context.Lock())
        self.process, self.sent = context.Process, packed(portable, context)

    def spawn(self, rank, mask):
        """The process of that rank."""
        if os.name == "posix":
            resource_tracker.ensure_running()                # within start() it would unblock the signals of mask
        found = self.process(target=work, args=(rank, mask, self.size, self.memory, self.fence, *self.sent))
        with no_main():
            found.start()
        return found

    @classmethod
    def joined(cls, size, memory, fence):
        """That of another rank."""
        comm = cls.__new__(cls)
        comm.begin(size, memory, fence)
        return comm

    def orphaned(self):
        """Whether rank 0 has died."""
        return not parent_process().is_alive()

    def alive(self):
        """Rank 0's list of the other ranks that still run; takes note of how the others have ended.

        Asks for the end, not for the status, which the system keeps for nobody where SIGCHLD is ignored.
        """
        running = {self.children[rank].sentinel: rank for rank in self.children.keys() - self.ended.keys()}
        for sentinel in connection.wait(list(running), timeout=0):
            process = self.children[running[sentinel]]
            process.join()
            self.ended[running[sentinel]] = process.exitcode
        return sorted(self.children.keys() - self.ended.keys())

    def kill(self, rank):
        """End another rank, without a word."""
        self.children[rank].kill()
        self.children[rank].join()


def packed(function, context):
    """(pickle without its arrays, shared memory that holds them one after another, where each begins and ends)"""
    buffers, places, end = [], [], 0
    head = pickle.dumps(function, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    for view in views:
        start = -(-end // ALIGNED) * ALIGNED
        end = start + view.nbytes
        places.append((start, end))
    memory = context.RawArray("B", max(1, end))
    for view, (start, end) in zip(views, places):
        memoryview(memory).cast("B")[start:end] = view
    return head, memory, places


def unpacked(head, memory, places):
    """The function; nobody can write to its arrays, which belong to all."""
    whole = memoryview(memory).cast("B").toreadonly()
    return pickle.loads(head, buffers=[whole[start:end] for start, end in places])


def work(rank, mask, size, memory, fence, *sent):
    """The life of another rank."""
    from threadpoolctl import threadpool_limits

    from core.parallel.launch import child

    def main(comm):
        with threadpool_limits(1, "blas"):
            unpacked(*sent)(comm)

    child(Spawned.joined(size, memory, fence), main, rank, mask)


@contextmanager
def no_main():
    """Hides the program's own file from multiprocessing, which would run it again in the new process: a script without
    `if __name__ == "__main__"` would start ranks of its own there."""
    own, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = own
