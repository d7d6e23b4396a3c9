"""How a training on a user's own images grows with their number: reading, an epoch, and memory, by the whole program.

    python -m benchmarks.growth_own      1,000 to 100,000 PNGs of 32 x 32; writes benchmarks/results/cpu-growth-own.md
    python -m benchmarks.growth_own --images 200 400 --out FILE

The images are those of benchmarks/reading.py, made once and kept in --folder. Every number of them is a run of demo.py
with two epochs of step 1 and one of step 2, to its last file. The first epoch makes the arrays, the second counts.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cpu import RESULTS, header
from benchmarks.growth import fitted, slope
from benchmarks.reading import make, part_of
from benchmarks.turns import Foreign, wait_for_idle
from core.parallel.processors import available_processors

DEMO = Path(__file__).parent.parent / "demo.py"


def measure(table, ranks, out):
    """(seconds of all, of the second epoch, of an image file; peak megabytes of the largest process) of one run."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, DEMO, "--data", table, "--net", "small", "--size", "32", "--epochs", "2",
                              "--ranks", str(ranks), "--out", out], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0, f"demo.py ended with status {status}"
    epochs = [json.loads(line)["seconds"] for line in (out / "log.jsonl").read_text().splitlines()]
    return seconds, epochs[1], seconds - sum(epochs), usage.ru_maxrss / 2**10


def lines_of(numbers, found):
    """Markdown lines: a row for each of what was measured, with the straight line through it."""
    names = ("all, s", "an epoch, s", "all but the epochs, s", "peak memory of the largest process, MB")
    lines = [f"| images | {' | '.join(f'{n:,}' for n in numbers)} | fit | off by at most | power at the end |",
             "|---" * (len(numbers) + 4) + "|"]
    for name, row in zip(names, zip(*found)):
        (a, b), off = fitted(numbers, row, 1)
        lines.append(f"| {name} | {' | '.join(f'{v:.1f}' for v in row)} | {a:.3g} + {b:.3g} n | {100 * off:.0f} % "
                     f"| {slope(numbers, row):.2f} |")
    return [*lines, ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 30_000, 100_000])
    parser.add_argument("--ranks", type=int, default=available_processors())
    parser.add_argument("--patience", type=float, default=20)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "growth-of-own-images")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu-growth-own.md")
    chosen = parser.parse_args()
    lines = header("How a training on own images grows", chosen.ranks, "benchmarks.growth_own")
    make(chosen.folder, max(chosen.images), 32, 32, "png")
    found, foreign = [], Foreign()
    for images in chosen.images:
        wait_for_idle(chosen.patience)
        found.append(measure(part_of(chosen.folder, images), chosen.ranks, chosen.folder / "run"))
        print(images, *(f"{number:.1f}" for number in found[-1]), flush=True)
    lines += [f"PNGs of 32 x 32 pixels in 100 classes, the network `small`, two epochs and one of a fresh network. "
              f"{chosen.ranks} ranks.", "", *lines_of(chosen.images, found), foreign.sentence(), ""]
    print("\n".join(lines))
    chosen.out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
