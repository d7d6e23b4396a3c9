"""Everything that wants a GPU, with one command: tests, evidence, benchmark and the program itself, each with its log.

    python -m benchmarks.gpu_session OUT                 minutes; OUT/1-tests.log, OUT/2-evidence.log, ...
    python -m benchmarks.gpu_session OUT --data PATH     with two of the paper's experiments on CIFAR-10, as far as --seconds allow
    python -m benchmarks.gpu_session OUT --only bench    one part: kernels, tests, launches, evidence, bench, demo, demo-kernels,
                                                         sn-70 or an-40

A part that fails or takes too long does not end the others. Exit status 1 if one did. Under a scheduler that lends a GPU for
minutes, run the parts one by one.
"""
import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def parts(out, data, seconds):
    """{name: (seconds it may take, command)}, in the order in which they are run."""
    python = [sys.executable, "-m"]
    kernels = [f"tests/gpu/test_kernels_{name}.py" for name in ("conv", "net", "program", "step")]
    found = {
        "kernels": (240, [*python, "pytest", "-q", *kernels]),
        "tests": (300, [*python, "pytest", "-q", "-x", "--durations=10"]),
        "launches": (120, [*python, "benchmarks.gpu_kernels", "--markdown", str(out / "gpu-kernels.md")]),
        "evidence": (240, [*python, "tests", "--markdown", str(out / "evidence.md")]),
        "bench": (560, [*python, "benchmarks.gpu", "--budget", "480", "--out", str(out / "gpu.md")]),
        "demo": (120, [sys.executable, "demo.py", "--gpu", "--out", str(out / "digits"), "--force"]),
        "demo-kernels": (120, [sys.executable, "demo.py", "--gpu", "--kernels", "half", "--out", str(out / "digits-kernels"),
                               "--force"]),
    }
    for recipe in ("sn-70", "an-40") if data else ():          # 200 + 120 epochs
        found[recipe] = (seconds, [sys.executable, "demo.py", "--gpu", "--kernels", "half", "--data", data, "--recipe", recipe,
                                   "--out", str(out / recipe), "--force"])
    return found


def run(number, name, limit, command, out):
    """One part: its output goes to the terminal's log file; returns whether it ended well."""
    path, start = out / f"{number}-{name}.log", time.perf_counter()
    with open(path, "w", encoding="utf-8") as log:
        log.write(f"{' '.join(command)}\n\n")
        log.flush()
        try:
            status = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, timeout=limit).returncode
        except subprocess.TimeoutExpired:
            status = f"ended after {limit} s"
    last = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1][:100]
    print(f"{name:10} {time.perf_counter() - start:6.0f} s  {'ok' if status == 0 else f'failed ({status})'}  {last}", flush=True)
    return status == 0


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", metavar="PATH", help="CIFAR-10, for the paper's experiments")
    parser.add_argument("--seconds", type=int, default=540, help="for each of the paper's experiments (default 540)")
    parser.add_argument("--only", nargs="+", metavar="PART")
    chosen = parser.parse_args(argv)
    out = chosen.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    wanted = {name: part for name, part in parts(out, chosen.data, chosen.seconds).items() if name in (chosen.only or [name])}
    return int(not all([run(number, name, *part, out) for number, (name, part) in enumerate(wanted.items(), 1)]))


if __name__ == "__main__":
    sys.exit(main())
