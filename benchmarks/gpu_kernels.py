"""What every launch of a training step of the paper's network costs: predicted, and measured where there is a GPU.

    python -m benchmarks.gpu_kernels                                       both kinds of numbers, to the terminal
    python -m benchmarks.gpu_kernels --number half --markdown FILE         16 bits alone, to a file, too

Predictions: benchmarks/gpu_predicted.py. Measured is each kernel alone: a graph of 100 launches, of all layers of its row in
turn, on the arrays of a real step; median of 5. That contains the gap between two launches, as the predictions do.
"""
import argparse
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from benchmarks.gpu import PAPER
from benchmarks.gpu_kernels_page import page
from benchmarks.gpu_peers import PAD, RECIPE, Kernels
from benchmarks.gpu_predicted import Work, bound, predicted, works
from core import backend
from core.batches import Images
from core.errors import InputError
from core.kernels.step import Step
from nets.preact_resnet_launches import Network

LARGEST = 227 * 1024                       # bytes of shared memory that a block of an H200 may ask for


class Row(NamedTuple):
    """Equal launches: the same kernel, grid, block, shared memory and branch, and as many bytes."""
    launches: list
    work: Work
    bound: float                           # seconds of one launch, and so are the others
    predicted: float
    measured: float | None = None


def rows_of(program, number, batch):
    """All launches of a step in rows; of each branch those first that should take longest together."""
    found = {}
    for launch, work in works(program, batch):
        found.setdefault((launch.name, launch.grid, launch.block, launch.shared, launch.branch, work), []).append(launch)
    rows = [Row(launches, work, bound(work, number), predicted(launches[0], work, number))
            for (*_, work), launches in found.items()]
    return sorted(rows, key=lambda row: (row.launches[0].branch, -len(row.launches) * row.predicted))


def imagined(problem, number):
    """The program of a step where there is no GPU: its arrays have shapes, and nothing is ever in them."""
    xp = SimpleNamespace(empty=np.empty, zeros=np.empty, asarray=np.asarray,
                         cuda=SimpleNamespace(Stream=lambda **_: None, Event=lambda **_: None, Device=lambda: SimpleNamespace(id=0),
                                              runtime=SimpleNamespace(cudaDevAttrMaxSharedMemoryPerBlockOptin=97,
                                                                      deviceGetAttribute=lambda *_: LARGEST)))
    image = problem.size, problem.size, problem.arch.channels
    network = Network(xp, number, {}, problem.arch, (problem.batch, *image), False)
    network.program.compile = lambda: None
    images = Images(np.empty((problem.n, *image), np.uint8), np.empty(image, np.float32), PAD, True)
    return Step(network, images, problem.n, RECIPE).program


# ---- on a GPU --------------------------------------------------------------------------------------------------------

def measured(peer, rows, many=100, turns=5, steps=20):
    """(the rows with what was measured, seconds of a whole step as one graph)."""
    peer.run(2)                            # the arrays hold what a step leaves there, and the step has become a graph
    step = peer.step
    with step.stream:
        step.settings[0], step.velocity[...] = 0, 0        # learning rate 0: repeated, SGD leaves the weights alone
        rows = [row._replace(measured=median_seconds(step, graph_of(step, row.launches, many).launch, many, turns))
                for row in rows]
        return rows, median_seconds(step, lambda: [step.run() for _ in range(steps)], steps, turns)


def graph_of(step, launches, many):
    """So many launches one behind the other, of these in turn."""
    step.stream.begin_capture()
    for launch in (launches[i % len(launches)] for i in range(many)):
        step.program.start(launch)
    return step.stream.end_capture()


def median_seconds(step, work, many, turns):
    """For one of the `many` things that work() does, by events before and behind it; the first turn warms up."""
    cuda, found = step.program.xp.cuda, []
    for _ in range(1 + turns):
        step.state[0] = 0                  # steps are counted, and the order of the samples has an end
        begin, end = cuda.Event(), cuda.Event()
        begin.record()
        work()
        end.record()
        end.synchronize()
        found.append(1e-3 * cuda.get_elapsed_time(begin, end) / many)
    return statistics.median(found[1:])


def main(argv=None):
    """The command line; exit status 1 if nothing was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--number", choices=("half", "float"), help="what activations are stored as; default: both")
    parser.add_argument("--batch", type=int, default=PAPER.batch)
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    chosen = parser.parse_args(argv)
    problem, found, missing = PAPER._replace(batch=chosen.batch), {}, ""
    try:
        backend.use_gpu()
    except InputError as error:
        missing = f"Predictions alone: {error}"
    for number in [chosen.number] if chosen.number else ["half", "float"]:
        peer = None if missing else Kernels(problem, number=number)
        rows = rows_of(peer.step.program if peer else imagined(problem, number), number, problem.batch)
        found[number] = measured(peer, rows) if peer else (rows, None)
    text = page(" ".join(["python -m benchmarks.gpu_kernels", *(sys.argv[1:] if argv is None else argv)]), problem, found)
    print(text, missing)
    if chosen.markdown:
        chosen.markdown.write_text(text, encoding="utf-8")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
