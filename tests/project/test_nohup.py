"""The suite runs under `nohup` and in the background of a script too, where signals are ignored."""
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IGNORING = """
import signal, subprocess, sys
for name in {names}:
    signal.signal(getattr(signal, name), signal.SIG_IGN)
import tests.conftest
child = "import signal; print([signal.getsignal(getattr(signal, name)) != signal.SIG_IGN for name in {names}])"
subprocess.run([sys.executable, "-c", child])
for name in {names}:
    signal.raise_signal(getattr(signal, name))
print("still here")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals")
def test_programs_that_tests_start_hear_signals_that_the_suite_ignores():
    done = subprocess.run([sys.executable, "-c", IGNORING.format(names=["SIGHUP", "SIGINT", "SIGTERM"])], cwd=ROOT,
                          capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[True, True, True]\nstill here\n", "")
