"""Contestants that take turns: each in processes of its own, which rest while another computes."""
import importlib
import multiprocessing
import os
import resource
import time
from pathlib import Path

import numpy as np

from benchmarks.peers import BATCH, FAST, NETS, PEAK, PEERS, is_half, steps_of
from core.parallel.launch import launch


def contestant(kind, key, ranks, line):
    """The life of a contestant: one checked step, then on every request that many timed ones."""
    arch, size, _ = NETS[key]

    def main(comm):
        if kind in PEERS:
            importlib.import_module(PEERS[kind][0])          # its 200 MB of code are not what is compared
        start = resident_megabytes()
        answer(comm, line, steps_of(kind, comm, arch, size, 16, np.float32 if is_half(kind) else np.float64)())
        step, request = steps_of(kind, comm, arch, size, BATCH, np.float32), np.zeros(1)
        while True:
            request[0] = line.recv() if comm.rank == 0 else 0
            comm.bcast(request)
            if not request[0]:
                return
            comm.barrier()
            began, before = time.perf_counter(), usage()
            for _ in range(int(request[0])):
                step()
            own = usage() - before
            comm.barrier()
            wall = time.perf_counter() - began
            own = np.array([*own, peak_megabytes() - start])
            comm.allreduce(own)
            answer(comm, line, (wall, *own))

    launch(main, ranks if kind in (FAST, PEAK) else 1)


def usage():
    """(processor seconds, page faults) of this process so far"""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([used.ru_utime + used.ru_stime, used.ru_minflt])


def resident_megabytes():
    """Memory that this process has in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def peak_megabytes():
    """The most it ever had. (getrusage would tell that of the process that started this one, if that was more.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def answer(comm, line, what):
    if comm.rank == 0:
        line.send(what)


class Turn:
    """A contestant's processes, seen from outside."""

    def __init__(self, kind, key, ranks):
        self.line, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=contestant, args=(kind, key, ranks, other))
        self.process.start()
        other.close()                                        # so that recv fails if the contestant does
        self.loss, self.gradient = self.line.recv()

    def run(self, steps):
        """(seconds for a step, foreign processors in use meanwhile)"""
        busy = busy_seconds()
        self.line.send(steps)
        wall, own, faults, self.megabytes = self.line.recv()
        self.faults = faults / steps
        return wall / steps, max(0, busy_seconds() - busy - own) / wall

    def end(self):
        self.line.send(0)
        self.process.join()


def busy_seconds():
    """Processor time that the whole machine has used."""
    user, nice, system, idle, iowait, *others = (int(n)
                                                 for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


class Foreign:
    """The load that others put on the machine while this program and the processes that it has ended measured."""

    def __init__(self):
        self.start = self.now()

    def now(self):
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return np.array([time.perf_counter(), busy_seconds() - usage()[0] - ended.ru_utime - ended.ru_stime])

    def sentence(self):
        """How many processors they used, for a report."""
        wall, busy = self.now() - self.start
        return f"Meanwhile others used {max(0, busy / wall):.2f} of a processor on average."


def wait_for_idle(patience):
    """Returns when under a fifth of a processor is in use, or after `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        busy = busy_seconds()
        time.sleep(0.3)
        if busy_seconds() - busy < 0.06:
            return
