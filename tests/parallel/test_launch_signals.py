"""Ranks under signals, closed streams and a parent that dies: no process is left, and none becomes a second rank 0."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="ranks need fork")

ROOT = Path(__file__).parents[2]
HEAD = """
import os, signal, sys, time
from core.parallel.launch import launch
from core.parallel.ranks import RankFailed
from tests.lib.signals import restore

restore()

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def work(comm):                          # for ever
    say(os.getpid())
    while True:
        comm.barrier()
        time.sleep(0.01)
"""


def started(program, **streams):
    return subprocess.Popen([sys.executable, "-c", HEAD + program], cwd=ROOT, start_new_session=True, text=True,
                            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams})


def finished(process):
    """(what it wrote, exit status)"""
    try:
        out, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return out, err, process.returncode


def alive(pid):
    """Whether a process runs (one that has ended, but was not yet collected by its new parent, does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_all_end(pids, seconds=3):
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def assert_a_signal_ends_all(process, number, whom):
    """whom: "rank 0" or "all" of three ranks; returns what the process wrote to stderr."""
    pids = [int(process.stdout.readline()) for _ in range(3)]
    (os.kill if whom == "rank 0" else os.killpg)(process.pid, number)
    _, err, status = finished(process)
    assert_all_end(pids)
    assert status == -number
    assert err.count("Traceback") == err.count("KeyboardInterrupt") == (number == signal.SIGINT), "from rank 0 alone"
    return err


def assert_ctrl_c_does_not_wait(process):
    """Of two ranks the second is busy."""
    pids = [int(process.stdout.readline()) for _ in range(2)]
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    start = time.monotonic()
    assert finished(process)[2] == -signal.SIGINT and time.monotonic() - start < 5
    assert_all_end(pids)


@pytest.mark.parametrize("whom", ["rank 0", "all"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
def test_a_signal_ends_all_ranks(number, whom):
    """Of a user (Ctrl-C goes to all), of a job scheduler, of a terminal that is closed, of the system."""
    assert_a_signal_ends_all(started("launch(work, 3)"), number, whom)


def test_a_handler_of_the_program_is_rank_0s_alone():
    process = started("signal.signal(signal.SIGTERM, lambda *_: (say('handled'), sys.exit(5)))\nlaunch(work, 3)")
    pids = [int(process.stdout.readline()) for _ in range(3)]
    os.killpg(process.pid, signal.SIGTERM)
    out, _, status = finished(process)
    assert_all_end(pids)
    assert (out, status) == ("handled\n", 5)


def test_ctrl_c_while_ranks_are_started_makes_no_second_rank_0():
    """The signal comes as soon as there are two processes, to both."""
    process = started("""
fork = os.fork
def interrupted():
    pid = fork()
    os.kill(os.getpid(), signal.SIGINT)
    return pid
os.fork = interrupted
try:
    launch(lambda comm: comm.barrier(), 2)
except KeyboardInterrupt:
    say('interrupted')
""")
    out, err, status = finished(process)
    assert (out, err, status) == ("interrupted\n", "", 0)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_rank_whose_output_cannot_be_written_ends_all_the_same(stream):
    program = f"""
def main(comm):
    if comm.rank:
        print('for a disk that is full', file=sys.{stream})
        raise ValueError
sys.{stream} = open('/dev/full', 'w')
try:
    launch(main, 2)
finally:
    say('rank 0 goes on')
    os._exit(0)
"""
    out, _, status = finished(started(program))
    assert (out, status) == ("rank 0 goes on\n", 0)


def test_closed_streams_are_no_obstacle():
    program = "sys.stdout.close()\nsys.stderr = None\nlaunch(lambda comm: comm.barrier(), 2)\nsay('done')"
    assert finished(started(program)) == ("done\n", "", 0)


def test_statuses_that_the_system_does_not_keep_are_no_obstacle():
    program = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def main(comm):
    if comm.rank == 1:
        raise ValueError('found by rank 1')
    comm.barrier()
launch(lambda comm: comm.barrier(), 3)
try:
    launch(main, 3)
except RankFailed as error:
    say(error)
"""
    out, err, _ = finished(started(program))
    assert out == "rank 1 raised an exception, which is printed above: ValueError: found by rank 1\n", err


def test_a_second_ctrl_c_does_not_wait():
    """While rank 0 waits for a rank that is busy."""
    assert_ctrl_c_does_not_wait(started("""
def main(comm):
    say(os.getpid())
    time.sleep(60 * comm.rank)
launch(main, 2)
"""))
