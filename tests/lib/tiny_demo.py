"""The program with fewer images for --quick:  python -m tests.lib.tiny_demo --quick ...  takes a second instead of ten.

Everything else is demo.py's own, but for the pictures, where --no-pictures comes first: they take half of such a run. A
run goes on with demo.py itself, as its settings tell how many images it has.
"""
import runpy
import subprocess
import sys
from pathlib import Path

from core.report import pictures
from core.run import options
from tests.lib.signals import restore

ROOT = Path(__file__).parents[2]
IMAGES = (200, 40, 60)                 # training, validation, test
NO_PICTURES = "--no-pictures"


def started(*arguments, drawn=False, **places):
    """The process of `python -m tests.lib.tiny_demo` with these arguments; drawn: with pictures; places: what Popen
    takes."""
    words = [*([] if drawn else [NO_PICTURES]), *map(str, arguments)]
    return subprocess.Popen([sys.executable, "-m", "tests.lib.tiny_demo", *words], cwd=ROOT, **places)


if __name__ == "__main__":
    restore()
    options.QUICK = IMAGES
    if sys.argv[1:2] == [NO_PICTURES]:
        del sys.argv[1]
        pictures.draw_all = lambda *args: None
    sys.argv[0] = str(ROOT / "demo.py")
    runpy.run_path(sys.argv[0], run_name="__main__")
