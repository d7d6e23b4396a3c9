"""Everything that wants a GPU, planned for a machine that is lent for minutes.

    python -m benchmarks.gpu_session OUT --data PATH             all, 16 minutes; PATH: CIFAR-10, as demo.py takes it
    python -m benchmarks.gpu_session OUT --call 1                430 s: tests of the kernels, benchmark, every launch
    python -m benchmarks.gpu_session OUT --call 2 --data PATH    370 s: an experiment of the paper, and the other tests
    python -m benchmarks.gpu_session OUT --call 3                160 s: variants of the second branch, memcheck

A table says how every part ended or why it did not run. OUT/gpu-session.tgz (with --call: -1, -2, -3) holds all logs
and results; it is renewed after every part and every 30 seconds, so little is lost if the machine goes. Kernels are
compiled in the background before anything is timed. A part that fails or hangs does not end the others. Exit status 1
if one did.
"""
import argparse
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu_machine import CANNOT
from benchmarks.gpu_parts import ROOT, Part, Session

PYTHON = [sys.executable, "-m"]
PEERS = ["ours, kernels, 16 bits", "ours, kernels, tf32", "ours, tf32", "PyTorch eager, tf32", "PyTorch eager, bf16",
         "PyTorch CUDA graph by hand, tf32", "PyTorch CUDA graph by hand, bf16",
         "PyTorch compile reduce-overhead, bf16"]
VARIANTS = ("-", "r", "rp", "rpc", "rpcs", "rpcsh", "b", "rb")     # of benchmarks/gpu_kernels.py
NOT_HERE = ("test_kernels_compile", "test_kernels_convergence")    # the first needs no GPU, the second minutes
LENIENT = ["-o", "filterwarnings=default"]                         # a warning seen for the first time fails no test
MACHINE = Part("machine", 40, [*PYTHON, "benchmarks.gpu_machine"])     # at the beginning of every call


class Call(NamedTuple):
    """Stages that follow one another, in so many seconds; the parts of a stage run together."""
    seconds: float
    stages: list


def calls(work, data):
    """{number: Call}"""
    return {1: Call(430, measurements(work)), 2: Call(370, experiment(work, data)), 3: Call(160, variants())}


def measurements(work):
    """Whether the kernels are right, while the rest is compiled; then how fast they are, with nothing beside them."""
    compiled = [Part(f"compile {what}", 100, [*PYTHON, "benchmarks.gpu_warm", what]) for what in ("half", "float")]
    if find_spec("torch"):
        compiled.append(Part("read torch", 100, [*PYTHON, "benchmarks.gpu_warm", "torch"]))
    page = str(work / "gpu.md")
    bench = [*PYTHON, "benchmarks.gpu", "--peers", *PEERS, "--rounds", "6", "--budget", "150", "--out", page]
    launches = [*PYTHON, "benchmarks.gpu_kernels", "--number", "half", "--markdown", str(work / "gpu-kernels.md")]
    return [[Part("kernels", 130, tests("gpu", 5, *kernel_tests())), *compiled],
            [Part("bench", 170, bench)],
            [Part("launches", 60, launches)]]


def experiment(work, data):
    """The experiment, and beside it what is not timed: the tests of the array code, the evidence, the digits."""
    trained = [*PYTHON, "benchmarks.gpu_experiment", str(work / "experiment"), "--data", str(data), "--seconds", "310"]
    evidence = ["env", f"PYTEST_ADDOPTS={' '.join(LENIENT)}", *PYTHON, "tests", "--markdown", str(work / "evidence.md")]
    digits = [sys.executable, "demo.py", "--gpu", "--out", f"{work}-digits", "--force"]    # not in `work`: not archived
    return [[Part("experiment", 315, trained), Part("array code", 150, tests("cupy", 8)),
             Part("evidence", 150, evidence), Part("digits", 150, digits)]]


def variants():
    """Each variant is compiled beside the others and timed alone; then tests of the convolutions under memcheck."""
    timed = [Part(f"variant {name}", 70, [*PYTHON, "benchmarks.gpu_kernels", "--number", "half", "--variant", name])
             for name in VARIANTS]
    convolutions = [path for path in kernel_tests() if path.endswith("_conv.py")]
    memcheck = ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9",
                *tests("gpu", 0, *convolutions), "-k", "tile"]
    return [timed, [Part("memcheck", 35, memcheck)]]


def tests(marker, workers, *files):
    """pytest on the tests of that marker (tests/conftest.py), in so many processes."""
    beside = ["-n", str(workers), "--dist", "loadfile"] if workers and find_spec("xdist") else []
    return [*PYTHON, "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", *LENIENT, *beside,
            "-m", marker, *files]


def kernel_tests():
    """The files with tests of the kernels."""
    return sorted(str(path) for path in (ROOT / "tests").rglob("test_kernels_*.py") if path.stem not in NOT_HERE)


def carry_out(session, stages, data):
    """All stages of a call. Where CuPy cannot use a GPU every part gets the reason instead."""
    no_gpu = session.last_line(MACHINE.name) if session.run(MACHINE).get(MACHINE.name) == CANNOT else ""
    for stage in stages:
        possible = []
        for part in stage:
            reason = no_gpu or ("name CIFAR-10 with --data" if part.name == "experiment" and data is None else "")
            if reason:
                session.skip(part.name, reason)
            else:
                possible.append(part)
        session.run(*possible)


def parser():
    """The command line's parser."""
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out", type=Path, help="where the archive goes")
    p.add_argument("--call", type=int, choices=(1, 2, 3), help="one of the three; default: all")
    p.add_argument("--data", type=Path, metavar="PATH", help="cifar-10-batches-py, or the archive that holds it")
    p.add_argument("--seconds", type=float, help="of a call, if fewer are left than it is planned for")
    p.add_argument("--work", type=Path, default=ROOT / "runs" / "gpu-session",
                   help="where the parts write; a later call adds to it. Default: runs/gpu-session")
    return p


def main(argv=None):
    """The command line."""
    p = parser()
    chosen = p.parse_args(argv)
    work, data, good = chosen.work.resolve(), chosen.data and chosen.data.resolve(), True
    if data and not data.exists():
        p.error(f"--data {data} does not exist: name the folder cifar-10-batches-py or the archive that holds it")
    archive = chosen.out.resolve() / (f"gpu-session-{chosen.call}.tgz" if chosen.call else "gpu-session.tgz")
    for number, (seconds, stages) in calls(work, data).items():
        if chosen.call in (None, number):
            with Session(work, archive, chosen.seconds or seconds) as session:
                carry_out(session, stages, data)
            good &= session.good
    return int(not good)


def terminated(*_):
    """SIGTERM: the parts are ended on the way out, and the last archive is written."""
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminated)
    sys.exit(main())
