"""Where the time of a training step goes, operation by operation:
the epochs of core/train.py with a clock in every function.

    python -m benchmarks.operations    writes benchmarks/results/cpu-operations.md and docs/pictures/cpu-operations.png

The time of a function is that spent in itself, without the functions below it that have a clock of their own. Rank 0's
clock; what it waits for the others is in the all-reduces. The clocks take about 0.3 ms of a step themselves.
"""
import argparse
import statistics
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.cpu import RESULTS, header
from benchmarks.peers import BATCH, NETS
from benchmarks.turns import Foreign
from core import model, train
from core.batches import Images
from core.fast import norm, units, winograd
from core.labels import SoftLabels, one_hot
from core.model import Task, fresh_model
from core.objective import Objective
from core.optim import Flat
from core.parallel.launch import launch
from core.parallel.processors import available_processors
from core.recipes import RECIPES
from nets import preact_resnet_fast as fast

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
STEPS = {"P": 3, "S32": 12, "S16": 24}                                 # in an epoch
READ, LABELS = "reading, crops and flips", "labels"
CLOCKS = {                                                             # operation: (where, function), ...
    "convolutions, forward": [(winograd.Convolution, "forward"), (winograd.Filters, "forward")],
    "convolutions, backward": [(winograd.Convolution, "backward"), (winograd.Filters, "backward"),
                               (winograd.Filters, "gradient")],
    "batch norm and ReLU": [(norm.Activation, "__init__"), (norm.Activation, "write"), (norm.NormBackward, "__init__"),
                            (norm.NormBackward, "write"), (norm.NormBackward, "write_total"),
                            (units, "mask"), (units, "add_sums"), (fast, "norm_of_sums"), (fast, "norm_gradient")],
    "projections and shortcuts": [(fast, "unit_forward"), (fast, "unit_backward")],
    "first convolution": [(fast, "stem_forward"), (fast, "stem_backward")],
    "head": [(fast, "head_forward"), (fast, "head_backward"), (fast, "through")],
    "objective": [(train, "objective_forward"), (train, "objective_backward"), (train, "softmax")],
    "SGD, gathering, running statistics": [(train, "sgd_step"), (model, "update_running"), (Flat, "gather"),
                                           (fast.FastNet, "moments")],
    READ: [(train, "augmented"), (train, "batches")],
    LABELS: [(SoftLabels, "remember")],
}
REST, WAIT = "all else", "all-reduces and waiting"


class Clocks:
    """Puts a clock into every function of CLOCKS; seconds: {operation: time so far}."""

    def __init__(self, comm):
        self.seconds, self.inner = Counter(), [0.0]
        for operation, places in [*CLOCKS.items(), (WAIT, [(type(comm), "allreduce")])]:
            for owner, name in places:
                setattr(owner, name, self.timed(getattr(owner, name), operation))

    def timed(self, function, operation):
        def with_clock(*args, **kwargs):
            start = time.perf_counter()
            self.inner.append(0.0)
            result = function(*args, **kwargs)
            if function.__name__ == "batches":                     # a generator: what it does, it does when it is asked
                result = list(result)
            took = time.perf_counter() - start
            self.seconds[operation] += took - self.inner.pop()
            self.inner[-1] += took
            return result

        return with_clock


def measure(key, ranks, epochs):
    """([{operation: seconds of a step} of each epoch], seconds of a step's exchange alone), on rank 0; the first epoch,
    which makes all arrays, is left out."""
    arch, size, _ = NETS[key]
    N, rng = STEPS[key] * BATCH, np.random.default_rng(0)
    pixels = rng.integers(0, 256, (N, size, size, arch.channels), np.uint8)
    images = Images(pixels, np.zeros((size, size, arch.channels), np.float32), 4, True)
    recipe = RECIPES["digits"]._replace(batch=BATCH)

    def main(comm):
        model = fresh_model(fast.FastNet(comm), arch, np.random.default_rng(1), np, comm)
        labels = SoftLabels(one_hot(rng.integers(0, arch.classes, N), arch.classes))
        task = Task(images, (images, []), (images, []), None, 0)
        objective = Objective(np.full(arch.classes, 1 / arch.classes, np.float32), recipe.alpha, recipe.beta)
        clocks, found = Clocks(comm), []
        for epoch in range(epochs + 1):
            clocks.seconds.clear()
            start = time.perf_counter()
            train.theta_epoch(model, task, labels, objective, 1e-3, recipe, epoch)
            whole = time.perf_counter() - start
            clocks.seconds[REST] = whole - sum(clocks.seconds.values())
            found.append({name: seconds / STEPS[key] for name, seconds in clocks.seconds.items()})
        with exchanged(comm) as arrays:
            train.theta_epoch(model, task, labels, objective, 1e-3, recipe, epochs + 1)
        return found[1:], exchange(comm, arrays) / STEPS[key]

    return launch(main, ranks)


@contextmanager
def exchanged(comm):
    """Collects copies of the arrays that go through all-reduces meanwhile."""
    arrays, allreduce = [], comm.allreduce

    def noted(array):
        arrays.append(array.copy())
        allreduce(array)

    comm.allreduce = noted
    try:
        yield arrays
    finally:
        del comm.allreduce


def exchange(comm, arrays, rounds=9):
    """Median seconds for all-reduces of these arrays with no work between them, so that no rank is late."""
    times = []
    for _ in range(rounds):
        comm.barrier()
        start = time.perf_counter()
        for array in arrays:
            comm.allreduce(array)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def medians(epochs):
    """{operation: median seconds over the epochs}"""
    return {name: statistics.median(epoch.get(name, 0) for epoch in epochs) for name in [*CLOCKS, WAIT, REST]}


def table(columns, exchanges):
    """Markdown lines: milliseconds of a step and their share; exchanges: {net: seconds of a step's exchange alone}."""
    lines = ["| | " + " | ".join(f"{key}, ms | %" for key in columns) + " |", "|---" * (2 * len(columns) + 1) + "|"]
    wholes = {key: sum(column.values()) for key, column in columns.items()}
    for name in [*CLOCKS, WAIT, REST]:
        cells = [f"{1e3 * column[name]:.2f} | {100 * column[name] / wholes[key]:.1f}"
                 for key, column in columns.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["| **together** | " + " | ".join(f"**{1e3 * whole:.1f}** | " for whole in wholes.values()) + " |", ""]
    parts = [f"{key} {100 * (column[READ] + column[LABELS]) / wholes[key]:.1f} %" for key, column in columns.items()]
    alone = [f"{key} {1e3 * seconds:.2f} ms, {100 * seconds / wholes[key]:.1f} %" for key, seconds in exchanges.items()]
    return [*lines, f"Reading, crops, flips and the memory of predictions together: {', '.join(parts)} of a step.", "",
            f"The all-reduces alone, one after another, when no rank is late: {'; '.join(alone)} of a step.", ""]


def draw(columns, path):
    """One bar for each net, its parts in the order of the table."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(8.4, 2.8), layout="constrained")
    colours, left = pyplot.get_cmap("tab20").colors, np.zeros(len(columns))
    for name, colour in zip([*CLOCKS, WAIT, REST], colours):
        share = np.array([100 * column[name] / sum(column.values()) for column in columns.values()])
        axes.barh(list(columns), share, left=left, color=colour, label=name)
        left += share
    axes.set(xlabel="per cent of a training step", xlim=(0, 100))
    axes.invert_yaxis()
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--ranks", type=int, default=available_processors())
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu-operations.md")
    chosen = parser.parse_args()
    foreign = Foreign()
    measured = {key: apart(measure, key, chosen.ranks, chosen.epochs) for key in chosen.nets}
    columns = {key: medians(epochs) for key, (epochs, _) in measured.items()}
    lines = [*header("Where the time of a training step goes", chosen.ranks, "benchmarks.operations"),
             *table(columns, {key: seconds for key, (_, seconds) in measured.items()}), foreign.sentence(), ""]
    print("\n".join(lines))
    chosen.out.write_text("\n".join(lines))
    draw(columns, PICTURES / f"{chosen.out.stem}.png")


def apart(function, *args):
    """function(*args), computed in a new process: clocks are put in once."""
    import multiprocessing
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(function, args)


if __name__ == "__main__":
    main()
