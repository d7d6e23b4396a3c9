"""The evidence: runs the proofs and prints what they measured, equation by equation.

    python -m tests                      the table in the terminal; exit status 0 if everything passes
    python -m tests --markdown docs/evidence.md  also as Markdown: between the marks of the file, or as the whole file

Every row gives, for one equation or layer and one method, the largest error of all the cases measured,
as a part of its bound.
"""
import argparse
import platform
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.lib.arrays import LIBRARIES
from tests.lib.evidence import rows, worst

HERE = Path(__file__).parent
FIRST = ["test_gradcheck", "test_objective", "test_objective_float", "test_labels", "test_optim", "test_noise",
         "test_layers", "test_layer_laws", "test_preact_resnet_gradients", "test_preact_resnet"]


def proofs():
    """The test files that leave evidence: first the checker, then those of the paper, then the others."""
    found = [path for path in HERE.glob("*/test_*.py")
             if "tests.lib.evidence import" in path.read_text(encoding="utf-8")]
    return sorted(found, key=lambda path: (FIRST.index(path.stem) if path.stem in FIRST else len(FIRST), path.stem))


def table(found, libraries):
    """[[equation or layer, method, error per library, bound, passes?], ...], headed."""
    cells = {}
    for row in worst(found):
        cells.setdefault((row.what, row.method), {})[row.library] = row
    lines = [["equation or layer", "method", *libraries, "bound", ""]]
    for (what, method), by_library in sorted(cells.items(), key=lambda cell: first_seen(found, cell[0][0])):
        errors = [number(by_library[name].error) if name in by_library else "-" for name in libraries]
        bounds = number(max(row.bound for row in by_library.values()))
        lines.append([what, method, *errors, bounds, "pass"
                      if all(row.passed for row in by_library.values()) else "FAIL"])
    return lines


def first_seen(found, what):
    return next(i for i, row in enumerate(found) if row.what == what)


def number(x):
    return "0" if x == 0 else f"{x:.0e}"


def as_text(lines):
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def as_markdown(lines):
    head, *body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "|---" * len(lines[0]) + "|", *body])


def circumstances():
    """One line: date, versions, hardware."""
    gpu = next((library for library in LIBRARIES if library.__name__ == "cupy"), None)
    return ", ".join([f"{date.today()}", f"Python {platform.python_version()}", f"NumPy {np.__version__}", processor()]
                     + ([f"CuPy {gpu.__version__}", gpu.cuda.runtime.getDeviceProperties(0)["name"].decode()]
                        if gpu else []))


def processor():
    """The name of the CPU; on Linux Python doesn't know it."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines()
             if line.startswith("model name")] \
        if cpuinfo.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def write(path, text):
    """The text as the file, or between its marks where it has them."""
    begin, end = "<!-- evidence -->\n", "<!-- end of evidence -->"
    whole = path.read_text(encoding="utf-8") if path.exists() else ""
    if begin in whole and end in whole:
        text = whole[:whole.index(begin) + len(begin)] + "\n" + text + "\n" + whole[whole.index(end):]
    path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", type=Path, nargs="*", default=[], metavar="FILE",
                        help="write the table there, too")
    args = parser.parse_args()
    status = pytest.main(["-q", "--no-header", "--tb=short", f"--rootdir={HERE.parent}", *map(str, proofs())])
    lines = table(rows, [library.__name__ for library in LIBRARIES])
    summary = f"{len(rows)} measurements, {sum(row.passed for row in rows)} within their bounds; {circumstances()}"
    print(f"\n{as_text(lines)}\n\n{summary}\nstrict: NumPy in a wrapper that refuses what CuPy refuses")
    for path in args.markdown:
        write(path, f"{as_markdown(lines)}\n\n{summary}.\n")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
