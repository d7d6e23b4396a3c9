"""Killed at any moment, a run goes on to the same result, bit for bit: more than 110 kills.

Every run is a fork of this process, so that nothing has to be imported again.
"""
import io
import os
import random
import signal
import time

import pytest

from core import files as checkpoint
from core.errors import InputError
from core.run import run, state
from core.run.folder import is_complete
from core.run.resume import stored
from tests.lib.tiny_run import contents, tiny, tiny_runs  # noqa: F401   the fixture

pytestmark = [pytest.mark.usefixtures("tiny_runs"), pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked"),
              pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")]


@pytest.fixture(scope="module")
def expected(tiny_runs, tmp_path_factory):  # noqa: F811
    """The contents of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(tiny(out))
    return contents(out)


def forked(main):
    """The process id of a child that does main() and ends with status 0, or 1 after an exception."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            main()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended_by(pid):
    """The signal that ended the child, or 0 where it ended well."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code <= 0
    return -code


def go_on(out):
    """What somebody does whose run was killed: go on with it, or, where there is nothing to go on with, begin it again."""
    try:
        config = stored(out)
    except InputError:
        return run(tiny(out))                                # without --force: there is nothing yet
    return state.remove(out) if is_complete(out) else run(config, resume=True)        # as demo.py does


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(io.FileIO):
    """A file of which half a write reaches the disk, then the process dies; tick() says when."""

    def write(self, data):
        if Dying.tick():
            super().write(bytes(data)[:len(data) // 2])
            die()
        return super().write(data)


def dies_at(call, main):
    """main(), killed at the call-th call of the system that changes files: in the middle of a write, before any other."""
    calls = iter(range(1, 10**6))
    Dying.tick = staticmethod(lambda: next(calls) == call)
    for name in ("fsync", "replace", "unlink"):
        def deadly(what, *args, original=getattr(os, name), **options):
            if (isinstance(what, int) or os.path.exists(what)) and Dying.tick():
                die()
            return original(what, *args, **options)
        setattr(os, name, deadly)                            # in a forked child: nobody else sees it
    checkpoint.open = lambda path, mode: io.BufferedRandom(Dying(path, "w+")) if mode == "w+b" else open(path, mode)
    main()


def test_killed_at_every_write_sync_rename_and_removal_of_a_run(expected, tmp_path):
    """The beginning of a run and its first two checkpoints call by call, and the rest of it in steps of seven."""
    kills, call = 0, 1
    while True:
        out = tmp_path / f"{call}"
        if ended_by(forked(lambda: dies_at(call, lambda: run(tiny(out))))) == 0:
            break
        kills += 1
        assert ended_by(forked(lambda: go_on(out))) == 0
        assert contents(out) == expected, call
        call += 1 if call < 45 else 7
    assert kills > 80


def test_killed_at_random_times_again_and_again_until_it_is_complete(expected, tmp_path):
    rng, kills, runs = random.Random(0), 0, 0
    while kills < 30:
        out, killed = tmp_path / f"{runs}", 0
        while not is_complete(out):
            child = forked(lambda: go_on(out))
            time.sleep(rng.uniform(0, 0.2 if killed < 20 else 5))
            os.kill(child, signal.SIGKILL)
            killed += ended_by(child) == signal.SIGKILL
        assert ended_by(forked(lambda: go_on(out))) == 0
        assert contents(out) == expected
        kills, runs = kills + killed, runs + 1
