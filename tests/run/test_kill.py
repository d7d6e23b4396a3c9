"""Killed at any moment, a run is resumed to the same result, bit for bit: about a hundred moments.

Every run is a fork of this process, so that nothing has to be imported again.
"""
import io
import os
import random
import re
import signal
import time
from functools import partial
from itertools import count

import pytest

from core import files as checkpoint
from core.errors import InputError
from core.run import run, state
from core.run.folder import is_complete
from core.run.resume import stored
from tests.lib.tiny_run import contents, tiny, tiny_runs  # noqa: F401   the fixture

pytestmark = [pytest.mark.usefixtures("tiny_runs"),
              pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked"),
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
    """What somebody does whose run was killed: go on with it, or, where there is nothing to go on with,
    begin it again."""
    try:
        config = stored(out)
    except InputError:
        return run(tiny(out))                                # without --force: there is nothing yet
    return state.remove(out) if is_complete(out) else run(config, resume=True)        # as demo.py does


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Told(io.FileIO):
    """A file that tells before each write that it comes,
    and which half of it has reached the disk if the process dies there."""

    def write(self, data):
        Told.tell_of(self, bytes(data)[:len(data) // 2])
        return super().write(data)


def told(tell_of, main):
    """main(); before each call of the system that changes files tell_of(),
    or tell_of(file, half of the data) before a write."""
    Told.tell_of = staticmethod(tell_of)
    for name in ("fsync", "replace", "unlink"):
        def telling(what, *args, original, **options):
            if isinstance(what, int) or os.path.exists(what):
                tell_of()
            return original(what, *args, **options)
        setattr(os, name, partial(telling, original=getattr(os, name)))      # in a forked child: nobody else sees it
    checkpoint.open = lambda path, mode: io.BufferedRandom(Told(path, "w+")) if mode == "w+b" else open(path, mode)
    main()


def dying(call):
    """Dies at the call-th call, of a write in its middle."""
    calls = count(1)

    def tell_of(file=None, half=b""):
        if next(calls) == call:
            if file:
                io.FileIO.write(file, half)
            die()
    return tell_of


def copying(out, copies):
    """Copies the folder as a process that died at this call would leave it, where it is unlike all copies before.

    The beginning of a run and its first two checkpoints call by call, and the rest of it in steps of seven.
    """
    calls, seen = count(1), []

    def tell_of(file=None, half=b""):
        call = next(calls)
        if call > 45 and (call - 45) % 7:
            return
        left = {path.name: path.read_bytes() for path in out.iterdir()}
        if file:
            name, at = os.path.basename(file.name), file.tell()
            left[name] = left[name][:at] + half + left[name][at + len(half):]
        if left not in seen:
            seen.append(left)
            (copies / f"{call}").mkdir()
            for name, data in left.items():
                (copies / f"{call}" / name).write_bytes(data)
    return tell_of


@pytest.mark.parametrize("step", [12, pytest.param(1, marks=pytest.mark.thorough)])
def test_killed_at_every_write_sync_rename_and_removal_of_a_run(step, expected, tmp_path):
    """One run tells what a kill at each call would leave, and each folder that is unlike the others is resumed.

    step 12: every twelfth of these folders; .ci/run resumes all.
    """
    assert ended_by(forked(lambda: told(copying(tmp_path / "run", tmp_path), lambda: run(tiny(tmp_path / "run"))))) == 0
    assert contents(tmp_path / "run") == expected, "copies change nothing"
    copies = sorted((path for path in tmp_path.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    assert len(copies) > 90
    for out in copies[::step]:
        assert ended_by(forked(partial(go_on, out))) == 0
        assert contents(out) == expected, out.name


@pytest.mark.parametrize("call", [1, *(pytest.param(call, marks=pytest.mark.thorough) for call in (20, 45, 94)), 150])
def test_a_killed_process_leaves_what_the_copies_say(tmp_path, call):
    """In a write, before a rename, in the files at the end (-m thorough: all); but for digits of times in the log."""
    copies, killed = tmp_path / "copies", tmp_path / "killed"
    copies.mkdir()
    assert ended_by(forked(lambda: told(copying(tmp_path / "copied", copies),
                                        lambda: run(tiny(tmp_path / "copied"))))) == 0
    assert ended_by(forked(lambda: told(dying(call), lambda: run(tiny(killed))))) == signal.SIGKILL
    copy = max((path for path in copies.iterdir() if int(path.name) <= call), key=lambda path: int(path.name))
    found, left = sizes(copy), sizes(killed)
    assert found.keys() == left.keys() and all(abs(found[name] - left[name]) < 12 for name in found)


def sizes(folder):
    """{name without process id: bytes}"""
    return {re.sub(r"[.]\d+[.]part$", ".part", path.name): path.stat().st_size for path in folder.iterdir()}


@pytest.mark.thorough
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
