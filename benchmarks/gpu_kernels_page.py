"""The page of benchmarks/gpu_kernels.py."""
from math import prod

from benchmarks.gpu_predicted import COPY, WRITTEN
from benchmarks.gpu_report import circumstances
from core.kernels.program import ASIDE, MAIN

UNSEEN = ("**There was no GPU: these are predictions for an H100 and an H200, and nothing on this page has been "
          "measured.**")
LEGEND = """\
The paper's network in batches of {batch}. A step is a graph of two branches. The second is hidden behind the main one
at no cost, or in its way: hence two numbers for a step. GFLOP: of the convolutions. MB: every array once. Bound: the
longer of two times, arithmetic at the rate of the instruction and bytes at that of a copy, {rates}. Predicted on
{written}, before anything had been measured; [gpu_predicted.py](../gpu_predicted.py) says how, and from what."""
CHOSEN = "A copy of {size:.0f} GB moves {rate:.2f} TB/s here, so the predictions are those for an {gpu}.\n"
ALONE = """\
Measured: each kernel alone, by events around a graph of 100 launches, of all layers of its row in turn; median of 5.
What fits into the cache, as the arrays of a single layer do, may come from there."""


def page(command, problem, found, copy=None):
    """The page in Markdown.

    found: {number: (rows, seconds of a measured step or None)}; copy: (gigabytes, bytes/s, GPU) as measured.
    """
    on_gpu = all(step for _, step in found.values())
    rates = ", ".join(f"{rate / 1e12} TB/s on an {gpu}" for gpu, rate in COPY.items())
    lines = ["# What a training step costs, kernel by kernel", "",
             circumstances(False) if on_gpu else UNSEEN, "", f"    {command}", "",
             LEGEND.format(batch=problem.batch, written=WRITTEN, rates=rates), ""]
    lines += [CHOSEN.format(size=copy[0], rate=copy[1] / 1e12, gpu=copy[2])] if copy else []
    lines += [ALONE, ""] if on_gpu else []
    for number, (rows, step) in found.items():
        lines += [f"## --number {number}", "", *summary(rows, step, problem), "", *table(rows), ""]
    return "\n".join(lines)


def summary(rows, step, problem):
    """Table of the whole step: sums over the rows of each branch."""
    epoch = problem.n / problem.batch

    def sums(value):
        return [sum(len(row.launches) * value(row) for row in rows if row.launches[0].branch == branch)
                for branch in (MAIN, ASIDE)]

    def count(name, value):
        main, second = sums(value)
        return [name, f"{main:,.0f}", f"{second:,.0f}", f"{main + second:,.0f}", ""]

    def time(name, value):
        main, second = sums(value)
        return [f"{name}, ms", *(f"{1e3 * t:.2f}" for t in (main, second)),
                *(f"**{much * main:.2f} .. {much * (main + second):.2f}**" for much in (1e3, epoch))]

    lines = [count("launches", lambda row: 1), count("GFLOP", lambda row: row.work.flop / 1e9),
             count("MB", lambda row: (row.work.read + row.work.written) / 1e6),
             *(time(f"{what}, {gpu}", lambda row: getattr(row, what)[gpu])
               for what in ("bound", "predicted") for gpu in rows[0].bound)]
    if step:
        lines += [time("measured, kernel by kernel", lambda row: row.measured),
                  ["measured as one graph, ms", "", "", f"**{1e3 * step:.2f}**", f"**{epoch * step:.2f}**"]]
    per_epoch = f"s per epoch of {problem.n:,} images, {epoch:.1f} steps"
    return markdown(["", "main branch", "second branch", "step", per_epoch], lines)


def table(rows):
    """Table with a line per row."""
    head = ["kernel, blocks x threads", "branch", "launches", "GFLOP", "MB read", "written",
            *(f"{what}, µs, {gpu}" for what in ("bound", "predicted") for gpu in rows[0].bound)]
    more = ["measured, µs", "TFLOP/s", "of the bound", "of the prediction"] if rows[0].measured else []
    return markdown(head + more, map(line, rows))


def line(row):
    """One line of the table."""
    launch, work = row.launches[0], row.work
    found = [f"`{launch.name}` {prod(launch.grid)} x {launch.block}", "main" if launch.branch == MAIN else "second",
             f"{len(row.launches)}", f"{work.flop / 1e9:.2f}", f"{work.read / 1e6:.2f}", f"{work.written / 1e6:.2f}",
             *(f"{1e6 * seconds:.1f}" for what in (row.bound, row.predicted) for seconds in what.values())]
    if row.measured is None:
        return found
    (bound,), (predicted,) = row.bound.values(), row.predicted.values()                # of the measured GPU
    return found + [f"{1e6 * row.measured:.1f}", f"{work.flop / row.measured / 1e12:.0f}",
                    f"{100 * bound / row.measured:.0f} %", f"{row.measured / predicted:.2f}"]


def markdown(head, lines):
    """A table in Markdown."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)]
