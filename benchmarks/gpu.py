"""Seconds per epoch on the GPU: this project's training loop and the usual ones in PyTorch.

    python -m benchmarks.gpu                             minutes on one GPU; writes results/gpu.md and gpu.png
    python -m benchmarks.gpu --quick --rounds 3          without max-autotune and the DataLoader
    python -m benchmarks.gpu --peers "ours, tf32" "PyTorch eager, tf32"
    python -m benchmarks.gpu --cpu                       a small network on the CPU: the same program, the same peers

Every peer first compares its loss and gradient of one batch with those of the readable path in float64, then compiles
and warms up. On a GPU all peers do this concurrently, each in its own process: imports and compilers take one core
each. Ready peers take turns, one at a time. The page reports medians over the turns. Results are written after every
round, and --budget limits the run time.
"""
import argparse
import multiprocessing
import statistics
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from benchmarks import gpu_peers as peers
from benchmarks.ceilings import ceilings
from benchmarks.gpu_profile import profile
from benchmarks.gpu_report import picture, report
from nets.preact_resnet import Architecture

PAPER = peers.Problem(Architecture(), 32, 45_000, 128)
SMALL = peers.Problem(Architecture(widths=(16, 32, 64), blocks=(1, 1, 1)), 16, 2_000, 128)
RESULTS = Path(__file__).parent / "results"

GPU = {                                # name: (class, its arguments, the matrix product that is its ceiling)
    "ours, kernels, 16 bits": (peers.Kernels, dict(number="half"), "bf16"),
    "ours, kernels, tf32": (peers.Kernels, dict(number="float"), "tf32"),
    "ours, tf32": (peers.Ours, dict(gpu=0, precision="tf32"), "tf32"),
    "ours, float32": (peers.Ours, dict(gpu=0, precision="float32"), "float32"),
    "PyTorch eager, tf32": (peers.Torch, dict(), "tf32"),
    "PyTorch eager, bf16": (peers.Torch, dict(bf16=True), "bf16"),
    "PyTorch CUDA graph by hand, tf32": (peers.Torch, dict(captured=True), "tf32"),
    "PyTorch CUDA graph by hand, bf16": (peers.Torch, dict(captured=True, bf16=True), "bf16"),
    "PyTorch compile, bf16": (peers.Torch, dict(mode="default", bf16=True), "bf16"),
    "PyTorch compile reduce-overhead, bf16": (peers.Torch, dict(mode="reduce-overhead", bf16=True), "bf16"),
    "PyTorch DataLoader, tf32": (peers.Loader, dict(), "tf32"),
    "PyTorch compile max-autotune, bf16": (peers.Torch, dict(mode="max-autotune", bf16=True), "bf16"),
}
CPU = {
    "ours, fast path": (peers.Ours, dict(fast=True), "float32"),
    "ours, readable path": (peers.Ours, dict(), "float32"),
    "PyTorch eager": (peers.Torch, dict(device="cpu", channels_last=False), "float32"),
    "PyTorch eager, channels_last": (peers.Torch, dict(device="cpu"), "float32"),
    "PyTorch compile": (peers.Torch, dict(device="cpu", mode="default"), "float32"),
    "PyTorch DataLoader": (peers.Loader, dict(device="cpu", workers=1), "float32"),
}
SLOW = ("PyTorch compile max-autotune, bf16", "PyTorch DataLoader, tf32", "PyTorch compile", "PyTorch DataLoader")
READABLE = "the readable path on NumPy, in float64"
SAME, NEAR = 1e-8, 0.5     # largest error of a gradient, in units of its norm: in float64; in the peer's own precision


# ---- a peer in its process -----------------------------------------------------------------------------------------

def life(line, kind, arguments, problem, warm):
    """Answers requests: ("begin",), ("run", steps), ("profile", steps); an exception is an answer too."""
    peer = None
    while (request := line.recv()) is not None:
        try:
            start = time.perf_counter()
            if request[0] == "begin":
                peer = kind(problem, **arguments)
                checked = peer.checked()
                peer.run(warm)
                peer.wait()
                line.send(("ready", checked, time.perf_counter() - start))
            elif request[0] == "profile":
                line.send(("profile", profile(peer, request[1])))
            else:
                peer.run(getattr(peer, "ahead", 0))
                peer.wait()
                start = time.perf_counter()
                peer.run(request[1])
                peer.wait()
                line.send(("ran", (time.perf_counter() - start) / request[1], peer.gigabytes()))
        except Exception as error:     # an error of one peer must not end the others
            traceback.print_exc()
            line.send(("failed", f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:150]}"))


class Turns:
    """The main process's handle of a peer. `failed` is the reason for a failure, else None."""

    def __init__(self, name, entry, problem, warm):
        self.name, (kind, arguments, self.ceiling) = name, entry
        self.seconds, self.memory, self.setup, self.off, self.failed = [], 0, None, None, None
        spawn = multiprocessing.get_context("spawn")
        self.line, other = spawn.Pipe()
        self.process = spawn.Process(target=life, args=(other, kind, arguments, problem, warm))
        self.process.start()
        other.close()                  # so that recv fails if the process dies

    def send(self, *request):
        """Ask for something, without waiting for the answer."""
        try:
            self.line.send(request)
        except OSError:
            self.failed = self.failed or "its process ended"

    def answer(self, limit):
        """The answer to the last request, or None if the peer has failed or takes longer than `limit` seconds."""
        if self.failed:
            return None
        try:
            in_time = self.line.poll(max(0, limit))
            answer = self.line.recv() if in_time else ("failed", f"no answer in {max(0, limit):.0f} s")
        except (EOFError, OSError):
            answer = ("failed", "its process ended")
        if answer[0] == "failed":
            self.failed = answer[1]
            self.process.terminate()
        return None if self.failed else answer[1:]

    def ask(self, limit, *request):
        """Send and wait."""
        self.send(*request)
        return self.answer(limit)

    def begin(self, limit, reference):
        """The answer to ("begin",): it has checked, compiled and warmed up."""
        answer = self.answer(limit)
        if answer:
            checked, self.setup = answer
            self.off = [deviation(found, reference) for found in checked]
            if not (self.off[0] < SAME and self.off[1] < NEAR):
                self.failed = (f"not the same loss and gradient: off by {self.off[0]:.0e} in float64, "
                               f"{self.off[1]:.0e} as timed")

    def run(self, limit, steps):
        """One turn."""
        answer = self.ask(limit, "run", steps)
        if answer:
            self.seconds.append(answer[0])
            self.memory = max(self.memory, answer[1])

    def end(self):
        if self.process.is_alive() and not self.failed:
            self.line.send(None)
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()


def deviation(found, expected):
    """The larger of the relative errors of loss and gradient."""
    (L, g), (L_0, g_0) = found, expected
    return max(abs(L - L_0) / abs(L_0), float(np.linalg.norm(g - g_0) / np.linalg.norm(g_0)))


# ---- the run -------------------------------------------------------------------------------------------------------

def compete(chosen, problem, write):
    """All turns; write(peers, ceilings, profile) after each round."""
    start = time.monotonic()
    reference, table = peers.Ours(problem).gradient(np.float64), CPU if chosen.cpu else GPU
    names = chosen.peers or [name for name in table if not (chosen.quick and name in SLOW)]
    turns = [Turns(name, table[name], problem, chosen.warm) for name in names]
    kernels = []

    def left(until=chosen.budget):
        return start + until - time.monotonic()

    begin_all(turns, reference, lambda: left(chosen.budget / 2), together=not chosen.cpu)
    rates = measured_ceilings(not chosen.cpu, min(left(), 60))
    write(turns, rates, kernels)
    for number in range(chosen.rounds):
        for peer in turns:
            if left() > 3 * chosen.steps * statistics.median(peer.seconds or [0]):
                peer.run(left(), chosen.steps)
        ours = [peer for peer in turns if peer.name.startswith("ours") and not peer.failed]
        if number == min(1, chosen.rounds - 1) and ours and not chosen.cpu:
            kernels = kernels_of(Turns(ours[0].name, table[ours[0].name], problem, chosen.warm), min(left(), 60))
        write(turns, rates, kernels)
    for peer in turns:
        peer.end()
    return turns


def begin_all(turns, reference, left, together):
    """Wait at most left() seconds until every peer is ready or failed; together: all start at once, else in turn."""
    for peer in turns if together else []:
        peer.send("begin")
    for peer in turns:
        print(f"waits {max(0, left()):3.0f} s for {peer.name} ...", flush=True)
        if not together:
            peer.send("begin")
        peer.begin(left(), reference)


def measured_ceilings(on_gpu, limit):
    """ceilings() in a separate process; {} if they fail or take longer than `limit` seconds."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        try:
            return pool.apply_async(ceilings, (on_gpu,)).get(max(0, limit))
        except Exception as error:     # an error here must not end the peers
            print(f"no ceilings: {type(error).__name__}: {error}", flush=True)
            return {}


def kernels_of(peer, limit):
    """The profile of a peer in a separate process: a crash of the profiler must not end the measured peer."""
    until = time.monotonic() + limit
    found = peer.ask(limit, "begin") and peer.ask(until - time.monotonic(), "profile", 10)
    if peer.failed:
        print(f"no profile: {peer.failed}", flush=True)
    peer.end()
    return found[0] if found else []


def main(argv=None):
    """The command line; exit status 1 if one of this project's peers has failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cpu", action="store_true", help="a small network on the CPU")
    parser.add_argument("--quick", action="store_true", help=f"without {', '.join(SLOW)}")
    parser.add_argument("--peers", nargs="+", choices=[*GPU, *CPU], metavar="NAME",
                        help=f"only these, of {'; '.join([*GPU, *CPU])}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, help="in a turn; default 100, on the CPU 5")
    parser.add_argument("--warm", type=int, help="steps before the first turn; default 20, on the CPU 2")
    parser.add_argument("--budget", type=float, default=500, help="seconds after which no turn begins (default 500)")
    parser.add_argument("--out", type=Path,
                        help="default: benchmarks/results/gpu.md, or gpu-cpu.md with --cpu; the picture beside it")
    chosen = parser.parse_args(argv)
    chosen.steps = chosen.steps or (5 if chosen.cpu else 100)
    chosen.warm = chosen.warm or (2 if chosen.cpu else 20)
    problem, out = (SMALL if chosen.cpu else PAPER), chosen.out or RESULTS / ("gpu-cpu.md" if chosen.cpu else "gpu.md")
    command = " ".join(["python -m benchmarks.gpu", *(sys.argv[1:] if argv is None else argv)])

    def write(turns, measured, kernels):
        text = report(turns, problem, measured, kernels, command, chosen.cpu)
        out.write_text(text, encoding="utf-8")
        picture(turns, problem, out.with_suffix(".png"))
        write.text = text

    turns = compete(chosen, problem, write)
    print(write.text)
    return int(any(peer.failed for peer in turns if peer.name.startswith("ours")))


if __name__ == "__main__":
    sys.exit(main())
