"""Time of every kernel launch of a training step of the paper's network: predicted, and measured on a GPU.

    python -m benchmarks.gpu_kernels                                       16 and 32 bits, to the terminal
    python -m benchmarks.gpu_kernels --number half --markdown FILE         16 bits only, also to a file
    python -m benchmarks.gpu_kernels --variant rp                          one line: a whole step of this variant

Variants: core/kernels/variant.py. Several processes at a time compile concurrently and are timed one after the other.
The digest is that of the gradient, equal for all variants except b, s and h.

Predictions: benchmarks/gpu_predicted.py, for the GPU whose copy bandwidth is nearest to the measured one. Each kernel
is measured alone, in a graph of 100 launches that cycles through the layers of its row, on the arrays of a real step;
median of 5. Like the predictions, that includes the gap between two launches.
"""
import argparse
import hashlib
import statistics
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from benchmarks.gpu import PAPER
from benchmarks.gpu_kernels_page import page
from benchmarks.gpu_peers import PAD, RECIPE, Kernels
from benchmarks.gpu_predicted import COPY, Work, bound, nearest, predicted, works
from core import backend
from core.batches import Images
from core.errors import InputError
from core.kernels.step import StepGraph
from core.kernels.variant import LETTERS, Variant, variant
from nets.preact_resnet_launches import Network

LARGEST = 227 * 1024                       # bytes of shared memory that a block of an H200 may ask for


class Row(NamedTuple):
    """Equal launches: same kernel, grid, block, shared memory, branch and number of bytes."""
    launches: list
    work: Work
    bound: dict                            # {GPU: seconds of one launch}
    predicted: dict
    measured: float | None = None          # seconds


def rows_of(program, number, batch, gpus=tuple(COPY)):
    """All launches of a step in rows; per branch, by descending predicted total time on the last of the GPUs."""
    found = {}
    for launch, work in works(program, batch):
        kind = launch.name, launch.grid, launch.block, launch.shared, launch.branch, work
        found.setdefault(kind, []).append(launch)
    rows = [Row(launches, work, {gpu: bound(work, number, gpu) for gpu in gpus},
                {gpu: predicted(launches[0], work, number, gpu) for gpu in gpus})
            for (*_, work), launches in found.items()]
    return sorted(rows, key=lambda row: (row.launches[0].branch, -len(row.launches) * row.predicted[gpus[-1]]))


def imagined(problem, number, variant=Variant()):
    """The program of a step without a GPU: its arrays have shapes but no content."""
    xp = SimpleNamespace(empty=np.empty, zeros=np.empty, asarray=np.asarray,
                         cuda=SimpleNamespace(Stream=lambda **_: None, Event=lambda **_: None,
                                              Device=lambda: SimpleNamespace(id=0, compute_capability="90"),
                                              runtime=SimpleNamespace(cudaDevAttrMaxSharedMemoryPerBlockOptin=97,
                                                                      deviceGetAttribute=lambda *_: LARGEST)))
    image = problem.size, problem.size, problem.arch.channels
    network = Network(xp, number, {}, problem.arch, (problem.batch, *image), False, variant)
    network.program.compile = lambda: None
    images = Images(np.empty((problem.n, *image), np.uint8), np.empty(image, np.float32), PAD, True)
    return StepGraph(network, images, problem.n, RECIPE).program


# ---- on a GPU --------------------------------------------------------------------------------------------------------

def measured(peer, rows, many=100, turns=5, steps=20):
    """(rows with measured times, seconds of a whole step as one graph)."""
    peer.run(2)                            # fills the arrays and captures the graph
    step = peer.step
    with step.stream:
        step.settings[0], step.velocity[...] = 0, 0        # learning rate 0: SGD leaves the weights unchanged
        rows = [row._replace(measured=median_seconds(step, graph_of(step, row.launches, many).launch, many, turns))
                for row in rows]
        return rows, median_seconds(step, lambda: [step.run() for _ in range(steps)], steps, turns)


def graph_of(step, launches, many):
    """A graph of `many` launches in sequence, cycling through these."""
    step.stream.begin_capture()
    for launch in (launches[i % len(launches)] for i in range(many)):
        step.program.start(launch)
    return step.stream.end_capture()


def median_seconds(step, work, many, turns):
    """Median seconds of one of the `many` items of work(), between two events; the first turn is the warm-up."""
    cuda, found = step.program.xp.cuda, []
    for _ in range(1 + turns):
        step.state[0] = 0                  # back to the first batch: the order of the samples is finite
        begin, end = cuda.Event(), cuda.Event()
        begin.record()
        work()
        end.record()
        end.synchronize()
        found.append(1e-3 * cuda.get_elapsed_time(begin, end) / many)
    return statistics.median(found[1:])


def copied(xp, gigabytes=4, times=10):
    """(gigabytes, bytes/s read and written by a copy of that size, the GPU with the nearest bandwidth)"""
    source, found = xp.zeros(int(gigabytes * 1e9), np.uint8), []
    target = xp.empty_like(source)
    for _ in range(1 + times):
        begin, end = xp.cuda.Event(), xp.cuda.Event()
        begin.record()
        target[...] = source
        end.record()
        end.synchronize()
        found.append(2 * source.nbytes / (1e-3 * xp.cuda.get_elapsed_time(begin, end)))
    rate = statistics.median(found[1:])
    return gigabytes, rate, nearest(rate)


def of_variant(peer, lock, steps=100, turns=7):
    """(seconds of a step, digest of the gradient after three steps); timed while holding the lock."""
    peer.run(3)
    gradient = backend.to_host(peer.step.network.parameters.gradient)
    with FileLock(lock), peer.step.stream:
        peer.step.settings[0], peer.step.velocity[...] = 0, 0
        seconds = median_seconds(peer.step, lambda: [peer.step.run() for _ in range(steps)], steps, turns)
    return seconds, hashlib.md5(gradient.tobytes()).hexdigest()[:8]


def line_of(letters, problem, number):
    """Print time and digest of a variant."""
    peer = Kernels(problem, number=number, variant=variant(letters))
    seconds, digest = of_variant(peer, Path(tempfile.gettempdir(), "gpu-alone.lock"))
    epoch = seconds * problem.n / problem.batch
    print(f"variant {letters:5} {number}: {1e3 * seconds:.3f} ms a step, {epoch:.3f} s an epoch, gradient {digest}",
          flush=True)


def main(argv=None):
    """The command line; exit status 1 if nothing was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--number", choices=("half", "float"), help="what activations are stored as; default: both")
    parser.add_argument("--batch", type=int, default=PAPER.batch)
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--variant", metavar="LETTERS",
                        help=f"among {', '.join(LETTERS)}, or - for none: a line about a step alone")
    chosen = parser.parse_args(argv)
    problem, found, missing = PAPER._replace(batch=chosen.batch), {}, ""
    try:
        backend.use_gpu()
    except InputError as error:
        missing = f"Predictions alone: {error}"
    if chosen.variant:
        sys.exit(missing or line_of(chosen.variant, problem, chosen.number or "half"))
    copy = None if missing else copied(backend.cupy)
    for number in [chosen.number] if chosen.number else ["half", "float"]:
        peer = None if missing else Kernels(problem, number=number)
        program = peer.step.program if peer else imagined(problem, number)
        rows = rows_of(program, number, problem.batch, copy[2:] if copy else (*COPY,))
        found[number] = measured(peer, rows) if peer else (rows, None)
    command = " ".join(["python -m benchmarks.gpu_kernels", *(sys.argv[1:] if argv is None else argv)])
    text = page(command, problem, found, copy)
    print(text, missing)
    if chosen.markdown:
        chosen.markdown.write_text(text, encoding="utf-8")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
