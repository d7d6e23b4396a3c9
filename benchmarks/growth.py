"""How time and memory of a training step grow with the batch, the width of the network,
the image and the number of images.

    python -m benchmarks.growth        writes benchmarks/results/cpu-growth.md and docs/pictures/cpu-growth.png

Each measurement in processes of its own. A straight line a + b n is fitted where the work is proportional to n, and for
the width, where products of C x C channels grow with its square, a parabola a + b n + c n^2.
"""
import argparse
import multiprocessing
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.cpu import RESULTS, header
from benchmarks.operations import PICTURES
from benchmarks.peers import BATCH, SMALL, numpy_steps
from benchmarks.turns import Foreign, peak_megabytes, resident_megabytes, wait_for_idle
from core import train
from core.batches import Images
from core.labels import SoftLabels, one_hot
from core.model import Task, fresh_model
from core.objective import Objective
from core.parallel.launch import launch
from core.parallel.processors import available_processors
from core.recipes import RECIPES
from nets.preact_resnet import Architecture
from nets.preact_resnet_fast import FastNet

GROWTHS = {                                              # what grows: (values, degree of the polynomial)
    "images in a batch": ((32, 64, 128, 256, 512), 1),
    "channels of the first stage": ((8, 16, 32, 48, 64), 2),
    "pixels of an image": ((8**2, 16**2, 24**2, 32**2, 48**2), 1),
    "images of the training set": ((1024, 2048, 4096, 8192, 16384), 1),
}


def stepper(what, value, comm):
    """A function whose time is measured: one step of the small net on 16x16, or one epoch;
    only `what` is not as usual."""
    if what == "images of the training set":
        return epoch(value, comm)
    N = value if what == "images in a batch" else BATCH
    side = round(value**.5) if what == "pixels of an image" else 16
    arch = Architecture(widths=(value, 2 * value, 4 * value),
                        blocks=SMALL.blocks) if what.startswith("channels") else SMALL
    return numpy_steps(FastNet(comm), comm, arch, side, N, np.float32)


def epoch(N, comm):
    """An epoch of core/train.py on N images of 16x16."""
    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 256, (N, 16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.float32), 2, False)
    model = fresh_model(FastNet(comm), SMALL, np.random.default_rng(1), np, comm)
    labels, recipe = SoftLabels(one_hot(rng.integers(0, 10, N), 10)), RECIPES["digits"]._replace(batch=BATCH)
    task = Task(images, (images, []), (images, []), None, 0)
    objective = Objective(np.full(10, 0.1, np.float32), recipe.alpha, recipe.beta)
    return lambda: train.theta_epoch(model, task, labels, objective, 1e-3, recipe, 0)


def measure(what, value, ranks, seconds):
    """(median seconds, peak megabytes of all ranks) of steps, repeated for that many seconds."""
    def main(comm):
        start = resident_megabytes()
        step, took, go = stepper(what, value, comm), [], np.ones(1)
        step()
        deadline = time.perf_counter() + seconds
        while go[0]:
            comm.barrier()
            began = time.perf_counter()
            step()
            comm.barrier()
            took.append(time.perf_counter() - began)
            go[0] = len(took) < 3 or time.perf_counter() < deadline
            comm.bcast(go)
        megabytes = np.array([peak_megabytes() - start])
        comm.allreduce(megabytes)
        return statistics.median(took), float(megabytes[0])

    return launch(main, ranks)


def fitted(values, found, degree):
    """(coefficients, largest relative deviation) of a polynomial through the measurements,
    by least relative squares."""
    values, found = np.array(values, float), np.array(found)
    powers = np.vander(values, degree + 1, increasing=True) / found[:, None]
    coefficients = np.linalg.lstsq(powers, np.ones(len(found)), rcond=None)[0]
    return coefficients, np.abs(powers @ coefficients - 1).max()


def slope(values, found):
    """The power of n by which the last two measurements grow: 1 is linear."""
    return np.log(found[-1] / found[-2]) / np.log(values[-1] / values[-2])


def lines_of(what, values, degree, seconds, megabytes):
    """Markdown lines of one growth."""
    formula = " + ".join(f"{{:.3g}} n{'^2' if k == 2 else ''}" if k else "{:.3g}" for k in range(degree + 1))
    fits = [(name, *fitted(values, found, degree), slope(values, found))
            for name, found in (("ms", [1e3 * s for s in seconds]), ("MB", megabytes))]
    return [f"### {what}", "", f"| n | {' | '.join(map(str, values))} | fit | off by at most | power at the end |",
            "|---" * (len(values) + 4) + "|",
            *(f"| {name} | {' | '.join(f'{v:.1f}' for v in found)} | {formula.format(*c)} | "
              f"{100 * off:.0f} % | {power:.2f} |"
              for (name, c, off, power), found in zip(fits, ([1e3 * s for s in seconds], megabytes))), ""]


def draw(found, path):
    """Four panels: measurements as points, fits as lines, times in blue and memory in orange."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, panels = pyplot.subplots(1, 4, figsize=(12, 2.9), layout="constrained")
    for axes, (what, (seconds, megabytes)) in zip(panels, found.items()):
        values, degree = GROWTHS[what]
        many = np.linspace(0, values[-1], 100)
        for target, numbers, colour, unit in ((axes, [1e3 * s for s in seconds], "#3b6ea8", "ms"),
                                              (axes.twinx(), megabytes, "#d9822b", "MB")):
            target.plot(values, numbers, "o", ms=4, color=colour)
            target.plot(many, np.polynomial.polynomial.polyval(many, fitted(values, numbers, degree)[0]), color=colour,
                        lw=1)
            target.set_ylim(0, None)
            target.set_ylabel(unit, color=colour, fontsize=8)
            target.tick_params(labelsize=7)
        axes.set_xlabel(what, fontsize=9)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3, help="for each measurement")
    parser.add_argument("--ranks", type=int, default=available_processors())
    parser.add_argument("--patience", type=float, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu-growth.md")
    chosen = parser.parse_args()
    lines = header("How time and memory grow", chosen.ranks, "benchmarks.growth")
    lines += [f"The small net on 16x16, batch {BATCH}: a step, and for the training set an epoch. MB: "
              f"above the libraries' own, all {chosen.ranks} ranks together.", ""]
    found, foreign = {}, Foreign()
    for what, (values, degree) in GROWTHS.items():
        pairs = []
        for value in values:
            wait_for_idle(chosen.patience)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pairs.append(pool.apply(measure, (what, value, chosen.ranks, chosen.seconds)))
        found[what] = tuple(zip(*pairs))
        lines += lines_of(what, values, degree, *found[what])
    lines += [foreign.sentence(), ""]
    print("\n".join(lines))
    chosen.out.write_text("\n".join(lines))
    draw(found, PICTURES / f"{chosen.out.stem}.png")


if __name__ == "__main__":
    main()
