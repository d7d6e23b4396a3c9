"""The program with fewer images for --quick:  python -m tests.lib.tiny_demo --quick ...  takes a second instead of ten.

Everything else is demo.py's own. A run goes on with demo.py itself, as its settings tell how many images it has.
"""
import runpy
import subprocess
import sys
from pathlib import Path

from core.run import options
from tests.lib.signals import restore

ROOT = Path(__file__).parents[2]
IMAGES = (200, 40, 60)                 # training, validation, test


def started(*arguments, **places):
    """The process of `python -m tests.lib.tiny_demo` with these arguments; places: what Popen takes."""
    return subprocess.Popen([sys.executable, "-m", "tests.lib.tiny_demo", *map(str, arguments)], cwd=ROOT, **places)


if __name__ == "__main__":
    restore()
    options.QUICK = IMAGES
    sys.argv[0] = str(ROOT / "demo.py")
    runpy.run_path(sys.argv[0], run_name="__main__")
