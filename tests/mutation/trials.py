"""Trying mutants: each in a copy of the project, in a process forked from one that has imported NumPy and pytest
already.

A mutant is tried by the tests of its file, on NumPy alone, up to the first failure. It is noticed if a test fails, if
the file can't be imported, or if it takes CPU_SECONDS, or so much memory that it can't be meant.
"""
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}     # before NumPy: who forks should have one thread
# two mutants may have the same length and second, and Python would confuse them
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True

import hypothesis.extra.numpy  # noqa: E402, F401   once for all, like pytest and NumPy
import pytest  # noqa: E402

from tests.mutation.mutants import ROOT  # noqa: E402
from tests.mutation.planted import TESTS  # noqa: E402

COPIED = ("core", "nets", "experiments", "tests", "docs")     # docs: pages that tests compare with what is made
CPU_SECONDS = 60                    # all tests of a file take less than twenty
SECONDS = 600                       # of a process that waits for another one
MEMORY = 8 << 30
ONLY = "not strict and not cupy and not full_net_equals and not cleanlab and not scikit_learn"  # slow or not everywhere


def tried(mutants, jobs, report):
    """{mutant: what noticed it, "" if nothing did}, with so many processes at a time;
    report(mutant, noticed) after each."""
    found, waiting, copies = {}, list(mutants)[::-1], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            copies += [Copy(Path(folder, str(job))) for job in range(min(jobs, len(waiting)))]
            while waiting or any(copy.pid for copy in copies):
                for copy in copies:
                    noticed = copy.ended() if copy.pid else None
                    if noticed is not None:
                        found[copy.mutant], copy.pid = noticed, None
                        report(copy.mutant, noticed)
                    if not copy.pid and waiting:
                        copy.start(waiting.pop())
                time.sleep(0.01)
        finally:
            for copy in copies:
                if copy.pid:
                    kill_group(copy.pid)                        # after Ctrl-C
    return found


class Copy:
    """One copy of the project, and the mutant that is being tried in it."""

    def __init__(self, folder):
        self.folder, self.mutant, self.pid = folder, None, None
        for part in COPIED:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("demo.py", "pyproject.toml"):
            shutil.copy(ROOT / file, folder)

    def start(self, mutant):
        """Fork the process that tries the mutant."""
        self.mutant, self.started = mutant, time.monotonic()
        (self.folder / mutant.file).write_text(mutant.source, encoding="utf-8")
        self.pid = os.fork()
        if self.pid:
            return
        try:
            os._exit(run_tests(self.folder, [file_of(name) for name in TESTS[mutant.file]]))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(pytest.ExitCode.INTERNAL_ERROR)

    def ended(self):
        """What noticed the mutant, "" if nothing did; None while it is being tried."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid and time.monotonic() - self.started < SECONDS:
            return None
        kill_group(self.pid)
        if not pid:
            _, status = os.waitpid(self.pid, 0)
        shutil.copy(ROOT / self.mutant.file, self.folder / self.mutant.file)
        return verdict(os.waitstatus_to_exitcode(status), (self.folder / "log").read_text(errors="replace"))


def kill_group(pid):
    """The process and what it forked."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass                                                                # nobody is left


def file_of(name):
    """paper/labels -> tests/paper/test_labels.py"""
    return "tests/{}/test_{}.py".format(*name.split("/"))


def run_tests(folder, tests):
    """In the forked process: pytest in the folder, its words into a file; returns its exit status."""
    os.setsid()
    os.chdir(folder)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1), os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    if not any("browser" in test for test in tests):                        # browsers reserve terabytes and use none
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for name in [name for name in sys.modules if name.split(".")[0] in COPIED]:
        del sys.modules[name]                                               # they are not this copy's
    sys.path[:] = [str(folder), *(path for path in sys.path if Path(path or ROOT).resolve() != ROOT)]
    # a temporary folder of its own: in a shared one, trials tidy up behind each other
    return pytest.main(["-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider",
                        "--basetemp", f"{folder}-temp", "-k", ONLY, *tests])


def verdict(code, log):
    """The test that failed, or how else the mutant was noticed; "" if it was not."""
    if code == pytest.ExitCode.OK:
        return ""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    if code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED):
        failed = re.search(r"^(?:FAILED|ERROR) (\S+\.py)(?:::(\w+))?", log, re.MULTILINE)
        return "::".join(name for name in failed.groups() if name)
    raise RuntimeError(f"pytest ended with {code}:\n{log}")
