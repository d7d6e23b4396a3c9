"""The measurements and pictures of docs/cpu.md: one convolution in stages, and a training step in stages.

    python -m benchmarks.lesson                  writes benchmarks/results/cpu-lesson.md, its numbers, two pictures
    python -m benchmarks.lesson --draw           the pictures alone, docs/pictures/cpu-lesson.png and cpu-tiles.png

First every stage is compared with the readable convolution; then they take turns on one core,
and the last one on all ranks.
"""
import argparse
import json
import statistics
import time

import numpy as np

from benchmarks.cpu import RESULTS, header
from benchmarks.flops import direct_flops
from benchmarks.lesson_pictures import draw_stages, draw_tiles
from benchmarks.operations import PICTURES
from benchmarks.peers import BATCH, NETS, numpy_steps
from benchmarks.stages import as_images, loops, stages
from benchmarks.turns import Foreign, wait_for_idle
from core.fast.workspace import Workspace
from core.layers import conv_forward
from core.parallel.launch import launch
from core.parallel.processors import available_processors
from core.parallel.ranks import Serial, part_of
from nets import preact_resnet, preact_resnet_fast

SHAPE, K = (BATCH, 32, 32, 32), 32                                     # the paper's net has nine of these
LOOPS, PATIENCE = "seven loops", 2


def problem(N=BATCH, side=32):
    rng = np.random.default_rng(0)
    return (rng.standard_normal((N, side, side, SHAPE[3])).astype(np.float32),
            rng.standard_normal((3, 3, SHAPE[3], K)).astype(np.float32))


def convolutions(comm, rounds):
    """{stage: median seconds for the batch}: on one core each,
    and the last one once more with its part on every rank."""
    x, w = problem()
    y, part = conv_forward(x, w)[0], part_of(comm, BATCH)
    made = {name: stage(x, w) for name, stage in stages().items()} if comm.rank == 0 else {}
    for name, run in made.items():
        assert np.abs(as_images(run()) - y).max() < 1e-4 * np.abs(y).max(), name
    seconds = {name: [] for name in made}
    for _ in range(rounds):
        for name, run in made.items():
            seconds[name].append(timed(run, 3))
    comm.barrier()
    *_, (last, stage) = stages().items()
    run, shared = stage(x[part], w), []
    for _ in range(3 * rounds):
        if comm.rank == 0:
            wait_for_idle(PATIENCE)
        comm.barrier()
        shared.append(timed(lambda: (run(), comm.barrier()), 3))
    return {LOOPS: loops_scaled(), **{name: statistics.median(s) for name, s in seconds.items()},
            f"{last}, {comm.size} ranks": statistics.median(shared)}


def loops_scaled():
    """Seconds of the seven loops for the whole batch, from the time that one 8x8 image takes."""
    x, w = problem(1, 8)
    run = loops(x, w)
    took = timed(run, 1)
    assert np.abs(run() - conv_forward(x, w)[0]).max() < 1e-3
    return took * BATCH * (32 / 8)**2


def timed(run, times):
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def steps(key, rounds, ranks):
    """{stage: median seconds of a whole training step of a net}, each stage being one change to the one before."""
    arch, size, _ = NETS[key]
    usual, zeros = preact_resnet_fast.BLOCK_BYTES, Workspace.zeros

    def main(comm, net=None):
        return numpy_steps(net or preact_resnet_fast.FastNet(comm), comm, arch, size, BATCH, np.float32)

    def numpys(space, shape):
        return np.zeros(shape, space.dtype)

    def set_to(block_bytes, make_zeros):
        preact_resnet_fast.BLOCK_BYTES, Workspace.zeros = block_bytes, make_zeros

    variants = {"im2col, whole batch": (preact_resnet, usual, zeros), "F(4x4), whole batch": (None, 2**40, numpys),
                "F(4x4), blocks": (None, usual, numpys), "F(4x4), aligned": (None, usual, zeros)}
    made, seconds = {}, {name: [] for name in variants}
    for _ in range(rounds + 1):                                        # the first round makes the arrays
        for name, (net, *setting) in variants.items():
            set_to(*setting)
            if name not in made:
                made[name] = main(Serial(), net)
            seconds[name].append(timed(made[name], 1 if key == "P" else 3))
    set_to(usual, zeros)
    found = {name: statistics.median(s[1:]) for name, s in seconds.items()}
    found[f"F(4x4), aligned, {ranks} ranks"] = launch(lambda comm: shared_step(comm, main(comm), 3 * rounds), ranks)
    return found


def shared_step(comm, step, rounds):
    """Median seconds of a step that all ranks take together."""
    seconds = []
    for _ in range(rounds + 1):
        if comm.rank == 0:
            wait_for_idle(PATIENCE)
        comm.barrier()
        seconds.append(timed(lambda: (step(), comm.barrier()), 1))
    return statistics.median(seconds[1:])


def table(found):
    """Markdown lines."""
    work = 2 * 9 * np.prod(SHAPE) * K / 1e9
    lines = [f"One convolution: batch {BATCH}, 32x32 pixels, {SHAPE[3]} -> {K} channels, float32: "
             f"{work:.2f} GFLOP by the "
             f"definition. A whole step: {direct_flops(*NETS['P'][:2], BATCH) / 1e9:.0f} GFLOP "
             "for the paper's net (P), "
             f"{direct_flops(*NETS['S16'][:2], BATCH) / 1e9:.1f} for the small one on 16x16 (S16). "
             "One core, except where ranks are named.",
             "", "| stage | convolution, ms | GFLOP/s | step of P, ms | step of S16, ms |", "|---|---|---|---|---|"]
    for name, seconds in found["convolution"].items():
        whole = [f"{1e3 * found[key][name]:.{digits}f}" if name in found[key] else ""
                 for key, digits in (("P", 0), ("S16", 1))]
        lines.append(f"| {name} | {1e3 * seconds:.{0 if seconds > 1 else 1}f} | {work / seconds:.3g} "
                     f"| {' | '.join(whole)} |")
    return [*lines, ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ranks", type=int, default=available_processors())
    parser.add_argument("--draw", action="store_true")
    chosen = parser.parse_args()
    numbers = RESULTS / "cpu-lesson.json"
    if not chosen.draw:
        foreign = Foreign()
        found = {"convolution": launch(lambda comm: convolutions(comm, chosen.rounds), chosen.ranks)}
        found |= {key: launch(lambda comm: steps(key, chosen.rounds, chosen.ranks), 1) for key in ("P", "S16")}
        lines = [*header("A convolution and a step in stages", chosen.ranks, "benchmarks.lesson"), *table(found),
                 foreign.sentence(), ""]
        print("\n".join(lines))
        (RESULTS / "cpu-lesson.md").write_text("\n".join(lines))
        numbers.write_text(json.dumps(found, indent=1))
    draw_stages(json.loads(numbers.read_text()), PICTURES / "cpu-lesson.png")
    draw_tiles(PICTURES / "cpu-tiles.png")


if __name__ == "__main__":
    main()
