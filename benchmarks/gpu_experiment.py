"""One of the paper's experiments on a GPU, by the fastest way that works there, in limited time.

    python -m benchmarks.gpu_experiment OUT --data PATH                  sn-70: 200 + 120 epochs on CIFAR-10
    python -m benchmarks.gpu_experiment OUT --data PATH --seconds 310    the default

The ways in turn: this project's kernels in 16 bits; in 32 bits; CuPy with as many epochs as should fit. A way has a
minute for three epochs, or the next is tried. If it breaks after those, the experiment begins again, shorter and on the
kernels in 32 bits. Each way has a run folder of its own, OUT/WAY.
"""
import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from core.recipes import RECIPES, shortened
from core.report.numbers import percent

ROOT = Path(__file__).parent.parent
WAYS = {"kernels-half": ["--kernels", "half"], "kernels-float": ["--kernels", "float"], "cupy": []}
LAST = "cupy"
AGAIN = ["--kernels", "float", "--epochs", "60"]
ENOUGH, PATIENCE = 3, 60               # so many epochs in so many seconds, or the next way is tried
CUPY_EPOCH = 3.8                       # seconds with the evaluation, predicted: 1,150 launches a step of 6 to 8 us each


def options(way, recipe, seconds):
    """What demo.py is told beside the data and the recipe; CuPy gets as many epochs as should fit into `seconds`."""
    if way != LAST:
        return WAYS[way]
    whole = RECIPES[recipe]
    shorter = [shortened(whole, epochs) for epochs in range(1, whole.epochs + 1)]
    fitting = [r.epochs for r in shorter if (r.epochs + r.epochs2) * CUPY_EPOCH < seconds]
    return ["--epochs", str(max(fitting, default=1))]


class Run:
    """demo.py in a process; its process group is that of this program, so that whoever ends the group ends it, too."""

    def __init__(self, name, chosen, more):
        self.name, self.folder, self.start = name, chosen.out / name, time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)         # the log of an earlier one would be counted
        command = [sys.executable, "demo.py", "--gpu", "--data", str(chosen.data), "--recipe", chosen.recipe,
                   "--out", str(self.folder), *more]
        print(f"\n{name}: {' '.join(command[1:])}", flush=True)
        self.process = subprocess.Popen(command, cwd=ROOT)

    def epochs(self):
        """How many are over."""
        log = self.folder / "log.jsonl"
        return log.read_text(encoding="utf-8").count("\n") if log.exists() else 0

    def works(self, patience):
        """Whether it gets through the first epochs in `patience` seconds. If not, it is ended."""
        until = time.monotonic() + patience
        while time.monotonic() < until and self.process.poll() is None and self.epochs() < ENOUGH:
            time.sleep(0.2)
        works = self.epochs() >= ENOUGH or self.process.poll() == 0
        if not works:
            self.end()
        return works

    def completes(self, seconds):
        """Whether it comes to its end in that time. If not, it is ended."""
        try:
            return self.process.wait(max(0, seconds)) == 0
        except subprocess.TimeoutExpired:
            self.end()
            return False

    def end(self):
        """At once."""
        self.process.kill()
        self.process.wait()

    def outcome(self):
        """One line: what has come of it."""
        seconds, file = time.monotonic() - self.start, self.folder / "summary.json"
        line = f"{self.name}: {self.epochs()} epochs in {seconds:.0f} s"
        if not file.exists():
            return f"{line}, not complete"
        found = json.loads(file.read_text(encoding="utf-8"))
        labels = f"correct labels {percent(found['initial'])} -> {percent(found['recovery'])}"
        return f"{line}, {labels}, test {percent(found['joint']['test'])}, {percent(found['retrain']['test'])}"


def main(argv=None):
    """The command line; exit status 0 if one of the ways came to the end of the experiment."""
    chosen = parser().parse_args(argv)
    until = time.monotonic() + chosen.seconds

    def left():
        return until - time.monotonic()

    for way in WAYS:
        run = Run(way, chosen, options(way, chosen.recipe, left()))
        if run.works(left() if way == LAST else min(left(), PATIENCE)):
            break
        print(run.outcome(), flush=True)
    else:
        return 1
    good = run.completes(left())
    print(run.outcome(), flush=True)
    if not good and way != LAST and left() > 0:
        run = Run("again", chosen, AGAIN)
        good = run.completes(left())
        print(run.outcome(), flush=True)
    return int(not good)


def parser():
    """The command line's parser."""
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out", type=lambda path: Path(path).resolve())
    p.add_argument("--data", required=True, type=lambda path: Path(path).resolve(),
                   help="cifar-10-batches-py, or the archive that holds it")
    p.add_argument("--recipe", choices=[name for name in RECIPES if name[:3] in ("sn-", "an-")], default="sn-70")
    p.add_argument("--seconds", type=float, default=310)
    return p


if __name__ == "__main__":
    sys.exit(main())
