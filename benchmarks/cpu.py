"""How long a training step takes on the CPU: the fast path, the readable path, and PyTorch in both its layouts.

    python -m benchmarks.cpu                     all nets, writes benchmarks/results/cpu.md       (needs torch)
    python -m benchmarks.cpu --nets S16 --rounds 5 --ranks 2
    python -m benchmarks.cpu --out FILE          with OPENBLAS_CORETYPE=Haswell ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
                                                 in the environment: as an AVX2 machine

A step is forward, the three-term objective, backward and SGD with momentum and decay. First every contestant's gradient is
compared with the readable path's, in float64; then they take turns, each in processes of its own that rest meanwhile. What is
reported are medians over the rounds, and of the ratios within a round: what a busy neighbour takes, he takes from all.
"""
import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from core.objective import objective_backward, objective_forward
from core.optim import Flat, sgd_step
from core.ranks import available_processors, gathered, launch, part_of
from nets import preact_resnet
from nets.preact_resnet import Architecture, block_plan, init
from nets.preact_resnet_fast import FastNet

SMALL = Architecture(widths=(16, 32, 64), blocks=(1, 1, 1))
NETS = {"P": (Architecture(), 32, 1), "S32": (SMALL, 32, 6), "S16": (SMALL, 16, 20)}      # net, image size, steps in a turn
FAST, READABLE, DEFAULT, LAST = "fast path", "readable path", "PyTorch default", "PyTorch channels_last"
BATCH, ALPHA, BETA, LR, MOMENTUM, DECAY = 128, 1.2, 0.8, 0.01, 0.9, 1e-4
HERE = Path(__file__).parent


def problem(arch, size, N, dtype):
    """theta, images x, labels y and prior p."""
    rng = np.random.default_rng(0)
    theta, _ = init(arch, rng, dtype)
    y = rng.random((N, arch.classes))
    return (theta, rng.standard_normal((N, size, size, arch.channels)).astype(dtype),
            (y / y.sum(axis=1, keepdims=True)).astype(dtype), np.full(arch.classes, 1 / arch.classes, dtype))


# ---- the contestants: step() returns (loss, gradients by name) and takes one step --------------------------------------

def numpy_steps(net, comm, arch, size, N, dtype):
    """A function that takes a step of the readable or of the fast net."""
    theta, x, y, p = problem(arch, size, N, dtype)
    theta, part = Flat(theta), part_of(comm, N)
    velocity, x = np.zeros_like(theta.buffer), x[part]

    def step():
        logits, cache = net.forward(theta.views, x, arch)
        L, cache_L = objective_forward(gathered(comm, logits, N), y, p, ALPHA, BETA)      # s_bar is over the whole batch
        flat = theta.gather(net.backward(objective_backward(1, cache_L)[part], cache))
        comm.allreduce(flat)
        gradient = flat.copy() if N < BATCH else None
        sgd_step(theta.buffer, velocity, flat, LR, MOMENTUM, DECAY)
        return float(L[0]), gradient

    return step


def torch_steps(arch, size, N, dtype, channels_last):
    """The same with torch.nn and autograd."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    theta, x, y, p = problem(arch, size, N, dtype)
    plan, layers = block_plan(arch), nn.ModuleDict()
    for name, w in theta.items():
        key = name.replace(".", "_")
        if name.endswith("gamma"):
            layers[key[:-6]] = nn.BatchNorm2d(len(w), eps=2e-5)
        elif w.ndim == 4:
            R, _, C, K = w.shape
            strides = {block: stride for block, _, _, stride, _ in plan}
            stride = strides.get(name.rpartition(".")[0], 1) if not name.endswith("conv2") else 1
            layers[key] = nn.Conv2d(C, K, R, stride, R // 2, bias=False)
    layers["linear"] = nn.Linear(arch.widths[-1], arch.classes)
    layers.to(getattr(torch, np.dtype(dtype).name))
    own = {name: parameter_of(layers, name) for name in theta}
    with torch.no_grad():
        for name, w in theta.items():
            own[name].data = torch.from_numpy(to_torch(w).copy())
    x, y, p = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y), torch.from_numpy(p)
    if channels_last:
        layers, x = layers.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(own.values(), LR, MOMENTUM, weight_decay=DECAY)

    def forward(x):
        x = layers["conv"](x)
        for name, *_, projecting in plan:
            block = name.replace(".", "_")
            a = F.relu(layers[f"{block}_bn1"](x))
            h = layers[f"{block}_conv2"](F.relu(layers[f"{block}_bn2"](layers[f"{block}_conv1"](a))))
            x = h + (layers[f"{block}_projection"](a) if projecting else x)
        return layers["linear"](F.relu(layers["bn"](x)).mean(dim=(2, 3)))

    def step():
        log_s = F.log_softmax(forward(x), dim=1)
        s = log_s.exp()
        L = ((torch.xlogy(y, y) - y * log_s).sum() / N + ALPHA * (torch.xlogy(p, p) - p * s.mean(dim=0).log()).sum()
             - BETA * (s * log_s).sum() / N)
        sgd.zero_grad()
        L.backward()
        gradient = None
        if N < BATCH:
            gradient = np.concatenate([to_numpy(own[name].grad.numpy(), w.ndim).reshape(-1) for name, w in theta.items()])
        sgd.step()
        return float(L.detach()), gradient

    return step


def parameter_of(layers, name):
    """torch's parameter for a name of theta."""
    layer, _, kind = name.replace(".", "_").rpartition("_")
    if kind in ("gamma", "beta", "w", "b"):
        return layers[layer].bias if kind in ("beta", "b") else layers[layer].weight
    return layers[name.replace(".", "_")].weight


def to_torch(w):
    """(R, R, C, K) -> (K, C, R, R), (C, K) -> (K, C)"""
    return w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T


def to_numpy(w, ndim):
    """The way back."""
    return w.transpose(2, 3, 1, 0) if ndim == 4 else w.T


# ---- taking turns ------------------------------------------------------------------------------------------------------

def contestant(kind, key, ranks, line):
    """The life of a contestant: one checked step, then on every request that many timed ones."""
    arch, size, _ = NETS[key]

    def main(comm):
        start_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        def steps(N, dtype):
            if kind in (DEFAULT, LAST):
                return torch_steps(arch, size, N, dtype, kind == LAST)
            return numpy_steps(FastNet(comm) if kind == FAST else preact_resnet, comm, arch, size, N, dtype)

        answer(comm, line, steps(16, np.float64)())
        step, request = steps(BATCH, np.float32), np.zeros(1)
        while True:
            request[0] = line.recv() if comm.rank == 0 else 0
            comm.bcast(request)
            if not request[0]:
                return
            comm.barrier()
            start, own = time.perf_counter(), time.process_time()
            for _ in range(int(request[0])):
                step()
            comm.barrier()
            wall = time.perf_counter() - start
            own = np.array([time.process_time() - own, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start_kb) / 1024])
            comm.allreduce(own)
            answer(comm, line, (wall, *own))

    launch(main, ranks if kind == FAST else 1)


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
        wall, own, self.megabytes = self.line.recv()
        return wall / steps, max(0, busy_seconds() - busy - own) / wall

    def end(self):
        self.line.send(0)
        self.process.join()


def busy_seconds():
    """Processor time that the whole machine has used."""
    user, nice, system, idle, iowait, *others = (int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def wait_for_idle(patience):
    """Returns when under a tenth of a processor is in use, or after `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        busy = busy_seconds()
        time.sleep(0.3)
        if busy_seconds() - busy < 0.03:
            return


def compete(key, ranks, rounds, patience):
    """{contestant: seconds of each round}, {contestant: (largest deviation of its gradient, peak megabytes)}, foreign loads"""
    turns = {kind: Turn(kind, key, ranks) for kind in (FAST, DEFAULT, LAST, READABLE)}
    reference = turns[READABLE]
    deviations = {kind: max(abs(turn.loss - reference.loss), np.abs(turn.gradient - reference.gradient).max())
                  for kind, turn in turns.items()}
    assert max(deviations.values()) < 1e-10, f"not the same gradient: {deviations}"
    for turn in turns.values():
        turn.run(2)
    seconds, foreign = {kind: [] for kind in turns}, []
    for _ in range(rounds):
        for kind, turn in turns.items():
            wait_for_idle(patience)
            took, load = turn.run(max(1, NETS[key][2] // (10 if kind == READABLE else 1)))
            seconds[kind].append(took)
            foreign.append(load)
    for turn in turns.values():
        turn.end()
    return seconds, {kind: (deviations[kind], turn.megabytes) for kind, turn in turns.items()}, foreign


# ---- the report ----------------------------------------------------------------------------------------------------------

def table(key, seconds, others, foreign):
    """Markdown lines for one net."""
    arch, size, steps = NETS[key]
    better = min((DEFAULT, LAST), key=lambda kind: statistics.median(seconds[kind]))
    lines = [f"### {key}: widths {arch.widths}, blocks {arch.blocks}, {size}x{size}, batch {BATCH}", "",
             "| | ms | images/s | fastest | over the fast path, median of rounds [least .. most] | peak MB | gradient off by |",
             "|---|---|---|---|---|---|---|"]
    for kind, times in seconds.items():
        ratios = [t / f for t, f in zip(times, seconds[FAST])]
        lines.append(f"| {kind}{' (better layout)' if kind == better else ''} | {1e3 * statistics.median(times):.1f} "
                     f"| {BATCH / statistics.median(times):.0f} | {1e3 * min(times):.1f} "
                     f"| **{statistics.median(ratios):.2f}** [{min(ratios):.2f} .. {max(ratios):.2f}] "
                     f"| {others[kind][1]:.0f} | {others[kind][0]:.0e} |")
    return [*lines, "", f"{len(foreign) // len(seconds)} rounds of {steps} steps ({max(1, steps // 10)} of the readable path); "
            f"others used {statistics.median(foreign):.2f} of a processor (median; at most {max(foreign):.2f}).", ""]


def header(ranks):
    """Markdown lines that say what was measured, where and how."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    emulation = ("OPENBLAS_CORETYPE", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
    emulated = [f"{k}={os.environ[k]}" for k in emulation if k in os.environ]
    return ["# A training step on the CPU", "",
            f"{date.today()}, {processor}, {available_processors()} processors, Python {platform.python_version()}, "
            f"numpy {installed('numpy')}, torch {installed('torch')}; the fast path on {ranks} ranks.", "",
            f"    {' '.join([*emulated, 'python -m benchmarks.cpu', *sys.argv[1:]])}", ""]


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--ranks", type=int, default=available_processors())
    parser.add_argument("--patience", type=float, default=20, help="seconds to wait for an idle machine before every turn")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "cpu.md")
    chosen = parser.parse_args()
    lines = header(chosen.ranks)
    print("\n".join(lines))
    for key in chosen.nets:
        found = table(key, *compete(key, chosen.ranks, chosen.rounds, chosen.patience))
        print("\n".join(found), flush=True)
        lines += found
    chosen.out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
