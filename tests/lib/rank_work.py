"""What ranks do in the tests of those that start anew: functions of a module, which is what can be sent to them."""
import os
import signal
import time

import numpy as np
import threadpoolctl

from core.errors import InputError


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def total(comm, arrays=()):
    """The sum of what every rank finds in its arrays, and of 2^rank."""
    found = np.array([2.0 ** comm.rank + sum(float(array.sum()) for array in arrays)])
    comm.allreduce(found)
    return found[0]


def for_ever(comm):
    say(os.getpid())
    while True:
        comm.barrier()
        time.sleep(0.01)


def seen(comm, array):
    """[whether it can be written to, whether it begins a cache line, BLAS threads] of rank 1, and its pid."""
    found = np.zeros(4)
    if comm.rank:
        threads = max(pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas")
        found[:] = array.flags.writeable, array.ctypes.data % 64 == 0, threads, os.getpid()
    comm.allreduce(found)
    return found


def raising(comm, error, rank=1):
    if comm.rank == rank:
        raise error
    comm.barrier()


def leaving(comm, how):
    """Rank 1 ends in that way while rank 0 waits for it."""
    if comm.rank:
        {"quietly": lambda: None, "with a status": lambda: os._exit(7),
         "killed": lambda: os.kill(os.getpid(), signal.SIGKILL)}[how]()
        return
    comm.barrier()


def late(comm):
    if comm.rank == 2:
        raise ValueError("the reason")
    time.sleep(60) if comm.rank == 1 else comm.barrier()


def busy(comm):
    say(os.getpid())
    time.sleep(60 * comm.rank)


class Unpleasant:
    """Cannot be unpickled."""

    def __reduce__(self):
        return refuse, ()


def refuse():
    raise InputError("not for others")


def nested(comm, launch):
    """Every rank has ranks of its own."""
    found = np.array([100.0 ** comm.rank * launch(total, 2 + comm.rank)])
    comm.allreduce(found)
    return found[0]
