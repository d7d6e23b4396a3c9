"""demo.py starts at once: libraries that take long to import are imported by the functions that need them."""
import subprocess
import sys
from pathlib import Path

import pytest

from core.run.commands import COMMANDS

ROOT = Path(__file__).parents[2]
HEAVY = {"matplotlib", "jinja2", "markupsafe", "PIL", "safetensors", "filelock", "joblib", "tqdm", "threadpoolctl",
         "multiprocessing", "importlib.metadata", "cupy", "mpi4py"}
SHOWN = "import sys, demo\ntry:\n    demo.main(sys.argv[1:])\nfinally:\n    print(*sys.modules, file=sys.stderr)"


def imported(*words):
    """(exit status, all modules that are loaded when demo.py with these words has ended)"""
    done = subprocess.run([sys.executable, "-c", SHOWN, *map(str, words)], cwd=ROOT, capture_output=True, text=True,
                          timeout=60)
    return done.returncode, set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", [[], ["run"], *(pytest.param([name], marks=pytest.mark.thorough) for name in COMMANDS
                                                  if name != "run")], ids=" ".join)
def test_help_imports_no_heavy_library(words):
    status, modules = imported(*words, "--help")
    assert status == 0 and {"core.run.commands", "numpy"} <= modules
    assert modules & HEAVY == set()


def test_a_check_of_photos_imports_nothing_that_draws_or_writes_a_run(tmp_path):
    """It decodes images and measures: Pillow, the bar of tqdm and threadpoolctl are all that it needs."""
    from tests.lib.own_data import write_folder
    write_folder(tmp_path / "photos")
    _, modules = imported("check", "--data", tmp_path / "photos", "--size", "8", "--net", "small", "--ranks", "1")
    assert {"PIL", "threadpoolctl"} <= modules
    assert modules & (HEAVY - {"PIL", "tqdm", "threadpoolctl", "multiprocessing", "importlib.metadata"}) == set()


def test_a_mistake_is_answered_without_them():
    _, modules = imported("--rate", "2")
    assert "numpy" in modules and modules & HEAVY == set()
