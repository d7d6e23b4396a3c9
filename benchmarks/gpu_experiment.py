"""One of the paper's experiments on a GPU, with the fastest implementation that works there, in limited time.

    python -m benchmarks.gpu_experiment OUT --data PATH                  sn-70: 200 + 120 epochs on CIFAR-10
    python -m benchmarks.gpu_experiment OUT --data PATH --seconds 310    the default

It tries in turn: this project's kernels in 16 bits; in 32 bits; CuPy with as many epochs as should fit. Each has a
minute for three epochs before the next is tried. If a run fails after those, the experiment restarts with fewer
epochs on the kernels in 32 bits. Each has its own run folder, OUT/WAY.
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
ENOUGH, PATIENCE = 3, 60               # epochs, and the seconds they may take before the next way is tried
CUPY_EPOCH = 3.8                       # seconds with the evaluation, predicted: 1,150 launches a step of 6 to 8 us each


def options(way, recipe, seconds):
    """Options of demo.py besides data and recipe; CuPy gets as many epochs as should fit into `seconds`."""
    if way != LAST:
        return WAYS[way]
    whole = RECIPES[recipe]
    shorter = [shortened(whole, epochs) for epochs in range(1, whole.epochs + 1)]
    fitting = [r.epochs for r in shorter if (r.epochs + r.epochs2) * CUPY_EPOCH < seconds]
    return ["--epochs", str(max(fitting, default=1))]


class Run:
    """demo.py in a process of this program's process group, so that killing the group ends it."""

    def __init__(self, name, chosen, more):
        self.name, self.folder, self.start = name, chosen.out / name, time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)         # or epochs() would count an earlier log
        command = [sys.executable, "demo.py", "--gpu", "--data", str(chosen.data), "--recipe", chosen.recipe,
                   "--out", str(self.folder), *more]
        print(f"\n{name}: {' '.join(command[1:])}", flush=True)
        self.process = subprocess.Popen(command, cwd=ROOT)

    def epochs(self):
        """Number of completed epochs."""
        log = self.folder / "log.jsonl"
        return log.read_text(encoding="utf-8").count("\n") if log.exists() else 0

    def works(self, patience):
        """Whether the run completes the first epochs in `patience` seconds. If not, it is killed."""
        until = time.monotonic() + patience
        while time.monotonic() < until and self.process.poll() is None and self.epochs() < ENOUGH:
            time.sleep(0.2)
        works = self.epochs() >= ENOUGH or self.process.poll() == 0
        if not works:
            self.end()
        return works

    def completes(self, seconds):
        """Whether the run completes in that time. If not, it is killed."""
        try:
            return self.process.wait(max(0, seconds)) == 0
        except subprocess.TimeoutExpired:
            self.end()
            return False

    def end(self):
        """Kill the run."""
        self.process.kill()
        self.process.wait()

    def outcome(self):
        """The outcome in one line."""
        seconds, file = time.monotonic() - self.start, self.folder / "summary.json"
        line = f"{self.name}: {self.epochs()} epochs in {seconds:.0f} s"
        if not file.exists():
            return f"{line}, not complete"
        found = json.loads(file.read_text(encoding="utf-8"))
        labels = f"correct labels {percent(found['initial'])} -> {percent(found['recovery'])}"
        return f"{line}, {labels}, test {percent(found['joint']['test'])}, {percent(found['retrain']['test'])}"


def main(argv=None):
    """The command line; exit status 0 if the experiment completed."""
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
