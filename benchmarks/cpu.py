"""How long a training step takes on the CPU: the fast path, the readable path, and those of benchmarks/peers.py that
are installed: PyTorch in both its layouts, compiled, in bfloat16, in bfloat16 and compiled; JAX.

    python -m benchmarks.cpu                     all nets, writes benchmarks/results/cpu.md
    python -m benchmarks.cpu --nets S16 --rounds 5 --ranks 2
    python -m benchmarks.cpu --out FILE          as an AVX2 machine, with these in the environment:
                             OPENBLAS_CORETYPE=Haswell ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
                             XLA_FLAGS=--xla_cpu_max_isa=AVX2
                             and --peers without those in bfloat16, which have no instructions there, and without
                             torch.compile, whose gradient was not finite in these circumstances

First every contestant's gradient is compared with the readable path's: in float64, and those in bfloat16 as they are.
Then they take turns. What is reported are medians over the rounds, and of the ratios within a round: what a busy
neighbour takes, he takes from all.
"""
import argparse
import os
import platform
import shlex
import statistics
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benchmarks.flops import direct_flops, product_flops
from benchmarks.peers import BATCH, FAST, NETS, PEAK, PEERS, READABLE, SGEMM, installed_peers, is_half
from benchmarks.turns import Turn, wait_for_idle
from core.parallel.processors import available_processors

BOUND = 1e-10                          # of a gradient's relative error; of those in bfloat16, which has 8 bits, these:
BOUNDS_HALF = {"P": 0.5, "S32": 0.1, "S16": 0.1}          # it was 0.05 for three blocks, 0.35 for fifteen
RESULTS = Path(__file__).parent / "results"


def compete(key, peers, ranks, rounds, patience):
    """{contestant: seconds of each round}, {contestant: (deviation of its gradient, peak MB, faults)}, foreign loads"""
    turns = {}
    try:
        for kind in (FAST, *peers, READABLE, PEAK):
            turns[kind] = Turn(kind, key, ranks)
        return measured(turns, key, rounds, patience)
    finally:
        for turn in turns.values():
            turn.end()


def measured(turns, key, rounds, patience):
    """The same with {contestant: Turn}, none of which has made a step."""
    deviations = {kind: deviation(turn, turns[READABLE]) for kind, turn in turns.items() if kind != PEAK}
    assert all(off < (BOUNDS_HALF[key] if is_half(kind) else BOUND) for kind, off in deviations.items()), \
        f"not the same gradient: {deviations}"
    for turn in turns.values():
        turn.run(2)
    seconds, foreign = {kind: [] for kind in turns}, []
    for _ in range(rounds):
        for kind, turn in turns.items():
            wait_for_idle(patience)
            took, load = turn.run(max(1, NETS[key][2] // (10 if kind in (READABLE, PEAK) else 1)))
            seconds[kind].append(took)
            foreign.append(load)
    return seconds, {kind: (off, turns[kind].megabytes, turns[kind].faults)
                     for kind, off in deviations.items()}, foreign


def deviation(turn, reference):
    """The relative error of the gradient, by its norm, and that of the loss, if it is larger."""
    off = np.linalg.norm(turn.gradient - reference.gradient) / np.linalg.norm(reference.gradient)
    return max(off, abs(turn.loss / reference.loss - 1))


# ---- the report
# ----------------------------------------------------------------------------------------------------------

def table(key, ranks, seconds, others, foreign):
    """Markdown lines for one net."""
    arch, size, steps = NETS[key]
    best = min((kind for kind in seconds if kind in PEERS), key=lambda kind: statistics.median(seconds[kind]),
               default=None)
    lines = [f"### {key}: widths {arch.widths}, blocks {arch.blocks}, {size}x{size}, batch {BATCH}", "",
             "| | ms | images/s | GFLOP/s | fastest | over the fast path, median of rounds [quartiles; "
             "least .. most] | peak MB | page faults | gradient off by |",
             "|---|---|---|---|---|---|---|---|---|"]
    work = direct_flops(arch, size, BATCH)
    for kind, (off, megabytes, faults) in others.items():
        times, middle = seconds[kind], statistics.median(seconds[kind])
        ratios = [t / f for t, f in zip(times, seconds[FAST])]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        lines.append(f"| {kind}{' (best of the others)' if kind == best else ''} | {1e3 * middle:.1f} "
                     f"| {BATCH / middle:.0f} "
                     f"| {work / middle / 1e9:.0f} | {1e3 * min(times):.1f} | **{ratio:.2f}** "
                     f"[{low:.2f} .. {high:.2f}; "
                     f"{min(ratios):.2f} .. {max(ratios):.2f}] | {megabytes:.0f} | {faults:.0f} | {off:.0e} |")
    return [*lines, "", *share(ranks, work, product_flops(arch, size, BATCH), seconds),
            f"{len(seconds[FAST])} rounds of {steps} steps ({max(1, steps // 10)} of the readable path); "
            f"others used {statistics.median(foreign):.2f} of a processor (median; at most "
            f"{max(foreign):.2f}). Peak MB: above the "
            "libraries' own, all processes together; page faults: in a step of the last round.", ""]


def summary(found):
    """Markdown lines: how many times as long as the fast path each takes. found: {net: {contestant: seconds}}"""
    kinds = [kind for kind in next(iter(found.values())) if kind != PEAK]
    lines = ["| times as long as the fast path | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for key, seconds in found.items():
        ratios = [statistics.median(t / f for t, f in zip(seconds[kind], seconds[FAST])) for kind in kinds[1:]]
        middle = 1e3 * statistics.median(seconds[FAST])
        lines.append(f"| {key} | {middle:.1f} ms | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    return [*lines, ""]


def share(ranks, direct, products, seconds):
    """What the numbers mean beside the machine's measured peak."""
    peak = ranks * 100 * 2 * SGEMM**3 / statistics.median(seconds[PEAK]) / 1e9
    fast = statistics.median(seconds[FAST]) * 1e9
    return [f"A step is {direct / 1e9:.1f} GFLOP by the definition of convolution; "
            "the fast path's matrix products over channels "
            f"are {products / 1e9:.1f}. The machine's peak, sgemm of {SGEMM}x{SGEMM} on {ranks} "
            "ranks in the same rounds: "
            f"{peak:.0f} GFLOP/s. So the definition's work is done at {100 * direct / fast / peak:.0f} % of the peak, "
            f"and the products alone use {100 * products / fast / peak:.0f} % of it.", ""]


def header(title, ranks, command):
    """Markdown lines that say what was measured, where and how."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")),
                     platform.machine())
    emulation = ("OPENBLAS_CORETYPE", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "XLA_FLAGS")
    emulated = [f"{k}={os.environ[k]}" for k in emulation if k in os.environ]
    return [f"# {title}", "",
            f"{date.today()}, {processor}, {available_processors()} processors, Python {platform.python_version()}, "
            f"numpy {installed('numpy')}, torch {installed('torch')}, jax {installed('jax')}; "
            f"the fast path on {ranks} ranks.", "",
            f"    {shlex.join([*emulated, 'python', '-m', command, *sys.argv[1:]])}", ""]


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=installed_peers(), help="those to compare with")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--ranks", type=int, default=available_processors())
    parser.add_argument("--patience", type=float, default=20,
                        help="seconds to wait for an idle machine before every turn")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu.md")
    chosen = parser.parse_args()
    first, lines, found = header("A training step on the CPU", chosen.ranks, "benchmarks.cpu"), [], {}
    print("\n".join(first))
    for key in chosen.nets:
        found[key], *others = compete(key, chosen.peers, chosen.ranks, chosen.rounds, chosen.patience)
        lines += table(key, chosen.ranks, found[key], *others)
        chosen.out.write_text("\n".join([*first, *summary(found), *lines]))
        print(f"{key} is done", flush=True)
    print("\n".join([*summary(found), *lines]))


if __name__ == "__main__":
    main()
